"""From prototypes and coefficients to masks, by the rules of Ultralytics' predictor, each within its box alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rsdet.runtime.geometry import Placement
from rsdet.runtime.masks import Mask


def masks_in(
    frame_hw: tuple[int, int],
    resize: tuple[np.ndarray, np.ndarray],
    prototypes: np.ndarray,
    coefficients: np.ndarray,
    boxes_xyxy: np.ndarray,
) -> Iterator[Mask]:
    """Masks of the objects of one image, cut off at their boxes.

    Args:
        frame_hw: Height and width of what the masks and boxes are in pixels of.
        resize: (H, h) and (W, w): what makes rows and columns of the frame of those of the prototypes.
        prototypes: (M, h, w) float32.
        coefficients: (N, M) float32.
        boxes_xyxy: (N, 4) in pixels of the frame.
    """
    rows, columns = resize
    height, width = frame_hw
    # A pixel belongs to a box if the number of its row or column is not below the first edge and below the second.
    edges = np.ceil(np.clip(boxes_xyxy, 0, [width, height, width, height])).astype(int).tolist()
    for weights, (x1, y1, x2, y2) in zip(coefficients, edges, strict=True):
        coarse = np.tensordot(weights, prototypes, 1)
        yield Mask(y1, x1, rows[y1:y2] @ coarse @ columns[x1:x2].T > 0)


def to_frame_of_input(prototype_hw: tuple[int, int], placement: Placement) -> tuple[np.ndarray, np.ndarray]:
    """What resizes prototypes to the network's input, bilinearly, as ``process_mask`` does."""
    rows, columns = (_bilinear(n, size) for n, size in zip(prototype_hw, placement.input_hw, strict=True))
    return rows, columns


def to_frame_of_picture(prototype_hw: tuple[int, int], placement: Placement) -> tuple[np.ndarray, np.ndarray]:
    """What resizes prototypes to the picture, as ``process_mask_native`` (``retina_masks=True``) does.

    They are enlarged just so far (1, 2 or 4 times) that the padding ends at whole pixels, and resized without it.
    """
    quadruple = [4 * n for n in prototype_hw]
    ratio = min(q / s for q, s in zip(quadruple, placement.size_hw, strict=True))
    down, right = (q - max(round(s * ratio), 1) for q, s in zip(quadruple, placement.size_hw, strict=True))
    factor = 4 // math.gcd(4, (down | right) | (down | right) // 2)
    ratio = min(factor * n / s for n, s in zip(prototype_hw, placement.size_hw, strict=True))
    found = []
    for n, size in zip(prototype_hw, placement.size_hw, strict=True):
        inside = max(round(size * ratio), 1)
        first = round((factor * n - inside) / 2 - 0.1)
        found.append(_bilinear(inside, size) @ _bilinear(n, factor * n)[first : first + inside])
    return found[0], found[1]


def _bilinear(n: int, size: int) -> np.ndarray:
    """(size, n) float32: each of ``size`` pixels as the mean of its two neighbours among n, with half-pixel centres."""
    at = np.maximum((np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(n / size) - np.float32(0.5), 0)
    first = np.minimum(at.astype(int), n - 1)
    out = np.zeros((size, n), np.float32)
    np.add.at(out, (np.arange(size), first), 1 - (at - first))
    np.add.at(out, (np.arange(size), np.minimum(first + 1, n - 1)), at - first)
    return out
