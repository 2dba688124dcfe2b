"""Masks of objects: their run-length form, which COCO's evaluation compares, and the overlap of plain arrays."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

from rsdet.errors import DataError, MissingDependencyError

RLE = dict[str, Any]  # {"size": [height, width], "counts": bytes}, as pycocotools has it


def pycocotools(module: str) -> Any:
    """A module of pycocotools: ``mask``, ``coco`` or ``cocoeval``.

    Raises:
        MissingDependencyError: pycocotools is not installed.
    """
    try:
        return import_module(f"pycocotools.{module}")
    except ImportError as e:
        raise MissingDependencyError(
            "detection metrics need pycocotools, which is not installed; expected pycocotools>=2.0.8; "
            "run: pip install 'pycocotools>=2.0.8'"
        ) from e


def to_rle(masks: Iterable[Any], size_hw: tuple[int, int] | None = None) -> tuple[RLE, ...]:
    """Run-length form of masks, drawn as pycocotools draws polygons.

    Args:
        masks: For each object one of: an array (H, W), true where the object is; an RLE of pycocotools, compressed or
            not; a list of rings, each (P, 2) x and y in pixels, of which the union counts. An array (N, H, W) will do.
        size_hw: Height and width of the image in px, where they are known; polygons need them.

    Raises:
        DataError: A mask of another size than the image, or a ring of less than three points.
    """
    tool, out = pycocotools("mask"), []
    for i, mask in enumerate(masks):
        if isinstance(mask, dict):
            rle = tool.frPyObjects(mask, *mask["size"]) if isinstance(mask["counts"], list) else mask
        elif isinstance(mask, np.ndarray):
            rle = tool.encode(np.asfortranarray(mask, dtype=np.uint8))
        else:
            rings = [np.asarray(ring, np.float64).reshape(-1) for ring in mask]
            if not rings or min(map(len, rings)) < 6:
                raise DataError(f"masks[{i}] has a ring of less than three points; expected polygons of three or more")
            rle = tool.merge(tool.frPyObjects([ring.tolist() for ring in rings], *size_hw))
        if size_hw is not None and tuple(rle["size"]) != tuple(size_hw):
            (h, w), (height, width) = rle["size"], size_hw
            raise DataError(f"masks[{i}] measures {w}x{h} px, its image {width}x{height} px; scale it to the image")
        out.append(rle)
    return tuple(out)


def rle_areas(masks: tuple[RLE, ...]) -> np.ndarray:
    """(N,) areas in px^2."""
    area = pycocotools("mask").area  # of more than 255 masks at once, it overflows with NumPy 2
    return np.array([area(mask) for mask in masks], np.float64)


def rle_boxes(masks: tuple[RLE, ...]) -> np.ndarray:
    """(N, 4) smallest boxes x1 y1 x2 y2 in px; zeros for an empty mask."""
    xywh = np.asarray(pycocotools("mask").toBbox(list(masks)), np.float64) if masks else np.zeros((0, 4))
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)


def rle_ious(a: tuple[RLE, ...], b: tuple[RLE, ...]) -> np.ndarray:
    """(N, M) IoU of each mask of ``a`` with each of ``b``, all of one size."""
    if not a or not b:
        return np.zeros((len(a), len(b)))
    return np.asarray(pycocotools("mask").iou(list(a), list(b), [0] * len(b)))
