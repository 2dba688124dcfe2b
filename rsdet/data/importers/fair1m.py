"""FAIR1M: XML with the class in ``possibleresult/name`` and the corners in ``points/point`` as ``x,y``, in pixels.

Layout of the owner's archives: ``train/part1/{images,labelXml}`` and more parts; the first corner is repeated at the
end. ``coordinate`` other than ``pixel`` is not read.

Source: Sun et al., FAIR1M: A benchmark dataset for fine-grained object recognition in high-resolution remote sensing
imagery, ISPRS Journal of Photogrammetry and Remote Sensing 184 (2022), doi 10.1016/j.isprsjprs.2021.12.004.
"""

from __future__ import annotations

from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers._labels import ClassTable, Collector, ImportOptions, bounds, shown
from rsdet.data.importers._layout import Source
from rsdet.data.importers._xml import parse_xml
from rsdet.data.importers.voc import points_of, read_xml, values_of

# The 37 classes of the paper, by its five kinds: aeroplanes, ships, vehicles, courts, roads.
NAMES = (
    "Boeing737", "Boeing747", "Boeing777", "Boeing787", "C919", "A220", "A321", "A330", "A350", "ARJ21",
    "other-airplane", "Passenger Ship", "Motorboat", "Fishing Boat", "Tugboat", "Engineering Ship",
    "Liquid Cargo Ship", "Dry Cargo Ship", "Warship", "other-ship", "Small Car", "Bus", "Cargo Truck", "Dump Truck",
    "Van", "Trailer", "Tractor", "Excavator", "Truck Tractor", "other-vehicle", "Basketball Court", "Tennis Court",
    "Football Field", "Baseball Field", "Intersection", "Roundabout", "Bridge",
)  # fmt: skip


def read_labels(path: Path, into: Collector, classes: ClassTable) -> None:
    """Put the objects of one annotation file into its image.

    Raises:
        DataError: The file is not XML.
    """
    root = parse_xml(path)
    into.stated(*(values_of(root.find("size"), ("width", "height")) or (None, None)), by="the XML")
    for index, item in enumerate(root.iter("object"), 1):
        where = f"object {index}"
        name = (item.findtext("possibleresult/name") or "").strip()
        unit = (item.findtext("coordinate") or "pixel").strip()
        ring = points_of(item.findall("points/point"))
        if unit != "pixel":
            into.drop(where, f"coordinates not in pixels: {shown(unit)}", name)
        elif ring is None:
            into.drop(where, "malformed object: expected 3 or more points x,y", name)
        else:
            closed = ring[-2:] == ring[:2]
            into.take(where, name, classes, bounds(ring), [ring[:-2] if closed else ring])


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a FAIR1M folder, or a single XML file beside its image."""
    return read_xml(Source.open(source, ".xml"), options, log, read_labels, NAMES)
