"""All files of a set of two dates looked at before training; what is wrong is told at once."""

from __future__ import annotations

import filecmp
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rsdet.data.dates.labels import LabelReader
from rsdet.data.dates.pairs import REMEDY, DatePair, date_pairs
from rsdet.data.images import no_pixel_limit
from rsdet.data.masks.look import same_place
from rsdet.data.pairs.check import header_problem, whole_header
from rsdet.data.pairs.matching import Problems
from rsdet.data.sar.header import SarHeader
from rsdet.errors import DataError

_THREADS = 8


def read_dates(
    data: Mapping[str, Any], splits: Sequence[str] = ("train", "val"), name: str = "data", bits: int | None = None
) -> dict[str, list[DatePair]]:
    """Pairs of several splits, matched and checked.

    Args:
        data: Content of a data YAML with an absolute ``path``; see :mod:`rsdet.data.dates.pairs`.
        splits: Splits to read.
        name: For messages.
        bits: Of a sample; None for any number.

    Raises:
        ConfigError: A split is missing, or the YAML has wrong values.
        DataError: What does not match or cannot be used, all in one line.
    """
    problems, labels = Problems(), LabelReader.of(data)
    found = {split: date_pairs(data, split, problems=problems) for split in splits}
    every = list(dict.fromkeys(pair for pairs in found.values() for pair in pairs))
    check_pairs(every, labels, channels=data.get("channels"), bands=data.get("bands"), problems=problems, bits=bits)
    problems.raise_any(name, REMEDY)
    train, val = ({p.before.resolve() for p in found.get(s, ())} for s in ("train", "val"))
    if shared := train & val:
        logging.getLogger("rsdet").warning(
            "%d places are in train and in val: what val measures is partly learnt by heart (%s)",
            len(shared), min(shared),
        )  # fmt: skip
    return found


def check_pairs(
    pairs: Sequence[DatePair],
    labels: LabelReader | None = None,
    *,
    channels: int | None = None,
    bands: Sequence[int] | None = None,
    problems: Problems | None = None,
    name: str = "the pairs",
    bits: int | None = None,
) -> None:
    """Look at all files of pairs: damage, sizes, bands, types, places on Earth, equal files, values of labels.

    Args:
        pairs: The files.
        labels: What labels mean; None leaves their values unread.
        channels: Channels of one date that the model takes; None for whatever all have.
        bands: Bands to take of each file, counted from 1.
        problems: Filled; without it, what is wrong is raised.
        name: For messages.
        bits: Of a sample; None for any number.

    Raises:
        DataError: One line about all that is wrong.
    """
    own = Problems(of=len(pairs)) if problems is None else problems
    used: set[int] = set()
    with no_pixel_limit(), ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for pair, (faults, present) in zip(
            pairs, pool.map(lambda p: _look(p, labels, channels, bands, bits), pairs), strict=True
        ):
            used |= present
            for kind, what in faults:
                own.add(kind, what or pair.before.name)
    if labels is not None and (why := labels.contradiction(used)) and not any("values" in k for k in own.found):
        own.add("sets of labels whose values contradict each other", f"the set {why}")
    if problems is None:
        own.raise_any(name, REMEDY)


def _look(
    pair: DatePair,
    labels: LabelReader | None,
    channels: int | None,
    bands: Sequence[int] | None,
    bits: int | None,
) -> tuple[list[tuple[str, str]], set[int]]:
    """What is wrong with a pair, as kinds and files, and which doubtful values its label holds."""
    one, two = whole_header(pair.before), whole_header(pair.after)
    kinds: list[tuple[str, str]] = []
    for header in (one, two):
        own = channels if channels is not None else header.bands - header.alpha
        if why := header_problem(header, own, list(bands) if bands else None):
            kinds.append(("files that cannot be used", f"{header.path.name} {why}"))
        elif bits is not None and int("".join(filter(str.isdigit, header.dtype)) or 0) > bits:
            kind = f"files of more than {bits} bits per sample, which want one fixed stretch for the whole set"
            kinds.append((kind, f"{header.path.name} ({header.dtype})"))
    if kinds:
        pass  # of what cannot be read, nothing more is known
    elif _size(one) != _size(two):
        kinds.append(("pairs of two sizes", f"{pair.before.name} ({_size(one)} and {_size(two)})"))
    elif bands is None and (_kind(one) != _kind(two)):
        kinds.append(("pairs of two kinds of pixels", f"{pair.before.name} ({_kind(one)} and {_kind(two)})"))
    elif _same(pair.before, pair.after):
        kinds.append(("pairs whose dates are one picture", f"{pair.before} and {pair.after}"))
    else:
        try:
            same_place(pair.before, pair.after, ("earlier date", "later date"), "bilinear")
        except DataError as e:
            kinds.append(("pairs on two grids", str(e)))
    present: set[int] = set()
    if pair.label is not None:
        whole = [h for h in (one, two) if h.width]
        more, present = _look_at_label(pair.label, whole[0] if whole else None, labels)
        kinds += more
    return kinds, present


def _look_at_label(
    path: Path, date: SarHeader | None, labels: LabelReader | None
) -> tuple[list[tuple[str, str]], set[int]]:
    header = whole_header(path)
    if header.damage or header.problem.startswith("is cut short"):
        return [("files that cannot be used", f"{path.name} {header.problem}")], set()
    if date is not None and _size(header) != _size(date):
        return [("labels of another size", f"{path.name} ({_size(header)}, its dates {_size(date)})")], set()
    try:
        if date is not None:
            same_place(date.path, path, ("date", "label"))
        _, wrong, present = labels.read(path) if labels is not None else (None, "", set())
        if wrong or (labels is not None and (wrong := labels.contradiction(present))):
            return [("labels with values that have no meaning", f"{path.name} {wrong}")], set()
    except DataError as e:
        return [("labels that cannot be used", str(e))], set()
    return [], present


def _same(one: Path, two: Path) -> bool:
    return one.samefile(two) or (one.stat().st_size == two.stat().st_size and filecmp.cmp(one, two, shallow=False))


def _size(header: SarHeader) -> str:
    return f"{header.width}x{header.height}"


def _kind(header: SarHeader) -> str:
    bands = 3 if header.problem.startswith("holds the colours of a palette") else header.bands - header.alpha
    return f"{bands} bands of {header.dtype}"
