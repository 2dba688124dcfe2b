"""A folder laid out as the official SSDD release: three of its four parts, voc_style, lists and folders per split."""

import sys
from pathlib import Path

from PIL import Image

NUMBERS = range(1, 22)
INSHORE = ("000001", "000011")
OBJECT = "<object><name>ship</name><difficult>0</difficult><bndbox>{}</bndbox></object>"


def xml(number: str, *boxes: tuple[object, object, object, object]) -> str:
    edges = ("<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>".format(*box) for box in boxes)
    size = "<size><width>50</width><height>40</height><depth>3</depth></size>"
    return f"<annotation><filename>{number}.jpg</filename>{size}{''.join(map(OBJECT.format, edges))}</annotation>"


def drawn_xml(number: str, part: str) -> str:
    """One ship, with an oriented box or an outline beside the upright box."""
    points = list(enumerate(((7, 2), (12, 7), (7, 12), (2, 7)), 1))
    if part == "RBox_SSDD":
        corners = "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in points)
        drawn = f"<rotated_bndbox>{corners}</rotated_bndbox>"
    else:
        drawn = f"<segm>{''.join(f'<point-{i}>{x},{y}</point-{i}>' for i, (x, y) in points[:3])}</segm>"
    return xml(number, (2, 2, 12, 12)).replace("</bndbox>", f"</bndbox>{drawn}")


def make(root: Path) -> None:
    """Write the folder."""
    for part in ("BBox_SSDD", "RBox_SSDD", "PSeg_SSDD"):
        home = root / "Official-SSDD-OPEN" / part / "voc_style"
        names = [f"{n:06d}" for n in NUMBERS]
        test = [name for name in names if name[-1] in "19"]
        lists = {
            "train": [name for name in names if name not in test],
            "test": test,
            "test_inshore": [name for name in test if name in INSHORE],
            "test_offshore": [name for name in test if name not in INSHORE],
        }
        for folder in ("ImageSets/Main", "JPEGImages", "Annotations"):
            (home / folder).mkdir(parents=True)
        for split, members in lists.items():
            (home / f"ImageSets/Main/{split}.txt").write_text("\n".join(members) + "\n")
            for kind, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
                (home / f"{kind}_{split}").mkdir()
                for name in members:
                    (home / f"{kind}_{split}" / f"{name}.{suffix}").touch()  # never to be read
        for i, name in enumerate(names):
            Image.new("RGB", (50, 40), (30, 30, 30)).save(home / "JPEGImages" / f"{name}.jpg")
            if part != "BBox_SSDD":
                (home / "Annotations" / f"{name}.xml").write_text(drawn_xml(name, part))
                continue
            boxes = [(2, 3, 12, 13)]
            if i == 1:
                boxes += [(45, 30, 60, 39), (60, 5, 70, 9), (5, 5, 5, 9), ("x", 1, 2, 3), (2, 3, 12, 13)]
            (home / "Annotations" / f"{name}.xml").write_text(xml(name, *boxes))
        coco = home.parent / "coco_style" / "annotations"
        coco.mkdir(parents=True)
        (coco / "train.json").write_text("{}")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
