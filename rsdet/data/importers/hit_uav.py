"""HIT-UAV: JSON close to COCO, with ``annotation`` for ``annotations`` and ``filename`` for ``file_name``, or XML.

Layout of the owner's repository: ``normal_json/annotations/{train,val,test}.json`` with upright boxes beside
``rotate_json/annotations/…`` with ``bbox = [xc, yc, w, h, angle in radians]``. The oriented files are read for
``task=obb`` and ``segment``. ``normal_xml`` and ``rotate_xml`` hold the same in the forms of Pascal VOC and roLabelImg;
they are read where one of them is named as source. A part that is named as source, whatever its form, goes with the
pictures in it, else with those of ``images`` beside it.
Category DontCare is a region to ignore, not a class.

Source: Suo et al., HIT-UAV, Scientific Data 10, 227 (2023), doi 10.1038/s41597-023-02066-6.
"""

from __future__ import annotations

from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers._labels import ImportOptions
from rsdet.data.importers._layout import Source
from rsdet.data.importers.coco import Dialect, read_documents
from rsdet.data.importers.voc import read_xml

NAMES = ("Person", "Car", "Bicycle", "OtherVehicle")


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a HIT-UAV folder, one of its four parts, or a single JSON or XML file."""
    files = Source.open(source, ".json")
    found = files.with_suffix(".json")
    if source.suffix.lower() == ".xml" or not found:
        return read_xml(_with_pictures(Source.open(source, ".xml"), ".xml"), options, log, order=NAMES)
    wanted = "normal_json" if options.task == "detect" else "rotate_json"
    in_annotations = [p for p in found if p.parent.name == "annotations"]
    candidates = [p for p in found if wanted in p.parts] or in_annotations or found
    turned = any("rotate_json" in p.parts for p in candidates)
    dialect = Dialect(annotations=("annotation", "annotations"), file_name=("filename", "file_name"), turned=turned)
    return read_documents(_with_pictures(files, ".json"), candidates, dialect, options, log)


def _with_pictures(files: Source, suffix: str) -> Source:
    """A part of the data set with the pictures in it, else those of ``images`` beside it."""
    if files.images:
        return files
    beside = Source.open(files.root.parent, suffix)
    images = [p for p in beside.images if p.is_relative_to(beside.root / "images")]
    return Source(beside.root, sorted([*files.files, *images]), files.only)
