"""Bijie landslides: pictures with and without landslides, masks of the former.

Layout: ``landslide/image``, ``landslide/mask`` (not black on landslides) and ``non-landslide/image``, of which every
pixel is background; ``dem`` and ``polygon_coordinate`` beside them are not read.

Source: Ji et al., Landslide detection from an open satellite imagery and digital elevation model dataset using
attention boosted convolutional neural networks, Landslides 17, 2020.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers._labels import ClassTable, ImportOptions
from rsdet.data.importers._layout import Source
from rsdet.data.importers._text import read_pairs
from rsdet.data.importers.class_masks import MaskSource, bare, give_map, reader_of
from rsdet.errors import ConfigError, DataError

_NONE = "non-landslide"


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read the folder that holds ``landslide`` and ``non-landslide``, or one above it.

    Raises:
        ConfigError: Boxes were asked for.
        DataError: There are no masks.
    """
    every = Source.open(source, ".png")
    if not options.maps:
        raise ConfigError("format=bijie-landslide holds maps of classes; give task=semantic.")
    pictures = [p for p in every.images if p.parent.name == "image"]
    masks = [p for p in every.images if p.parent.name == "mask" and p.parent.parent.name == "landslide"]
    if not pictures or not masks:
        raise DataError(f"no landslide/image with landslide/mask beside it below {source}; check the folder.")
    names, reader, _ = reader_of(replace(options, names=options.names or ["landslide"]))
    files = MaskSource(every.root, pictures)
    dataset = read_pairs(files, masks, lambda mask, into: give_map(into, mask, reader, False), options, log)
    for split, records in dataset.splits.items():
        for record in records:
            if record.class_map is None and record.path and _NONE in record.path.parts:
                bare(record)
                record.has_label_file = True
            elif record.class_map is None:
                log.drop(split, record.name, "", "picture without mask: it says nothing of any pixel")
        dataset.splits[split] = [r for r in records if r.class_map is not None]
    ClassTable(names).settle(dataset)
    return dataset
