"""Chips of the SAR-Ship-Dataset: ``make`` writes the later release (text labels), ``make_first`` the first (XML)."""

import sys
from pathlib import Path

from PIL import Image

N = 40


def names() -> list[str]:
    return [f"{sensor}_ship_{pol}_{i:03d}" for i in range(N // 4) for sensor in ("Gao", "Sen") for pol in ("hh", "vv")]


def make(root: Path) -> None:
    """Write ``ship_dataset_v0``: image and text file side by side."""
    home = root / "ship_dataset_v0"
    home.mkdir(parents=True)
    for i, name in enumerate(names()):
        Image.new("L", (32, 32), 20).save(home / f"{name}.jpg")
        rows = ["0 0.5 0.5 0.25 0.125"]
        if i == 0:
            rows += ["0 0.9 0.9 0.4 0.4", "0 1.5 1.5 0.1 0.1", "0 0.5 0.5 0 0.1", "0 0.5 0.5", "3 0.5 0.5 0.2 0.2"]
        (home / f"{name}.txt").write_text("\n".join(rows) + "\n")
    (home / f"{names()[-1]}.txt").unlink()  # a chip without label file


def make_first(root: Path) -> None:
    """Write ``ship_detection_online``: ``JPEGImages`` and ``Annotations_new``."""
    home = root / "ship_detection_online"
    for folder in ("JPEGImages", "Annotations_new"):
        (home / folder).mkdir(parents=True)
    box = "<bndbox><xmin>4</xmin><ymin>4</ymin><xmax>20</xmax><ymax>12</ymax></bndbox>"
    for name in names():
        Image.new("RGB", (32, 32), (20, 20, 20)).save(home / "JPEGImages" / f"{name}.jpg")
        (home / "Annotations_new" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><object><name>ship</name>{box}</object></annotation>"
        )


if __name__ == "__main__":
    make(Path(sys.argv[1]))
