"""How much detections and true objects overlap, by whichever shape they have."""

from __future__ import annotations

import numpy as np

from rsdet.geometry import polygon_ious
from rsdet.metrics.detection_records import ImageDetections, ImageTruth
from rsdet.metrics.masks import rle_ious


def overlaps(found: ImageDetections, true: ImageTruth) -> np.ndarray:
    """IoU of each detection with each true object of an image, (N, M), by their masks, oriented boxes or boxes.

    Between oriented boxes of different classes it is 0: nobody asks for it, and it takes time.
    """
    if found.masks is not None and true.masks is not None:
        return rle_ious(found.masks, true.masks)
    if found.corners is not None and true.corners is not None:
        return polygon_ious(found.corners, true.corners, found.classes[:, None] == true.classes)
    return box_ious(found.boxes_xyxy, true.boxes_xyxy)


def box_ious(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    """IoU of each box of (N, 4) with each of (M, 4), in one unit: (N, M); 0 where neither has an area."""
    side = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:]) - np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    inter = np.prod(np.clip(side, 0, None), axis=2)
    area_a, area_b = (np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a_xyxy, b_xyxy))
    union = area_a[:, None] + area_b[None] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
