"""Importers: one file per format, each turning a folder as its owner lays it out into a :class:`Dataset`.

A new format is one file with ``read(source, options, log) -> Dataset`` and one row in :data:`IMPORTERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers import (
    ai4mars,
    bijie,
    coco,
    coco_panoptic,
    dota,
    fair1m,
    hazydet,
    hit_uav,
    hrsc2016,
    hrsid,
    labelme,
    masks,
    sar_ship,
    ssdd,
    vector,
    visdrone,
    voc,
    yolo,
)
from rsdet.data.importers._labels import ImportOptions
from rsdet.errors import ConfigError, nearest

Importer = Callable[[Path, ImportOptions, ImportLog], Dataset]

IMPORTERS: dict[str, Importer] = {
    "ai4mars": ai4mars.read,
    "bijie-landslide": bijie.read,
    "coco": coco.read,
    "coco-panoptic": coco_panoptic.read,
    "dota": dota.read,
    "fair1m": fair1m.read,
    "hazydet": hazydet.read,
    "hit-uav": hit_uav.read,
    "hrsc2016": hrsc2016.read,
    "hrsid": hrsid.read,
    "labelme": labelme.read,
    "masks": masks.read,
    "sar-ship-dataset": sar_ship.read,
    "ssdd": ssdd.read,
    "vector": vector.read,
    "visdrone": visdrone.read,
    "voc": voc.read,
    "yolo": yolo.read,
}

__all__ = ["IMPORTERS", "ImportOptions", "Importer", "read_dataset"]


def read_dataset(
    source: str | Path, format: str, options: ImportOptions | None = None
) -> tuple[Dataset, ImportLog]:  # the word users type
    """Read a dataset into memory.

    Args:
        source: Dataset folder, or a single label file.
        format: One of :data:`IMPORTERS`.
        options: What the user asked for.

    Returns:
        The dataset, and everything that was dropped or remarked on the way.

    Raises:
        ConfigError: Unknown format.
        DataError: Nothing at ``source``, or a file that cannot be parsed at all.
    """
    if format not in IMPORTERS:
        known = ", ".join(IMPORTERS)
        raise ConfigError(f"format={format!r} is unknown; expected one of {known}.{nearest(format, IMPORTERS)}")
    log = ImportLog()
    return IMPORTERS[format](Path(source), options or ImportOptions(), log), log
