"""Places and sizes of labelled objects, as questions mean them.

A ring is (K, 2) float64, corners ``x y`` in pixels of the picture as its label gave them: those of an upright box, of
an oriented box, or of an outline. It need not lie inside the picture, nor be convex.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rsdet.geometry import polygon_area

FIELDS = (
    ("top left", "top", "top right"), ("left", "center", "right"), ("bottom left", "bottom", "bottom right"),
)  # fmt: skip


def centre(ring: np.ndarray) -> tuple[float, float]:
    """Centre ``x y`` of the upright box around a ring: the same for every form of a label, up to how well it fits."""
    (x1, y1), (x2, y2) = ring.min(0), ring.max(0)
    return float(x1 + x2) / 2, float(y1 + y2) / 2


def size(ring: np.ndarray) -> float:
    """Side in pixels of the square that has the area of a ring."""
    return float(polygon_area(ring)) ** 0.5


def inside(point: tuple[float, float], width: float, height: float) -> bool:
    """Whether a point lies in a picture; on its left and upper edge it does, on the others it does not."""
    return 0 <= point[0] < width and 0 <= point[1] < height


def field(point: tuple[float, float], width: float, height: float) -> str:
    """Which of the nine equal fields of a picture a point is in; on a line between two, the right or lower one.

    Args:
        point: Inside of the picture, pixels.
        width: Of the picture.
        height: Of the picture.
    """
    column, row = int(3 * point[0] // width), int(3 * point[1] // height)
    return FIELDS[row][column]


def edge_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest distance in pixels between two shapes; 0 where they touch, overlap, or one is inside the other."""
    if _holds(a, b[0]) or _holds(b, a[0]) or _cross(a, b):
        return 0.0
    return min(_points_to_edges(a, b), _points_to_edges(b, a))


def box_gaps(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    """Distance in pixels of the edges of each upright box of (N, 4) to those of each of (M, 4): (N, M)."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    return np.hypot(*np.moveaxis(np.maximum(low - high, 0), -1, 0))


def covered(rings: Iterable[np.ndarray], width: int, height: int) -> int:
    """How many pixels of a picture have their centre in at least one ring (even-odd rule)."""
    mask = np.zeros((height, width), bool)
    for ring in rings:
        _fill(mask, ring)
    return int(mask.sum())


def _fill(mask: np.ndarray, ring: np.ndarray) -> None:
    """Set the pixels whose centre lies in a ring: in each row, those between its first and second crossing, and on."""
    height, width = mask.shape
    (x1, y1), (x2, y2) = ring.T, np.roll(ring, -1, 0).T
    top, bottom = max(int(np.ceil(ring[:, 1].min() - 0.5)), 0), min(int(np.floor(ring[:, 1].max() - 0.5)), height - 1)
    for row in range(top, bottom + 1):
        y = row + 0.5
        hit = (y1 <= y) != (y2 <= y)
        at = np.sort(x1[hit] + (y - y1[hit]) / (y2[hit] - y1[hit]) * (x2[hit] - x1[hit]))
        starts = np.clip(np.ceil(at - 0.5), 0, width).astype(int)  # the first centre that is not left of the crossing
        for begin, end in zip(starts[0::2], starts[1::2], strict=True):
            mask[row, begin:end] = True


def _holds(ring: np.ndarray, point: np.ndarray) -> bool:
    (x1, y1), (x2, y2) = ring.T, np.roll(ring, -1, 0).T
    hit = (y1 <= point[1]) != (y2 <= point[1])
    at = x1[hit] + (point[1] - y1[hit]) / (y2[hit] - y1[hit]) * (x2[hit] - x1[hit])
    return bool((at > point[0]).sum() % 2)


def _cross(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether an edge of one ring crosses or touches one of the other."""
    p, q = a[:, None], np.roll(a, -1, 0)[:, None]
    r, s = b[None], np.roll(b, -1, 0)[None]
    first, second = _side(p, q, r) * _side(p, q, s), _side(r, s, p) * _side(r, s, q)
    return bool(((first < 0) & (second < 0)).any())  # those that touch are at distance 0 by their corners


def _side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
    return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])


def _points_to_edges(points: np.ndarray, ring: np.ndarray) -> float:
    start, along = ring[None], (np.roll(ring, -1, 0) - ring)[None]
    away = points[:, None] - start
    length = (along**2).sum(-1)
    part = np.clip((away * along).sum(-1) / np.where(length > 0, length, 1), 0, 1)
    return float(np.sqrt(((away - part[..., None] * along) ** 2).sum(-1)).min())
