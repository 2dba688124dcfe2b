"""Suppression of overlapping turned boxes in NumPy, box for box what Ultralytics keeps."""

from __future__ import annotations

import numpy as np

from rsdet.tasks.detect.runtime.nms import MAX_NMS, MAX_WH

_EPS = np.float32(1e-7)
_STEP = 256  # boxes that are compared with all better ones at once: 30 MB of float32 for 30,000 of them


def probiou(a_xywhr: np.ndarray, b_xywhr: np.ndarray) -> np.ndarray:
    """Overlap of turned boxes, each taken for a normal distribution, as ``batch_probiou`` of Ultralytics has it.

    Llerena et al., Probabilistic Intersection-over-Union, arXiv:2106.06072.

    Args:
        a_xywhr: (N, 5) float32 in pixels and radians.
        b_xywhr: (M, 5) float32.

    Returns:
        (N, M) float32.
    """
    (x1, y1, a1, b1, c1, d1), (x2, y2, a2, b2, c2, d2) = _gaussians(a_xywhr[:, None]), _gaussians(b_xywhr[None])
    a, b, c, dx, dy = a1 + a2, b1 + b2, c1 + c2, x2 - x1, y1 - y2
    det = a * b - c * c
    apart = (a * (dy * dy) + b * (dx * dx)) / (det + _EPS) / 4 + c * dx * dy / (det + _EPS) / 2
    unlike = np.log(det / (4 * np.sqrt(d1 * d2) + _EPS) + _EPS) / 2
    distance = np.clip(apart + unlike, _EPS, np.float32(100))  # of Bhattacharyya
    return np.asarray(1 - np.sqrt(1 - np.exp(-distance) + _EPS))


def _gaussians(boxes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means x and y, covariances xx, yy and xy, and the determinant of these."""
    x, y, w, h, r = np.moveaxis(boxes, -1, 0)
    along, across, cos, sin = w * w / 12, h * h / 12, np.cos(r), np.sin(r)
    a, b = along * (cos * cos) + across * (sin * sin), along * (sin * sin) + across * (cos * cos)
    c = (along - across) * cos * sin
    return x, y, a, b, c, np.maximum(a * b - c * c, 0)


def rotated_nms(
    boxes_xywhr: np.ndarray, scores: np.ndarray, classes: np.ndarray, iou: float, max_det: int, agnostic: bool = False
) -> np.ndarray:
    """Drop each box that overlaps a better one of its class by more than ``iou``, be that one dropped or not.

    That is ``TorchNMS.fast_nms`` of Ultralytics, which keeps less of a chain of boxes than a greedy suppression does.

    Args:
        boxes_xywhr: (N, 5) float32 in pixels of the input and radians.
        scores: (N,) float32. Of equal scores the first is the better.
        classes: (N,) class numbers.
        iou: Largest overlap (:func:`probiou`) that is kept.
        max_det: Most boxes to keep, over all classes.
        agnostic: Suppress across classes.

    Returns:
        Indices of the boxes kept, best first, (K,) int64.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_NMS]
    boxes = boxes_xywhr[order].astype(np.float32)
    # As for upright boxes: classes are moved apart, and the same digits are lost here as there.
    boxes[:, :2] += np.float32(0 if agnostic else MAX_WH) * classes[order].astype(np.float32)[:, None]
    kept: list[int] = []
    for first in range(0, len(order), _STEP):
        last = min(first + _STEP, len(order))
        overlaps = probiou(boxes[:last], boxes[first:last]) > np.float32(iou)
        better = np.arange(last)[:, None] < np.arange(first, last)[None]
        kept += (first + np.flatnonzero(~(overlaps & better).any(0))).tolist()
        if len(kept) >= max_det:
            break
    return np.take(order, np.array(kept[:max_det], int))
