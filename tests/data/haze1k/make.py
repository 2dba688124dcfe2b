"""Folders laid out as SateHaze1k: three levels, three splits, equal names in all of them, SAR beside."""

import sys
from pathlib import Path

from PIL import Image

LEVELS = {"thin": 30, "moderate": 60, "thick": 90}


def make(root: Path) -> None:
    """Write the folders."""
    for level, grey in LEVELS.items():
        for split, n in (("train", 3), ("valid", 1), ("test", 2)):
            for side in ("input", "target", "SAR"):
                home = root / "Haze1k" / f"Haze1k_{level}" / "dataset" / split / side
                home.mkdir(parents=True)
                for i in range(n):
                    Image.new("RGB", (16, 16), (grey, i, 200 if side == "input" else 20)).save(home / f"{i}.png")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
