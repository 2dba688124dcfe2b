"""The loop that all formats with one label file per image share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.groups import image_key
from rsdet.data.importers._frames import Frames
from rsdet.data.importers._images import calm_pillow
from rsdet.data.importers._labels import Collector, ImportOptions
from rsdet.data.importers._layout import Pair, Source, check_undivided, file_under, finish, image_record, pair
from rsdet.data.splitting import Splitter

ReadLabels = Callable[[Path, Collector], None]


def read_pairs(
    source: Source,
    labels: Iterable[Path],
    read: ReadLabels,
    options: ImportOptions,
    log: ImportLog,
    assign: Callable[[list[Pair]], list[Pair]] | None = None,
    after: Callable[[Collector], None] | None = None,
) -> Dataset:
    """Pair images with label files, measure each image and let ``read`` put the boxes of its label file into it.

    Args:
        source: The files.
        labels: Label files.
        read: Called with a label file and the collector of its image.
        options: What the user asked for.
        log: Where everything dropped is written.
        assign: Changes the pairs before they are read, for formats that list their splits in files.
        after: Called for every image when its label file has been read, for formats with more to say about it.
    """
    pairs = pair(source, labels, log)
    if assign is not None:
        pairs = assign(pairs)
    pairs = _without_unlabelled_splits(pairs, options, log)
    if options.splitter is not None:
        divide(pairs, options.splitter)
    goes_to = file_under((p.split for p in pairs), options)
    dataset, frames = Dataset([]), Frames()
    with calm_pillow():
        for item in options.track(pairs, "reading labels"):
            split = goes_to[item.split]
            if split is None:
                continue
            record = image_record(item.image, source, split, log)
            if record is None:
                if item.label is not None:
                    log[split].lost["", "unreadable image"] += 1
                continue
            record.has_label_file = item.label is not None
            file = source.rel(item.label or item.image)
            collector = Collector(record, log, split, file, options.difficult, frames, options.angle_unit)
            if item.label is not None:
                read(item.label, collector)
            collector.close()
            if collector.refused:
                continue
            if after is not None:
                after(collector)
            dataset.splits.setdefault(split, []).append(record)
    frames.settle(dataset, log)
    for split in [s for s in log if s in goes_to and goes_to[s] != s]:  # follow the images to where they went
        _move_log(log, split, goes_to[split])
    return finish(dataset, source, log)


def divide(pairs: list[Pair], splitter: Splitter) -> None:
    """Give images the splits that were asked for.

    Raises:
        DataError: The source has several of its own.
    """
    check_undivided(p.split for p in pairs)
    split_of = splitter.divide(p.image.name for p in pairs)
    for item in pairs:
        item.split = split_of[image_key(item.image.name)]


def _without_unlabelled_splits(pairs: list[Pair], options: ImportOptions, log: ImportLog) -> list[Pair]:
    """Leave out test sets whose labels the owner keeps: as background they would make every detection wrong.

    A split is kept when it was asked for by name, or when no split has labels.
    """
    labelled = {p.split for p in pairs if p.label is not None}
    bare = {p.split for p in pairs} - labelled - {options.split}
    if not labelled or not bare:
        return pairs
    for split in sorted(bare, key=str):
        n = sum(p.split == split for p in pairs)
        log.drop("", split or "images in no split", "", f"split without labels: {n} images, not one label file")
    return [p for p in pairs if p.split not in bare]


def _move_log(log: ImportLog, old: str, new: str | None) -> None:
    moved = log.pop(old)
    if new is not None:
        log[new].dropped[:0] = moved.dropped
        log[new].notes[:0] = moved.notes
