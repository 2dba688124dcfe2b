"""Ignored regions: which true boxes and detections a protocol leaves out because of them."""

from __future__ import annotations

import numpy as np

from rsdet.metrics.detection_records import ImageDetections, ImageTruth
from rsdet.metrics.overlap import overlaps

IGNORE_RULES = {
    "drop-both": (
        "true boxes and detections with >= 50 % of their area inside ignored regions are dropped, counted in whole "
        "pixels as the DET toolkit counts"
    ),
    "keep-hits": (
        "detections with >= 50 % of their area inside ignored regions are dropped, unless they overlap a true box of "
        "their class with IoU >= 0.5"
    ),
    "none": "ignored regions are not used: detections in them count as false",
}


def apply_ignored(t: ImageTruth, d: ImageDetections, rule: str) -> tuple[ImageTruth, ImageDetections]:
    """Return the image without what a rule (a key of `IGNORE_RULES`) drops, by the upright boxes of its objects."""
    if rule == "none" or not len(t.ignore_xyxy):
        return t, d
    if rule == "drop-both":
        regions = _region_pixels(t.ignore_xyxy, t.size_hw)
        inside = [covered_fraction(_box_pixels(x.boxes_xyxy), regions) >= 0.5 for x in (t, d)]
        return t.pick(~inside[0]), d.pick(~inside[1])
    drop = covered_fraction(d.boxes_xyxy, t.ignore_xyxy) >= 0.5
    # A labelled object at the rim of a region must stay findable, or dropping would cost recall.
    same = (d.classes[:, None] == t.classes[None]) & ~t.crowd[None]
    drop &= ~((overlaps(d, t) >= 0.5) & same).any(1)
    return t, d.pick(~drop)


def covered_fraction(boxes_xyxy: np.ndarray, regions_xyxy: np.ndarray) -> np.ndarray:
    """Return (N,) the part of each box, 0..1, that lies inside the union of the regions (exact, no raster).

    A box without area counts as uncovered.
    """
    area = np.prod(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1)
    if not len(boxes_xyxy) or not len(regions_xyxy):
        return np.zeros(len(boxes_xyxy))
    low = np.maximum(boxes_xyxy[:, None, :2], regions_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], regions_xyxy[None, :, 2:])
    parts = np.prod(np.clip(high - low, 0, None), axis=2)
    covered = parts.sum(1)
    # Only where several regions meet one box can the sum count a place twice.
    for i in np.flatnonzero((parts > 0).sum(1) > 1):
        hit = np.flatnonzero(parts[i] > 0)
        xs, ys = (np.unique(np.concatenate([low[i, hit, k], high[i, hit, k]])) for k in (0, 1))
        inside = np.zeros((len(ys) - 1, len(xs) - 1), dtype=bool)
        for j in hit:
            inside |= np.outer(
                (ys[:-1] >= low[i, j, 1]) & (ys[1:] <= high[i, j, 1]),
                (xs[:-1] >= low[i, j, 0]) & (xs[1:] <= high[i, j, 0]),
            )
        covered[i] = (np.outer(np.diff(ys), np.diff(xs)) * inside).sum()
    return np.divide(covered, area, out=np.zeros_like(covered), where=area > 0)


# The DET toolkit counts pixels from 1 in an integral image. Pixel p is the interval (p - 1, p] here. A region from x of
# width w is the pixels x .. x + w there, a box the pixels x + 1 .. x + w; the image cuts what is counted, not the area
# that it is divided by.


def _box_pixels(boxes_xyxy: np.ndarray) -> np.ndarray:
    corner, size = (np.maximum(1, np.floor(v + 0.5)) for v in _corner_and_size(boxes_xyxy))
    return np.concatenate([corner, corner + size], axis=1)


def _region_pixels(regions_xyxy: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    corner, size = (np.maximum(1, np.floor(v + 0.5)) for v in _corner_and_size(regions_xyxy))
    high = np.minimum(corner + size, size_hw[::-1])
    return np.concatenate([np.minimum(corner - 1, high), high], axis=1)


def _corner_and_size(xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return xyxy[:, :2], np.round(xyxy[:, 2:] - xyxy[:, :2], 6)  # (x + w) - x of whole numbers and halves is w again
