"""COCO JSON of a dataset in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rsdet.data.annotations import Box, Dataset, ImageRecord
from rsdet.data.forms import area
from rsdet.errors import ConfigError
from rsdet.writing import write_if_changed


def coco_dict(names: Sequence[str], records: Sequence[ImageRecord], task: str = "detect") -> dict:
    """One split as a COCO document.

    All ids count from 1: pycocotools takes an annotation with id 0 for unmatched, and Ultralytics writes predictions
    with category ids from 1. An ignored region is written once for every category, with ``iscrowd: 1`` and
    ``ignore: 1``: COCO matches crowds within their category only, so this is what makes a region count for all.
    Objects marked difficult carry ``difficult: 1``, images of a group ``groups``. ``segmentation`` holds all polygons,
    and the corners of an oriented box; ``area``, by which evaluators sort objects, is that of the box for ``detect``,
    else that of ``segmentation``.
    """
    images, annotations = [], []

    def add(image: int, category: int, box: Box, polygons: Sequence[Sequence[float]], **flags: int) -> None:
        x1, y1, x2, y2 = box
        entry = {
            "id": len(annotations) + 1,
            "image_id": image,
            "category_id": category,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1) if task == "detect" or not polygons else sum(map(area, polygons)),
            "iscrowd": 0,
            "segmentation": [list(ring) for ring in polygons],
        }
        annotations.append(entry | flags)

    for image, record in enumerate(records, 1):
        entry = {"id": image, "file_name": record.name, "width": record.width, "height": record.height}
        images.append(entry | ({"groups": list(record.groups)} if record.groups else {}))
        for item in record.objects:
            hard = {"difficult": 1} if item.difficult else {}
            add(image, item.cls + 1, item.xyxy_px, item.polygons_px, **hard)
        for box in record.ignored_xyxy_px:
            for category in range(1, len(names) + 1):
                add(image, category, box, (), iscrowd=1, ignore=1)
    categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(dataset: Dataset, path: str | Path, split: str | None = None, task: str = "detect") -> list[Path]:
    """Write a dataset as COCO JSON; see :func:`coco_dict` for what the fields mean.

    Args:
        dataset: The dataset; images without a file on disk are written as well.
        path: A ``.json`` file for one split, or a folder for ``<split>.json`` files.
        split: The only split to write; needed for a ``.json`` path when the dataset has several.
        task: See :func:`coco_dict`.

    Returns:
        The files, written only where their content changed.

    Raises:
        ConfigError: The split does not exist, or several splits were to go into one file.
    """
    path = Path(path)
    splits = list(dataset.splits) if split is None else [split]
    if split is not None and split not in dataset.splits:
        raise ConfigError(f"split={split!r} is not in the dataset; expected one of {', '.join(dataset.splits)}")
    if path.suffix.lower() == ".json" and len(splits) != 1:
        raise ConfigError(f"{len(splits)} splits cannot go into one file {path.name}; give a folder, or name the split")
    written = []
    for name in splits:
        target = path if path.suffix.lower() == ".json" else path / f"{name}.json"
        write_if_changed(target, json.dumps(coco_dict(dataset.names, dataset.splits[name], task)) + "\n")
        written.append(target)
    return written
