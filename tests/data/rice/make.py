"""Folders laid out as RICE: cloudy and clear pictures of equal names, and masks that nobody reads."""

import sys
from pathlib import Path

from PIL import Image


def make(root: Path, n: int = 10) -> None:
    """Write the folders."""
    for part, folders in {"RICE1": ("cloud", "label"), "RICE2": ("cloud", "label", "mask")}.items():
        for folder in folders:
            home = root / "RICE_DATASET" / part / folder
            home.mkdir(parents=True)
            for i in range(n):
                Image.new("RGB", (24, 16), (i, 10, 200 if folder == "cloud" else 20)).save(home / f"{i}.png")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
