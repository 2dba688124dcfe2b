"""A dataset in memory to text: YOLO labels, ignored regions, COCO JSON. The same dataset gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rsdet.data.annotations import Annotation, Box, Dataset, ImageRecord
from rsdet.errors import ConfigError
from rsdet.writing import write_if_changed


def _fraction(value: float) -> str:
    """A fraction of the image with ten decimals: exact to 2e-6 px in an image of 20,000 px."""
    return f"{min(max(value, 0.0), 1.0):.10f}".rstrip("0").rstrip(".") or "0"


def _xywh(box: Box, width: int, height: int) -> str:
    x1, y1, x2, y2 = box
    values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join(map(_fraction, values))


def _four_corners(item: Annotation) -> Sequence[float]:
    """Corners of the oriented box: those of the source, else of the smallest rectangle around its polygon."""
    corners = item.polygon_px
    if corners is None:
        x1, y1, x2, y2 = item.xyxy_px
        return x1, y1, x2, y1, x2, y2, x1, y2
    if len(corners) == 8:
        return corners
    import cv2
    import numpy as np

    points = np.asarray(corners, np.float32).reshape(-1, 2)
    return [float(v) for v in cv2.boxPoints(cv2.minAreaRect(points)).ravel()]


def yolo_labels(record: ImageRecord, obb: bool = False) -> str:
    """Label file of one image: ``class xc yc w h``, or ``class x1 y1 x2 y2 x3 y3 x4 y4`` for oriented boxes.

    Corners outside the image are moved to its edge: Ultralytics refuses the whole image otherwise.
    """
    lines = []
    for item in record.objects:
        if obb:
            sides = (record.width, record.height) * 4
            place = " ".join(_fraction(v / side) for v, side in zip(_four_corners(item), sides, strict=True))
        else:
            place = _xywh(item.xyxy_px, record.width, record.height)
        lines.append(f"{item.cls} {place}\n")
    return "".join(lines)


def ignore_labels(record: ImageRecord) -> str:
    """Ignored regions of one image, one ``xc yc w h`` a line; empty when there are none."""
    return "".join(f"{_xywh(box, record.width, record.height)}\n" for box in record.ignored_xyxy_px)


def coco_dict(names: Sequence[str], records: Sequence[ImageRecord]) -> dict:
    """One split as a COCO document.

    All ids count from 1: pycocotools takes an annotation with id 0 for unmatched, and Ultralytics writes predictions
    with category ids from 1. An ignored region is written once for every category, with ``iscrowd: 1`` and
    ``ignore: 1``: COCO matches crowds within their category only, so this is what makes a region count for all.
    Objects marked difficult carry ``difficult: 1``, images of a group ``groups``.
    """
    images, annotations = [], []

    def add(image: int, category: int, box: Box, polygons: Sequence[Sequence[float]], **flags: int) -> None:
        x1, y1, x2, y2 = box
        entry = {
            "id": len(annotations) + 1,
            "image_id": image,
            "category_id": category,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
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


def write_coco(dataset: Dataset, path: str | Path, split: str | None = None) -> list[Path]:
    """Write a dataset as COCO JSON; see :func:`coco_dict` for what the fields mean.

    Args:
        dataset: The dataset; images without a file on disk are written as well.
        path: A ``.json`` file for one split, or a folder for ``<split>.json`` files.
        split: The only split to write; needed for a ``.json`` path when the dataset has several.

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
        write_if_changed(target, json.dumps(coco_dict(dataset.names, dataset.splits[name])) + "\n")
        written.append(target)
    return written
