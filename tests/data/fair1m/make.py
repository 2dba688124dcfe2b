"""A FAIR1M folder in two parts: closed rings of four corners, a broken one, one that is not in pixels."""

import sys
from pathlib import Path

from PIL import Image


def thing(name: str, *points: str, unit: str = "pixel") -> str:
    ring = "".join(f"<point>{point}</point>" for point in points)
    return (
        f"<object><coordinate>{unit}</coordinate><type>rectangle</type>"
        f"<possibleresult><name>{name}</name></possibleresult><points>{ring}</points></object>"
    )


def make(root: Path) -> None:
    """Write the folder."""
    parts = {
        "part1": [thing("Small Car", "20.0,10.0", "30.0,20.0", "20.0,30.0", "10.0,20.0", "20.0,10.0")],
        "part2": [
            thing("Bridge", "2,3", "40,3", "40,9", "2,9", "2,3"),
            thing("Van", "2,3", "x", "40,9", "2,9"),
            thing("Van", "110.1,30.2", "110.2,30.2", "110.2,30.1", "110.1,30.1", unit="geographic"),
        ],
    }
    for index, (part, things) in enumerate(parts.items()):
        home = root / "train" / part
        for folder in ("images", "labelXml"):
            (home / folder).mkdir(parents=True)
        size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
        xml = f"<annotation>{size}<objects>{''.join(things)}</objects></annotation>"
        (home / "labelXml" / f"{index}.xml").write_text(xml)
        Image.new("RGB", (64, 48), (70, 80, 60)).save(home / "images" / f"{index}.tif")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
