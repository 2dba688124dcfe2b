"""VisDrone text files: ``left,top,width,height,score,category,truncation,occlusion``.

Layout of the owner's archives: ``VisDrone2019-DET-{train,val,test-dev}/{images,annotations}``. Result files may lack
the last two numbers. The sets of videos (VID, MOT) have one file for each sequence, ``annotations/<sequence>.txt``,
with ``frame,target`` before these numbers; its pictures are ``sequences/<sequence>/0000001.jpg`` and so on.

In ground truth the score says whether a row is judged. Rows with category 0 (ignored regions) or score 0 become
ignored regions. The official toolkit (VisDrone2018-DET-toolkit, ``dropObjectsInIgr.m`` and ``calcAccuracy.m``) removes
boxes and detections that lie at least half in a category-0 region, and judges categories 1 to 10 only: category 11
(others) is neither a class nor a region there, so a detection on such an object counts as wrong. By default category
11 becomes an ignored region here; ``others="drop"`` follows the toolkit to the letter.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog, printable
from rsdet.data.importers._labels import ClassTable, Collector, ImportOptions, numbers, read_lines, shown, whole
from rsdet.data.importers._layout import Pair, Source
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
Rows = list[tuple[int, str]]


def read_labels(
    path: Path, into: Collector, classes: ClassTable, others: str = "ignore", rows: Rows | None = None
) -> None:
    """Put the rows of one annotation file, or those of one frame of it, into its image."""
    for line, text in read_lines(path) if rows is None else rows:
        values = numbers(_fields(text))
        if rows is not None and values is not None and len(values) == 10:
            values = values[2:]
        if values is None or len(values) not in (6, 8):
            hint = "; a file of a video needs its pictures in a folder of its name" if len(values or ()) == 10 else ""
            into.drop(line, f"malformed line: expected 8 comma-separated numbers, received {shown(text)}{hint}")
            continue
        x, y, w, h, score, number = values[:6]
        box = (x, y, x + w, y + h)
        category = whole(number)
        if category == _OTHERS and others == "drop":
            reason = "category others: neither a class nor an ignored region (others=drop)"
            into.log.drop(into.split, into.file, line, reason)
        elif category in (_IGNORED, _OTHERS) or (score == 0 and category is not None and 0 <= category <= len(NAMES)):
            into.add(line, None, box)
        elif category is None or not 1 <= category <= len(NAMES):
            into.drop(line, f"unknown class: category {number:g}, expected 0 to 11")
        else:
            into.take(line, NAMES[category - 1], classes, box)


def _fields(text: str) -> list[str]:
    return text.rstrip(",").split(",")  # some rows of the original end in a comma


class _Sequences:
    """Annotation files of videos: one for a folder of pictures."""

    def __init__(self, files: Source, log: ImportLog):
        self.files, self.log = files, log
        self._rows: dict[Path, dict[int | None, Rows]] = {}
        self._read: set[Path] = set()

    def assign(self, pairs: list[Pair]) -> list[Pair]:
        """Give the pictures of a folder the file that is called after it."""
        by_name = defaultdict(list)
        for path in self.files.with_suffix(".txt"):
            by_name[path.stem].append(path)
        found, used = set(), {item.label for item in pairs}
        for item in pairs:
            labels = by_name.get(item.image.parent.name, ()) if item.label is None else ()
            fits = [p for p in labels if len(labels) == 1 or self.files.split(p) == item.split]
            if len(fits) == 1 and fits[0] not in used and _frame_of(item.image) is not None:
                item.label = fits[0]
                item.split = item.split or self.files.split(fits[0])
                found.add(fits[0])
        for path in found:
            by_frame = self._rows[path] = defaultdict(list)
            for line, text in read_lines(path):
                by_frame[whole((numbers(_fields(text)[:1]) or [0.5])[0])].append((line, text))
        self.log.retract({printable(self.files.rel(path)) for path in found})
        return pairs

    def rows(self, path: Path, into: Collector) -> Rows | None:
        """The rows of one frame; None for a file that belongs to one picture."""
        if path not in self._rows:
            return None
        self._read.add(path)
        return self._rows[path].pop(_frame_of(into.record.path), [])

    def report_the_rest(self) -> None:
        """Say which rows have no picture."""
        for path in sorted(self._read):
            for frame, rows in self._rows[path].items():
                where = f"frame {frame}" if frame is not None else "frame unknown"
                self.log.drop("", self.files.rel(path), where, f"label without image: {len(rows)} rows")
                self.log[""].lost["", "label without image"] += len(rows)


def _frame_of(image: Path) -> int | None:
    return int(image.stem) if image.stem.isdecimal() and len(image.stem) < 10 else None


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a VisDrone folder, one of its splits, or a single annotation file beside its image."""
    files = Source.open(source, ".txt")
    classes = ClassTable(options.names or NAMES)
    labels = [p for p in files.with_suffix(".txt") if not p.name.lower().startswith("readme")]
    videos = _Sequences(files, log)

    def read_one(path: Path, into: Collector) -> None:
        read_labels(path, into, classes, options.others, videos.rows(path, into))

    dataset = read_pairs(files, labels, read_one, options, log, videos.assign)
    videos.report_the_rest()
    classes.settle(dataset)
    return dataset
