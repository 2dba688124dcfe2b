"""Objects of a scene on a picture of one of its windows, at any scale: as boxes, turned boxes or outlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from rsdet.data.tiling import Tile
from rsdet.names import printable
from rsdet.runtime.masks import Mask
from rsdet.scenes.found import Found
from rsdet.tasks.detect.visual import draw

LEAST_PX = 3  # side of what is drawn; an object may be smaller than a pixel of the picture
_SUBPIXEL = 4  # binary digits behind the point


def drawn(picture: np.ndarray, window: Tile, found: Found, names: Mapping[int, str], **how: Any) -> np.ndarray:
    """The picture with the objects; see :func:`rsdet.tasks.detect.visual.draw`.

    Args:
        picture: (h, w, C) uint8 of the window.
        window: In pixels of the scene.
        found: Objects in pixels of the scene; what lies outside of the window is not drawn.
        names: Class number -> name.
        how: More arguments of ``draw``.
    """
    names, size_hw = shown_names(names), picture.shape[:2]
    if found.corners is not None:
        quads = _enlarged(_moved(found.corners, window, size_hw))
        return draw(picture, None, found.scores, found.classes, names, corners=quads, **how)
    boxes, masks = placed(window, size_hw, found), None
    if found.outlines is not None:
        pairs = zip(found.outlines, boxes, strict=True)
        masks = [_mask([_moved(r, window, size_hw) for r in rings], box, size_hw) for rings, box in pairs]
    return draw(picture, boxes, found.scores, found.classes, names, masks=masks, **how)


def placed(window: Tile, size_hw: tuple[int, int], found: Found) -> np.ndarray:
    """(N, 4) boxes in pixels of a picture of a window, none narrower than LEAST_PX."""
    first, last = np.moveaxis(_moved(found.boxes_xyxy.reshape(-1, 2, 2), window, size_hw), 1, 0)
    half = np.maximum(last - first, LEAST_PX) / 2
    return np.concatenate([(first + last) / 2 - half, (first + last) / 2 + half], 1)


def shown_names(names: Mapping[int, str]) -> dict[int, str]:
    """Class names as they can be written on a picture: on one line, without what cannot be seen."""
    return {k: printable(" ".join(name.split())) for k, name in names.items()}


def _moved(xy: np.ndarray, window: Tile, size_hw: tuple[int, int]) -> np.ndarray:
    """(..., 2) x y of the scene in pixels of a picture of a window."""
    scale = np.array([size_hw[1] / window.width, size_hw[0] / window.height])
    moved: np.ndarray = (xy - np.array([window.left, window.top])) * scale
    return moved


def _enlarged(quads: np.ndarray) -> np.ndarray:
    """(N, 4, 2) turned boxes, none narrower than LEAST_PX."""
    middle = quads.mean(1, keepdims=True)
    sides = (quads[:, [1, 2]] - quads[:, [0, 1]]) / 2  # half of two sides that meet
    lengths = np.linalg.norm(sides, axis=2, keepdims=True)
    u, v = np.moveaxis(sides * np.maximum(LEAST_PX / 2 / np.maximum(lengths, 1e-9), 1), 1, 0)
    quads = middle + np.stack([-u - v, u - v, u + v, v - u], 1)
    return quads


def _mask(rings: Sequence[np.ndarray], box: np.ndarray, size_hw: tuple[int, int]) -> Mask:
    """Pixels inside of an outline; of one that is too small those of its box."""
    limits = np.array(size_hw[::-1])
    low = np.clip(np.floor(box[:2]), 0, limits).astype(int)
    high = np.clip(np.ceil(box[2:]), low, limits).astype(int)
    patch = np.zeros((high - low)[::-1], np.uint8)
    lines = [np.rint((r - low - 0.5) * (1 << _SUBPIXEL)).astype(np.int32) for r in rings]  # whole numbers are centres
    if patch.size and lines:
        cv2.fillPoly(patch, lines, 1, shift=_SUBPIXEL)
    if min(box[2:] - box[:2]) <= LEAST_PX:
        patch[:] = 1
    return Mask(int(low[1]), int(low[0]), patch.astype(bool))
