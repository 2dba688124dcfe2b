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

from rsdet.data.annotations import Dataset, Dropped, ImportLog, kind_of
from rsdet.errors import DataError

ENOUGH = 0.1
_CHOSEN = "class left out"
_WITHOUT_PICTURE = ("label without image", "second label file", "unreadable image")
_REMEDY = "mend the labels or check format= and the folder; allow_empty=True converts what is left"


def check_losses(dataset: Dataset, log: ImportLog, source: object, format: str) -> None:
    """Refuse a source of which too little is left.

    Args:
        dataset: What was read.
        log: What was dropped on the way, and why.
        source: For the message.
        format: For the message.

    Raises:
        DataError: Too little is left of the source, of a split or of a class, with the reasons, the commonest first.
    """
    kept: Counter[tuple[str, str]] = Counter()  # (split, class)
    lost: Counter[tuple[str, str, str]] = Counter()  # (split, class, kind)
    regions = 0
    for split, records in dataset.splits.items():
        kept.update((split, dataset.names[item.cls]) for record in records for item in record.objects)
        regions += sum(len(record.ignored_xyxy_px) for record in records)
    for split, part in log.items():
        lost.update({(split, *key): n for key, n in part.lost.items()})
    if not kept and not regions and not lost:
        files = [d for part in log.values() for d in part.dropped if kind_of(d.reason) in _WITHOUT_PICTURE]
        labelled = [r.has_label_file for records in dataset.splits.values() for r in records]
        said = _said(Counter(kind_of(d.reason) for d in files), files) or f"{sum(labelled)} label files"
        raise DataError(f"{source} read as format={format}: no box for {len(labelled)} images ({said}); {_REMEDY}")
    everything = [d for part in log.values() for d in part.dropped]
    scopes = [(f"{source} read as format={format}", None, None)]
    scopes += [(f"split {s} of {source}", s, None) for s in sorted({*dataset.splits, *log} - {""})]
    scopes += [(f"class {name!r} of {source}", None, name) for name in dataset.names]
    for scope, split, name in scopes:
        have = sum(n for (s, c), n in kept.items() if split in (None, s) and name in (None, c))
        gone = Counter()
        for (s, c, kind), n in lost.items():
            if split in (None, s) and name in (None, c):
                gone[kind] += n
        chosen = gone.pop(_CHOSEN, 0)
        if have == 0 and not gone and name is None:
            gone[_CHOSEN] = chosen
        total = have + gone.total()
        if total and have < ENOUGH * total:
            of_scope = everything if split is None else log[split].dropped
            raise DataError(f"{scope}: {have} of {total} boxes can be used ({_said(gone, of_scope)}); {_REMEDY}")
    edges = [(max(o.xyxy_px), r.width) for rs in dataset.splits.values() for r in rs for o in r.objects]
    if edges and all(far <= 1.01 < width / 2 for far, width in edges):
        what = "fractions of the picture? multiply x by its width, y by its height"
        raise DataError(f"{source}: all {len(edges)} boxes lie within one pixel of the corner; {what}, or {_REMEDY}")
    labels = sum(record.has_label_file for records in dataset.splits.values() for record in records)
    files = [d for d in everything if kind_of(d.reason) == _WITHOUT_PICTURE[0] and not d.where]
    if labels < ENOUGH * (labels + len(files)):
        said = _said(Counter(kind_of(d.reason) for d in files), files)
        raise DataError(f"{source}: {labels} of {labels + len(files)} labelled images are there ({said}); {_REMEDY}")


def _said(kinds: Counter[str], dropped: list[Dropped]) -> str:
    """Counts per reason, the commonest first, with the first example of that one."""
    text = ", ".join(f"{n} x {kind}" for kind, n in kinds.most_common() if n)
    example = next((d for kind, _ in kinds.most_common(1) for d in dropped if kind_of(d.reason) == kind), None)
    if example is None:
        return text
    place = ":".join(part for part in (example.file, example.where) if part)
    detail = example.reason.partition(": ")[2]
    return f"{text}; the first, {place}: {detail}" if detail else f"{text}; the first: {place}"
