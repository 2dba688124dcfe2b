"""An HRSC2016 folder: lists in ImageSets, an oriented box, an upright one alone, one of no size, an unknown class."""

import sys
from pathlib import Path

from PIL import Image


def tags(**values: object) -> str:
    return "".join(f"<{tag}>{value}</{tag}>" for tag, value in values.items())


def ship(number: int, turned: tuple | None, edges: tuple | None = None, difficult: int = 0) -> str:
    place = tags(**dict(zip(("box_xmin", "box_ymin", "box_xmax", "box_ymax"), edges, strict=True))) if edges else ""
    if turned:
        place += tags(**dict(zip(("mbox_cx", "mbox_cy", "mbox_w", "mbox_h", "mbox_ang"), turned, strict=True)))
    return f"<HRSC_Object>{tags(Class_ID=100000000 + number, difficult=difficult)}{place}</HRSC_Object>"


def make(root: Path) -> None:
    """Write the folder."""
    home = root / "FullDataSet"
    for folder in ("AllImages", "Annotations"):
        (home / folder).mkdir(parents=True)
    (root / "ImageSets").mkdir()
    objects = {
        "100000001": [ship(5, (30, 20, 16, 6, 0.4)), ship(2, (40, 30, 10, 4, -1.2), difficult=1)],
        "100000002": [ship(1, (10, 10, 0, 0, 0), (4, 4, 12, 12)), ship(21, (30, 30, 8, 4, 0)), ship(1, None)],
    }
    for name, ships in objects.items():
        size = tags(Img_FileName=name, Img_SizeWidth=64, Img_SizeHeight=48)
        xml = f"<HRSC_Image>{size}<HRSC_Objects>{''.join(ships)}</HRSC_Objects></HRSC_Image>"
        (home / "Annotations" / f"{name}.xml").write_text(xml)
        Image.new("RGB", (64, 48), (0, 40, 90)).save(home / "AllImages" / f"{name}.bmp")
    for split, name in (("train", "100000001"), ("test", "100000002")):
        (root / "ImageSets" / f"{split}.txt").write_text(f"{name}\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
