"""Folders of classes, as UC Merced, AID and RSSCN7 have them, with a listing beside that is no picture."""

import sys
from pathlib import Path

from PIL import Image


def make(root: Path, home: str = "UCMerced_LandUse/Images", classes: tuple[str, ...] = ("beach", "forest")) -> None:
    """Write the folders: eight pictures of each class; the first of each is a little smaller than the others."""
    for name in classes:
        folder = root / home / name
        folder.mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (30 if i == 0 else 32, 32), (i, 50, 90)).save(folder / f"{name}{i:02}.png")
    (root / home / "readme.txt").write_text("no picture")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
