"""Greedy suppression of overlapping boxes in NumPy, box for box what torchvision and Ultralytics keep."""

from __future__ import annotations

import numpy as np

MAX_NMS = 30_000  # candidates that Ultralytics looks at
MAX_WH = 7680  # px that Ultralytics moves the boxes of class c by, times c, to keep classes apart


def nms(boxes_xyxy: np.ndarray, scores: np.ndarray, iou: float, max_det: int | None = None) -> np.ndarray:
    """Keep the best box, drop all that overlap it by more than ``iou``, and so on.

    Args:
        boxes_xyxy: (N, 4) float32.
        scores: (N,) float32. Of equal scores the first wins.
        iou: Largest intersection over union that is kept.
        max_det: Stop after so many.

    Returns:
        Indices of the boxes kept, best first, (K,) int64.
    """
    boxes = np.asarray(boxes_xyxy, np.float32)
    x1, y1, x2, y2 = boxes.T if len(boxes) else np.zeros((4, 0), np.float32)
    areas = (x2 - x1) * (y2 - y1)
    order = np.argsort(-np.asarray(scores), kind="stable")
    most = len(order) if max_det is None else max_det
    keep: list[int] = []
    while len(order) and len(keep) < most:
        best, rest = order[0], order[1:]
        keep.append(int(best))
        w = np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest])
        h = np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest])
        shared = w.clip(0) * h.clip(0)
        with np.errstate(invalid="ignore"):  # two boxes without area: 0 / 0, which suppresses nothing
            overlap = shared / (areas[best] + areas[rest] - shared)
        # In double precision, as torchvision compares: float32(0.7) is below 0.7.
        order = rest[~(overlap.astype(np.float64) > iou)]
    return np.array(keep, dtype=np.int64)


def class_aware_nms(
    boxes_xyxy: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    iou: float,
    max_det: int = 300,
    agnostic: bool = False,
) -> np.ndarray:
    """Suppress boxes within each class.

    Args:
        boxes_xyxy: (N, 4) float32 in pixels of the input.
        scores: (N,) float32.
        classes: (N,) class numbers.
        iou: Largest intersection over union that is kept.
        max_det: Most boxes to keep, over all classes.
        agnostic: Suppress across classes.

    Returns:
        Indices of the boxes kept, best first, (K,) int64.
    """
    chosen = np.arange(len(scores))
    if len(scores) > MAX_NMS:
        chosen = np.argsort(-scores, kind="stable")[:MAX_NMS]
    # The offset costs digits of the coordinates; the same are lost here as there, so that ties fall alike.
    offset = np.float32(0 if agnostic else MAX_WH) * classes[chosen].astype(np.float32)
    moved = boxes_xyxy[chosen].astype(np.float32) + offset[:, None]
    return np.take(chosen, nms(moved, scores[chosen], iou, max_det))
