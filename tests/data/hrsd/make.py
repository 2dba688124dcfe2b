"""Folders laid out as HRSD: LHID flat, DHID with a folder more."""

import sys
from pathlib import Path

from PIL import Image


def make(root: Path) -> None:
    """Write the folders."""
    for place, n in (
        ("LHID/TrainingSet", 4), ("LHID/TestingSet", 2), ("DHID/TrainingSet/Train", 3), ("DHID/TestingSet/Test", 1),
    ):  # fmt: skip
        for side in ("hazy", "clear"):
            home = root / place / side
            home.mkdir(parents=True)
            for i in range(n):
                Image.new("RGB", (16, 16), (i, 0, 200 if side == "hazy" else 20)).save(home / f"{i}.jpg")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
