"""Labels lost on the way: how many are too many.

What an importer cannot use is left out and reported. Where that is nearly all, the result is a set of background that
trains to nothing, and the cause is one: a wrong format, another unit, names that match nothing. So a source, a split or
a class of which less than a tenth of the stated boxes is usable is an error.

Boxes that all lie within one pixel of a corner are fractions of the picture read as pixels, and lost as well.

Judged are boxes that the source states as objects. Ignored regions are none, nor are repeated ones; boxes of classes
that ``names=`` leaves out only count where nothing else is left. A split whose label files are empty is fine, a source
without one label is not: most often it is the wrong folder.
"""

from __future__ import annotations

from collections import Counter

from rsdet.data.annotations import Dataset, Dropped, ImportLog, SplitLog, kind_of
from rsdet.errors import DataError

ENOUGH = 0.1
_CHOSEN = "class left out"
_NO_IMAGE = {("label without image", ""), ("listed image not found", "line")}  # whole files, lines of lists
_REMEDY = "mend the labels or check format= and the folder; allow_empty=True converts what is left"


def check_losses(
    dataset: Dataset, log: ImportLog, source: object, format: str, asked: str | None = None, what: str = "boxes"
) -> None:
    """Refuse a source of which too little is left.

    Args:
        dataset: What was read.
        log: What was dropped on the way, and why.
        source: For the message.
        format: For the message.
        asked: The only split that was to be read; what is missing of others is no loss.
        what: What its labels are, for the message.

    Raises:
        DataError: Too little is left of the source, of a split or of a class, with the reasons, the commonest first.
    """
    parts = {s: part for s, part in log.items() if asked is None or s in (asked, "")}
    records = [(split, record) for split, found in dataset.splits.items() for record in found]
    kept: Counter[tuple[str, str]] = Counter()  # of (split, class)
    for split, record in records:
        kept.update((split, dataset.names[item.cls]) for item in record.objects)
        kept[split, ""] += record.class_map is not None
    lost = [(s, name, kind, n) for s, part in parts.items() for (name, kind), n in part.lost.items()]
    splits = sorted({*dataset.splits, *parts} - {""})
    here = f"{source} read as format={format}"
    scopes = [(here, None, None), *((f"split {s} of {here}", s, None) for s in splits)]
    for scope, split, name in [*scopes, *((f"class {n!r} of {here}", None, n) for n in dataset.names)]:
        have = sum(n for (s, c), n in kept.items() if split in (None, s) and name in (None, c))
        gone: Counter[str] = Counter()
        for s, c, kind, n in lost:
            if split in (None, s) and name in (None, c) and (kind != _CHOSEN or (name is None and not have)):
                gone[kind] += n
        _refuse_if_few(have, gone, parts, split, f"{scope}: {{}} of {{}} {what} can be used")
    for scope, split, _ in scopes:
        have = sum(record.has_label_file for s, record in records if split in (None, s))
        gone = Counter(
            kind_of(d.reason)
            for s, part in parts.items()
            for d in part.dropped
            if split in (None, s) and (kind_of(d.reason), d.where and "line") in _NO_IMAGE
        )
        _refuse_if_few(have, gone, parts, split, f"{scope}: {{}} of {{}} labelled or listed images are there")
    edges = [(max(item.xyxy_px), record.width) for _, record in records for item in record.objects]
    if edges and all(far <= 1.01 < width / 2 for far, width in edges):
        what = "fractions of the picture? multiply x by its width, y by its height"
        raise DataError(f"{here}: all {len(edges)} boxes lie within one pixel of the corner; {what}, or {_REMEDY}")
    if records and not kept.total() and not any(record.ignored_xyxy_px for _, record in records):
        labels = sum(record.has_label_file for _, record in records)
        raise DataError(f"{here}: no box for any of {len(records)} images, {labels} label files; {_REMEDY}")


def _refuse_if_few(have: int, gone: Counter[str], parts: dict[str, SplitLog], split: str | None, said: str) -> None:
    total = have + gone.total()
    if total and have < ENOUGH * total:
        dropped = [d for s, part in parts.items() if split in (None, s) for d in part.dropped]
        raise DataError(f"{said.format(have, total)} ({_said(gone, dropped)}); {_REMEDY}")


def _said(kinds: Counter[str], dropped: list[Dropped]) -> str:
    """Counts per reason, the commonest first, with the first example of that one."""
    text = ", ".join(f"{n} x {kind}" for kind, n in kinds.most_common() if n)
    example = next((d for kind, _ in kinds.most_common(1) for d in dropped if kind_of(d.reason) == kind), None)
    if example is None:
        return text
    place = ":".join(part for part in (example.file, example.where) if part)
    detail = example.reason.partition(": ")[2]
    return f"{text}; the first, {place}: {detail}" if detail else f"{text}; the first: {place}"
