"""A YOLO folder in the layout of Ultralytics, with boxes, a polygon, an ignored region and bad lines."""

import sys
from pathlib import Path

from PIL import Image

TRAIN = """\
0 0.5 0.5 0.25 0.5
1 0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4
0 0.5 0.5 0.25
2 0.5 0.5 0.25 0.25
0.5 0.5 0.5 0.25 0.25
1 1.2 0.5 0.2 0.2
"""
YAML = "train: images/train\nval: images/valid\nnames: {0: car, 1: truck}\nignore: ignore\n"


def make(root: Path) -> None:
    """Write the folder."""
    for split in ("train", "valid"):
        for folder in ("images", "labels", "ignore"):
            (root / folder / split).mkdir(parents=True)
        Image.new("RGB", (80, 40), (10, 20, 200)).save(root / "images" / split / f"{split}.png")
    (root / "labels" / "train" / "train.txt").write_text(TRAIN)
    (root / "labels" / "valid" / "valid.txt").write_text("0 0.5 0.5 1 1\n")
    (root / "ignore" / "train" / "train.txt").write_text("0.25 0.5 0.5 1\n0.5 0.5\n")
    (root / "data.yaml").write_text(YAML)
    (root / "README.txt").write_text("not a label\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
