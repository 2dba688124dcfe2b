"""Masks read as maps of classes, for ``task=semantic``: pictures and masks of one name in two kinds of folders.

What values and colours mean is said by ``names``: a data YAML with ``label_mapping`` or ``palette``; or
``water=#0000ff,road=#ff0000`` (in one-channel masks ``water=1,road=2``), where black and 0 are background; or one name
for all that is not black; or names in the order of the numbers. Values without a meaning have no class and are counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rsdet.data.annotations import NOTHING, UNKNOWN, Dataset, ImageRecord, ImportLog
from rsdet.data.importers._labels import ClassTable, Collector, ImportOptions
from rsdet.data.importers._layout import Source
from rsdet.data.importers._merged import MergedValues
from rsdet.data.importers._text import read_pairs
from rsdet.data.masks.look import read_classes, same_place
from rsdet.data.masks.meaning import Table
from rsdet.data.masks.reader import MaskReader
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.confusion import IGNORE

FOLDERS = re.compile(r"masks?|labels?|annotations?|gts?|ground_?truth", re.IGNORECASE)
_ENDS = re.compile(r"_(?:mask|labels?|gt|merged)$", re.IGNORECASE)
_BESIDE = 254  # of a reader: background that is no class
_EXAMPLE = (
    "give names=water,road in the order of their numbers, names=water=#0000ff,road=#ff0000, or a data YAML that says "
    "by label_mapping: or palette: what they hold"
)

BesideOf = Callable[[Path], Sequence[Path]]
"""Picture to masks of what is to be left out of it."""


class MaskSource(Source):
    """A source in which a mask and its picture have the same key; ``a_mask.png`` belongs to ``a.jpg``."""

    def key(self, path: Path) -> tuple[str, ...]:
        """See :class:`Source`."""
        *folders, stem = super().key(path)
        parts = path.relative_to(self.root).parts[:-1]
        if any(FOLDERS.fullmatch(part) for part in parts):
            stem = _ENDS.sub("", stem)
        return (*(part for part in folders if not FOLDERS.fullmatch(part)), stem)


@dataclass(frozen=True, eq=False)
class MaskMap:
    """Reads the mask of a picture.

    Attributes:
        path: The mask.
        reader: What it holds.
        one: The numbers of the reader are 0 for background and 1 for the only class.
        beside: Masks of what is left out.
    """

    path: Path
    reader: MaskReader
    one: bool
    beside: tuple[Path, ...] = ()

    def __call__(self) -> np.ndarray:
        """Classes, (H, W) int16."""
        to = np.arange(256, dtype=np.int16) - self.one
        to[[_BESIDE, IGNORE]] = NOTHING, UNKNOWN  # of one class, 0 is NOTHING
        return to[read_classes(self.reader, self.path, self.beside, strict=False)]


@dataclass(frozen=True, eq=False)
class Bare:
    """The map of a picture with nothing but background."""

    size_hw: tuple[int, int]

    def __call__(self) -> np.ndarray:
        """Classes, (H, W) int16."""
        return np.full(self.size_hw, NOTHING, np.int16)


def reader_of(options: ImportOptions) -> tuple[list[str], MaskReader, bool]:
    """Class names, what masks hold, and whether it says the class of every pixel.

    Raises:
        ConfigError: ``names`` do not say it.
    """
    if not options.names:
        raise ConfigError(f"masks do not say what they show; {_EXAMPLE}.")
    names = [text.partition("=")[0].strip() for text in options.names]
    if options.meaning is not None:
        return names, MaskReader.of({**options.meaning, "names": names}), True
    goals = [text.partition("=")[2].strip() for text in options.names]
    if len(names) == 1 and not goals[0]:
        every = Table.of({0: _BESIDE, IGNORE: 0}, others=0)
        return names, MaskReader(tuple(names), every, every, {}), False
    if not any(goals):
        return names, MaskReader.of({"names": names}), True
    found = {0: _BESIDE}
    coloured = all(re.fullmatch(r"#[0-9a-fA-F]{6}", goal) for goal in goals)
    for i, (text, goal) in enumerate(zip(options.names, goals, strict=True)):
        if not coloured and not re.fullmatch(r"\d{1,9}", goal):
            raise ConfigError(f"names: {text!r} must be a class and its colour or number in the masks; {_EXAMPLE}.")
        value = int(goal[1:], 16) if coloured else int(goal)
        if value in found:
            raise ConfigError(f"names: {goal} is the background (0, black), or given twice; {_EXAMPLE}.")
        found[value] = i
    if not coloured:
        return names, MaskReader(tuple(names), Table.of({IGNORE: IGNORE, **found}), None, {}), False
    grey = {k % 256: c for k, c in found.items() if k % 0x010101 == 0}
    return names, MaskReader(tuple(names), Table.of(grey), Table.of(found), {}), False


def give_map(
    into: Collector,
    mask: Path,
    reader: MaskReader,
    one: bool,
    beside: Sequence[Path] = (),
    merged: MergedValues | None = None,
) -> None:
    """Let a picture read its mask; what is wrong with it is in the log, and refuses the picture where it must."""
    record = into.record
    into.stated(record.width, record.height, by="the picture")
    try:
        classes, wrong = reader.read(mask, merged and partial(merged.see, into.split))
        note = same_place(record.path, mask) if record.path else ""
    except DataError as e:
        into.refuse(f"unusable mask: {e}")
        into.drop("", "unusable mask")
        return
    if classes.shape != (record.height, record.width):
        size = f"{classes.shape[1]} x {classes.shape[0]}"
        into.refuse(f"size does not fit: the mask has {size} px, the image {record.width} x {record.height}")
        into.drop("", "size does not fit")
        return
    if wrong:
        into.log.drop(into.split, into.file, "", f"values without a meaning, which have no class: the mask {wrong}")
    if note:
        into.log.note(into.split, into.file, "", note)
    record.class_map = MaskMap(mask, reader, one, tuple(beside))


def read_maps(
    files: Source, masks: Sequence[Path], options: ImportOptions, log: ImportLog, beside_of: BesideOf | None = None
) -> Dataset:
    """Pair pictures with masks.

    Args:
        files: The pictures.
        masks: The masks.
        options: What the user asked for.
        log: Where everything dropped is written.
        beside_of: More masks of a picture.
    """
    names, reader, covered = reader_of(options)
    one = covered and len(names) == 1
    merged = None if covered or len(names) > 1 or "=" in options.names[0] else MergedValues()

    def read(mask: Path, into: Collector) -> None:
        beside = beside_of(into.record.path) if beside_of and into.record.path else ()
        give_map(into, mask, reader, one, beside, merged)

    dataset = read_pairs(files, masks, read, options, log)
    if merged is not None:
        merged.tell(log, names[0])
    for split, records in dataset.splits.items():
        for record in [r for r in records if r.class_map is None]:
            log.drop(split, record.name, "", "picture without mask: it says nothing of any pixel")
        dataset.splits[split] = [r for r in records if r.class_map is not None]
    ClassTable(names).settle(dataset)
    dataset.covered = covered
    return dataset


def bare(record: ImageRecord) -> None:
    """Let a picture be background."""
    record.class_map = Bare((record.height, record.width))
