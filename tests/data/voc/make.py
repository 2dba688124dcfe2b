"""A Pascal VOC folder with ImageSets."""

import sys
from pathlib import Path

from PIL import Image

OBJECT = "<object><name>{}</name><difficult>{}</difficult><bndbox>{}</bndbox></object>"


def _edges(x1: object, y1: object, x2: object, y2: object) -> str:
    return f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"


def _xml(name: str, objects: str) -> str:
    size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}</filename>{size}{objects}</annotation>"


def make(root: Path) -> None:
    """Write the folder."""
    sets = root / "ImageSets" / "Main"
    for folder in (sets, root / "Annotations", root / "JPEGImages"):
        folder.mkdir(parents=True)
    good = OBJECT.format("car", 0, _edges(10, 5, 30, 20)) + OBJECT.format("bus", 1, _edges(1, 1, 9, 9))
    bad = OBJECT.format("car", 0, _edges(3, 3, "x", 4)) + "<object><name>car</name></object>"
    region = OBJECT.format("DontCare", 0, _edges(40, 30, 64, 48))
    (root / "Annotations" / "one.xml").write_text(_xml("one.jpg", good + bad + region))
    (root / "Annotations" / "two.xml").write_text(_xml("two.jpg", ""))
    # This XML has another name than its image; its <filename> tells.
    (root / "Annotations" / "0003.xml").write_text(_xml("three.jpg", OBJECT.format("car", 0, _edges(2, 2, 6, 6))))
    for name in ("one", "two", "three", "unlisted"):
        Image.new("RGB", (64, 48), (50, 60, 70)).save(root / "JPEGImages" / f"{name}.jpg")
    (sets / "train.txt").write_text("one\nthree\n")
    (sets / "val.txt").write_text("two\n")
    (sets / "trainval.txt").write_text("one\ntwo\nthree\n")
    (sets / "car_train.txt").write_text("one 1\nthree -1\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
