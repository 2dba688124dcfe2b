"""Network output to oriented boxes by Ultralytics' own suppression, once for every backend that is timed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import scale_boxes

from rsdet.tasks.detect.thresholds import CONF, IOU, MAX_DET


def oriented_from_raw(
    raw: np.ndarray,
    nc: int,
    imgsz: tuple[int, int],
    orig_shapes: Sequence[tuple[int, int]],
    conf: float = CONF,
    iou: float = IOU,
    max_det: int = MAX_DET,
) -> list[np.ndarray]:
    """Turn the output of a network into oriented boxes in pixels of the original images.

    Args:
        raw: (B, 4 + nc + 1, N) before suppression, or final rows (B, N, 7) of a head without it.
        nc: Number of classes.
        imgsz: Height and width of the network input in pixels.
        orig_shapes: Height and width of each original image.
        conf: Lowest score to keep.
        iou: Overlap above which the worse of two boxes is dropped.
        max_det: Most boxes per image.

    Returns:
        One (N, 7) float32 array per image: cx, cy, w, h in pixels, score, class, angle in radians.
    """
    final = raw.shape[1] != 4 + nc + 1
    kept = non_max_suppression(torch.from_numpy(raw), conf, iou, max_det=max_det, nc=nc, rotated=True, end2end=final)
    for rows, hw in zip(kept, orig_shapes, strict=True):
        rows[:, :4] = scale_boxes(imgsz, rows[:, :4], hw, xywh=True)
    return [rows.numpy() for rows in kept]
