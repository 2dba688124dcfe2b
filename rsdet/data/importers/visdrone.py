"""VisDrone-DET text files: ``left,top,width,height,score,category,truncation,occlusion``.

Layout of the owner's archives: ``VisDrone2019-DET-{train,val,test-dev}/{images,annotations}``.

In ground truth the score says whether a row is judged. Rows with category 0 (ignored regions) or score 0 become
ignored regions. The official toolkit (VisDrone2018-DET-toolkit, ``dropObjectsInIgr.m`` and ``calcAccuracy.m``) removes
boxes and detections that lie at least half in a category-0 region, and judges categories 1 to 10 only: category 11
(others) is neither a class nor a region there, so a detection on such an object counts as wrong. By default category
11 becomes an ignored region here; ``others="drop"`` follows the toolkit to the letter.
"""

from __future__ import annotations

from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers._labels import ClassTable, Collector, ImportOptions, numbers, read_lines, shown, whole
from rsdet.data.importers._layout import Source
from rsdet.data.importers._text import read_pairs

NAMES = (
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
)
_IGNORED, _OTHERS = 0, 11


def read_labels(path: Path, into: Collector, classes: ClassTable, others: str = "ignore") -> None:
    """Put the rows of one annotation file into its image."""
    for line, text in read_lines(path):
        fields = text.rstrip(",").split(",")  # some rows of the original end in a comma
        values = numbers(fields)
        if values is None or len(values) != 8:
            into.drop(line, f"malformed line: expected 8 comma-separated numbers, received {shown(text)}")
            continue
        x, y, w, h, score, number = values[:6]
        box = (x, y, x + w, y + h)
        category = whole(number)
        if category == _OTHERS and others == "drop":
            into.drop(line, "category others: neither a class nor an ignored region (others=drop)")
        elif category in (_IGNORED, _OTHERS) or (score == 0 and category is not None and 0 <= category <= len(NAMES)):
            into.add(line, None, box)
        elif category is None or not 1 <= category <= len(NAMES):
            into.drop(line, f"unknown class: category {number:g}, expected 0 to 11")
        elif (cls := classes.find(NAMES[category - 1])) is None:
            into.drop(line, f"unknown class: {NAMES[category - 1]} is not among the names asked for")
        else:
            into.add(line, cls, box)


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a VisDrone-DET folder, one of its splits, or a single annotation file beside its image."""
    files = Source.open(source, ".txt")
    classes = ClassTable(options.names or NAMES)
    labels = [p for p in files.with_suffix(".txt") if not p.name.lower().startswith("readme")]
    dataset = read_pairs(files, labels, lambda p, c: read_labels(p, c, classes, options.others), options, log)
    classes.settle(dataset)
    return dataset
