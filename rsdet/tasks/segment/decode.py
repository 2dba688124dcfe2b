"""Network outputs to boxes and masks by Ultralytics' own functions, once for every backend that is timed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import process_mask, scale_boxes

from rsdet.tasks.detect.thresholds import CONF, IOU, MAX_DET


def masks_from_raw(
    raw: np.ndarray,
    prototypes: np.ndarray,
    nc: int,
    imgsz: tuple[int, int],
    orig_shapes: Sequence[tuple[int, int]],
    conf: float = CONF,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Turn the outputs of a network into boxes and masks.

    Args:
        raw: (B, 4 + nc + M, N) before suppression, or final rows (B, N, 6 + M) of a head without it.
        prototypes: (B, M, h, w).
        nc: Number of classes.
        imgsz: Height and width of the network input in pixels.
        orig_shapes: Height and width of each original image.
        conf: Lowest score to keep.

    Returns:
        For each image (N, 6) x1, y1, x2, y2 in pixels, score, class, and (N, height, width) masks in pixels of the
        input, as Ultralytics' predictor makes them.
    """
    final = raw.shape[1] != 4 + nc + prototypes.shape[1]
    kept = non_max_suppression(torch.from_numpy(raw), conf, IOU, max_det=MAX_DET, nc=nc, end2end=final)
    found = []
    for rows, planes, hw in zip(kept, torch.from_numpy(prototypes), orig_shapes, strict=True):
        masks = process_mask(planes, rows[:, 6:], rows[:, :4], imgsz, upsample=True)
        rows[:, :4] = scale_boxes(imgsz, rows[:, :4], hw)
        seen = masks.flatten(1).any(1)  # objects without a pixel are none
        found.append((rows[seen, :6].numpy(), masks[seen].numpy()))
    return found
