"""HIT-UAV: JSON close to COCO, with ``annotation`` for ``annotations`` and ``filename`` for ``file_name``.

Layout of the owner's repository: ``normal_json/annotations/{train,val,test}.json`` with upright boxes beside
``rotate_json/annotations/…`` with ``bbox = [xc, yc, w, h, angle in radians]``. The oriented files are read when
oriented labels are wanted. Category DontCare is a region to ignore, not a class.

Source: Suo et al., HIT-UAV, Scientific Data 10, 227 (2023), doi 10.1038/s41597-023-02066-6.
"""

from __future__ import annotations

from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers._labels import ImportOptions
from rsdet.data.importers._layout import Source
from rsdet.data.importers.coco import Dialect, read_documents


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a HIT-UAV folder, its ``normal_json`` or ``rotate_json`` part, or a single JSON file."""
    files = Source.open(source, ".json")
    found = files.with_suffix(".json")
    wanted = "rotate_json" if options.obb else "normal_json"
    in_annotations = [p for p in found if p.parent.name == "annotations"]
    candidates = [p for p in found if wanted in p.parts] or in_annotations or found
    turned = any("rotate_json" in p.parts for p in candidates)
    dialect = Dialect(annotations=("annotation", "annotations"), file_name=("filename", "file_name"), turned=turned)
    return read_documents(files, candidates, dialect, options, log)
