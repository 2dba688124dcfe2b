"""Files of roLabelImg: one object upright, one turned, in one picture; the XML names it without its suffix."""

import sys
from pathlib import Path

from PIL import Image

UPRIGHT = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>12</xmax><ymax>9</ymax></bndbox>"


def turned(angle: float) -> str:
    return f"<robndbox><cx>30</cx><cy>20</cy><w>16</w><h>6</h><angle>{angle}</angle></robndbox>"


def make(root: Path, angle: float = 0.4) -> None:
    """Write the folder."""
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    objects = "".join(
        f"<object><type>{kind}</type><name>car</name><difficult>0</difficult>{place}</object>"
        for kind, place in (("bndbox", UPRIGHT), ("robndbox", turned(angle)))
    )
    size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
    xml = f'<annotation verified="no"><filename>a</filename>{size}{objects}</annotation>'
    (root / "Annotations" / "a.xml").write_text(xml)
    Image.new("RGB", (64, 48), (90, 90, 90)).save(root / "JPEGImages" / "a.jpg")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
