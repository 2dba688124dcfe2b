"""A DOTA folder: header lines, difficult objects, corners outside the image, a test split without labels."""

import sys
from pathlib import Path

from PIL import Image

TRAIN = """\
imagesource:GoogleEarth
gsd:0.25
10 5 30 5 30 20 10 20 small-vehicle 0
20 10 30 20 20 30 10 20 ship 1
50 40 70 40 70 60 50 60 plane 0
100 100 110 100 110 110 100 110 plane 0
1 2 3 4 5 6 7 ship 0
5 5 9 5 9 9 5 9 large vehicle 0
"""


def make(root: Path) -> None:
    """Write the folder."""
    for split in ("train", "val", "test"):
        (root / split / "images").mkdir(parents=True)
        Image.new("RGB", (64, 48), (20, 90, 20)).save(root / split / "images" / f"P{split}.png")
    for split, rows in (("train", TRAIN), ("val", "")):
        (root / split / "labelTxt").mkdir()
        (root / split / "labelTxt" / f"P{split}.txt").write_text(rows)
    boxes = root / "train" / "Train_Task2_gt" / "trainset_reclabelTxt"  # upright copies, to be left aside
    boxes.mkdir(parents=True)
    (boxes / "Ptrain.txt").write_text("0 0 1 0 1 1 0 1 ship 0\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
