"""What a rendered object covers, as labels of other tasks than detection say it: a polygon, and a turned rectangle."""

from __future__ import annotations

import cv2
import numpy as np


def outline(mask: np.ndarray, tolerance: float = 1.0) -> np.ndarray:
    """Polygon around what is visible of an object.

    It runs along the edges of the mask's pixels. Pieces that something in front has parted are joined by a bridge
    without width, since a row of a label file holds one polygon; holes are filled, since none holds a hole.

    Args:
        mask: `(H, W)` bool, True somewhere.
        tolerance: How far, in pixels of the mask, the polygon may leave the edge to have fewer corners.

    Returns:
        `(N, 2)` float64 corners, N at least 3, in pixels of the mask with its corner at 0.
    """
    # Twice as large, a pixel has a first and a last sample; its edges are at half the even and half the next even ones.
    twice = np.kron(mask.astype(np.uint8), np.ones((2, 2), np.uint8))
    rings, _ = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    pieces = sorted((_simple((ring + 1) // 2, tolerance) for ring in rings), key=len, reverse=True)
    joined = pieces[0]
    for ring in pieces[1:]:
        distance = np.linalg.norm(joined[:, None] - ring[None], axis=2)
        here, there = np.unravel_index(distance.argmin(), distance.shape)
        around = np.roll(ring, -there, axis=0)
        joined = np.concatenate([joined[: here + 1], around, around[:1], joined[here:]])
    return joined


def _simple(ring: np.ndarray, tolerance: float) -> np.ndarray:
    fewer = cv2.approxPolyDP(ring, tolerance, True)
    return (fewer if len(fewer) > 2 else cv2.approxPolyDP(ring, 0, True))[:, 0].astype(np.float64)


def rectangle(points: np.ndarray, angle: float | None = None, margin: float = 0.0) -> np.ndarray:
    """Corners of the rectangle around points.

    Args:
        points: `(N, 2)`, N at least 1.
        angle: Direction of its first side in radians, clockwise as seen; None takes that of the smallest area.
        margin: Distance that it keeps from the points: 0.5 px where they are centres of pixels.

    Returns:
        `(4, 2)` float64, clockwise as seen; along `angle`, from the rear left corner on.
    """
    if angle is None:
        angle = np.radians(cv2.minAreaRect(points.astype(np.float32))[2])
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([(c, -s), (s, c)])
    local = points @ turn
    (u0, v0), (u1, v1) = local.min(0) - margin, local.max(0) + margin
    return np.array([(u0, v0), (u1, v0), (u1, v1), (u0, v1)]) @ turn.T
