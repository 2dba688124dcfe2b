"""HRSC2016: XML with ``HRSC_Object``, whose ``mbox_cx … mbox_ang`` is the oriented box, the angle in radians.

Layout of the owner's archive: ``FullDataSet/{AllImages,Annotations}`` with the split in the lists of ``ImageSets``, or
``Train`` and ``Test`` with ``AllImages`` and ``Annotations`` each. ``box_xmin … box_ymax`` is the upright box.

All objects are of the one class ``ship``, as most results are reported, unless ``names=`` asks for several: then the
names are those of the finer classes, :data:`NAMES`.

Source: Liu et al., A High Resolution Optical Satellite Image Dataset for Ship Recognition and Some New Baselines,
ICPRAM 2017.
"""

from __future__ import annotations

from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers._labels import ClassTable, Collector, ImportOptions, bounds, shown
from rsdet.data.importers._layout import Source
from rsdet.data.importers._xml import parse_xml
from rsdet.data.importers.voc import read_xml, values_of

SHIP = "ship"
# Class_ID less 100,000,000 to name.
NAMES = {
    1: SHIP, 2: "aircraft carrier", 3: "warcraft", 4: "merchant ship", 5: "Nimitz", 6: "Enterprise",
    7: "Arleigh Burke", 8: "WhidbeyIsland", 9: "Perry", 10: "Sanantonio", 11: "Ticonderoga", 12: "Kitty Hawk",
    13: "Kuznetsov", 14: "Abukuma", 15: "Austen", 16: "Tarawa", 17: "Blue Ridge", 18: "Container", 19: "OXo|--)",
    20: "Car carrier([]==[])", 22: "Hovercraft", 24: "yacht", 25: "CntShip(_|.--.--|_]=", 26: "Cruise",
    27: "submarine", 28: "lute", 29: "Medical", 30: "Car carrier(======|", 31: "Ford-class", 32: "Midway-class",
    33: "Invincible-class",
}  # fmt: skip


def read_labels(path: Path, into: Collector, classes: ClassTable) -> None:
    """Put the objects of one annotation file into its image.

    Raises:
        DataError: The file is not XML, or an angle is in another unit.
    """
    root = parse_xml(path)
    into.stated(*(values_of(root, ("Img_SizeWidth", "Img_SizeHeight")) or (None, None)), by="the XML")
    for index, item in enumerate(root.iter("HRSC_Object"), 1):
        where = f"object {index}"
        number = values_of(item, ("Class_ID",))
        name = NAMES.get(int(number[0] - 1e8), "") if number and 1e8 < number[0] < 2e8 else ""
        if classes.learns or len(classes.names) == 1:
            name = SHIP if classes.learns else classes.names[0]
        edges = values_of(item, ("box_xmin", "box_ymin", "box_xmax", "box_ymax"))
        turned = values_of(item, ("mbox_cx", "mbox_cy", "mbox_w", "mbox_h", "mbox_ang"))
        hard = (item.findtext("difficult") or "0").strip() not in {"0", ""}
        if not name:
            into.drop(where, f"unknown class: Class_ID {shown(item.findtext('Class_ID'))}")
        elif turned is not None and min(turned[2:4]) > 0:
            ring = into.corners(turned)
            into.take(where, name, classes, edges or bounds(ring), [ring], difficult=hard)
        elif edges is not None:
            into.take(where, name, classes, edges, difficult=hard)
        else:
            into.drop(where, "malformed object: expected mbox_cx, mbox_cy, mbox_w, mbox_h and mbox_ang", name)


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read an HRSC2016 folder, or a single XML file beside its image."""
    return read_xml(Source.open(source, ".xml"), options, log, read_labels)
