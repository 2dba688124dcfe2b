"""DOTA text files: ``x1 y1 x2 y2 x3 y3 x4 y4 class difficult`` below two optional header lines.

Layout of the owner's archives: ``{train,val}/{images,labelTxt}`` (also ``labelTxt-v1.0/labelTxt``); upright boxes in
``…reclabelTxt`` folders are left aside. The upright box of an object spans its four corners; the corners are kept for
oriented labels.

Objects marked difficult stay objects: that is how published detectors are trained, and the official evaluation skips
them when it matches. They are counted in the report; ``difficult="ignore"`` makes them ignored regions instead.
"""

from __future__ import annotations

import re
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers._labels import (
    ClassTable,
    Collector,
    ImportOptions,
    bounds,
    numbers,
    read_lines,
    shown,
    whole,
)
from rsdet.data.importers._layout import Source
from rsdet.data.importers._text import read_pairs

# Order of the DOTA papers: 15 classes in v1.0, one more in v1.5, two more in v2.0.
NAMES = (
    "plane",
    "ship",
    "storage-tank",
    "baseball-diamond",
    "tennis-court",
    "basketball-court",
    "ground-track-field",
    "harbor",
    "bridge",
    "large-vehicle",
    "small-vehicle",
    "helicopter",
    "roundabout",
    "soccer-ball-field",
    "swimming-pool",
    "container-crane",
    "airport",
    "helipad",
)
_VERSIONS = (15, 16, 18)
_HEADER = re.compile(r"[A-Za-z][A-Za-z _]*:")


def read_labels(path: Path, into: Collector, classes: ClassTable) -> None:
    """Put the objects of one label file into its image."""
    for line, text in read_lines(path):
        if line <= 3 and _HEADER.match(text):
            continue
        tokens = text.split()
        corners = numbers(tokens[:8])
        if corners is None or len(tokens) < 9:
            into.drop(line, f"malformed line: expected 8 numbers, a class and 0 or 1, received {shown(text)}")
            continue
        flag = numbers(tokens[-1:]) if len(tokens) > 9 else None
        hard = whole(flag[0]) if flag else None
        name = " ".join(tokens[8:] if hard is None else tokens[8:-1])  # a class may be written with a space
        into.take(line, name, classes, bounds(corners), [corners], difficult=bool(hard))


def _order(found: list[str]) -> list[str] | None:
    """The official order when only official classes occur: all of the smallest version that has them."""
    if not found or not set(found) <= set(NAMES):
        return None
    return next(list(NAMES[:n]) for n in _VERSIONS if set(found) <= set(NAMES[:n]))


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a DOTA folder, or a single label file beside its image."""
    files = Source.open(source, ".txt")
    classes = ClassTable(options.names)
    labels = [
        p
        for p in files.with_suffix(".txt")
        if not p.name.lower().startswith("readme") and (p == files.only or "reclabeltxt" not in p.parent.name.lower())
    ]
    dataset = read_pairs(files, labels, lambda p, c: read_labels(p, c, classes), options, log)
    classes.settle(dataset, _order(classes.names))
    return dataset
