"""Which of YOLO's three forms label files hold: told by the count of numbers in their rows, before anything is read.

5 numbers are an upright box (6: with a confidence or a track id), 9 an oriented box, any other odd count from 7 on a
polygon. A polygon of four corners looks like an oriented box; a folder with both holds polygons. Boxes with key points
cannot be told from polygons here: a data YAML with ``kpt_shape:`` says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rsdet.names import printable


@dataclass
class LabelKind:
    """What the label files of a folder hold.

    Attributes:
        kind: ``detect``, ``obb``, ``segment``, ``mixed`` (upright boxes beside one of the others), or ``empty``.
        files: The same for each file, to its files in the order given; ``unclear`` has those with rows of none of them.
    """

    kind: str
    files: dict[str, list[Path]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Each kind of file, with its number and the first one's name: ``detect: 3, first a.txt; obb: 9, …``."""
        return "; ".join(
            f"{kind}: {len(files)}, first {printable(files[0].name)}"
            for kind, files in sorted(self.files.items())
            if kind != "empty"
        )


def label_kind(files: Iterable[Path]) -> LabelKind:
    """Look at the rows of label files; those that cannot be opened count as ``unclear``."""
    by_kind: dict[str, list[Path]] = {}
    for path in files:
        by_kind.setdefault(_kind_of_file(path), []).append(path)
    kinds = set(by_kind) - {"empty", "unclear"}
    if "mixed" in kinds or ("detect" in kinds and len(kinds) > 1):
        return LabelKind("mixed", by_kind)
    return LabelKind("segment" if "segment" in kinds else kinds.pop() if kinds else "empty", by_kind)


def _kind_of_file(path: Path) -> str:
    try:
        text = path.read_bytes().replace(b";", b" ")
    except OSError:
        return "unclear"
    lengths = {len(row.split()) for row in text.splitlines()} - {0}
    if lengths and max(lengths) < 5:  # numbers between commas
        lengths = {len(row.split()) for row in text.replace(b",", b" ").splitlines()} - {0}
    boxes, long = lengths & {5, 6}, {n for n in lengths if n > 6 and n % 2}
    if lengths - boxes - long:
        return "unclear" if not (boxes and long) else "mixed"
    if boxes or not long:
        return "mixed" if long else "detect" if boxes else "empty"
    return "obb" if long == {9} else "segment"
