"""Turned boxes and polygons in the plane: corners, areas, exact overlap, distances. NumPy and OpenCV alone.

A turned box is ``(x, y, w, h, r)``: centre and sides in pixels, and the angle in radians by which the side w is turned
from the x axis towards the y axis (clockwise on the screen), as in Ultralytics. The same rectangle has many such
descriptions; overlap and distance here do not depend on which one is given.
"""

from __future__ import annotations

import cv2
import numpy as np

_CHUNK = 4096  # pairs clipped at once: about 20 MB


def xywhr_to_corners(boxes_xywhr: np.ndarray) -> np.ndarray:
    """Corners of turned boxes, in the order of Ultralytics' ``xywhr2xyxyxyxy``.

    Args:
        boxes_xywhr: (N, 5) in pixels and radians; any angle.

    Returns:
        (N, 4, 2) x and y in pixels, float64.
    """
    boxes = np.asarray(boxes_xywhr, np.float64).reshape(-1, 5)
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = np.stack([cos, sin], 1) * boxes[:, 2:3] / 2
    across = np.stack([-sin, cos], 1) * boxes[:, 3:4] / 2
    return boxes[:, None, :2] + np.stack([along + across, along - across, -along - across, across - along], 1)


def corners_to_xywhr(polygons: np.ndarray) -> np.ndarray:
    """Smallest rectangle around each polygon, in the form of Ultralytics' ``xyxyxyxy2xywhr``.

    Args:
        polygons: (N, P, 2) in pixels.

    Returns:
        (N, 5) float64 in pixels and radians: w is the longer side, the angle in [-pi/4, 3 pi/4).
    """
    polygons = np.asarray(polygons, np.float64)
    out = np.empty((len(polygons), 5))
    for row, points in zip(out, polygons, strict=True):
        # OpenCV takes single precision only: far from the origin, hundredths of a pixel would be lost.
        (x, y), (w, h), degrees = cv2.minAreaRect((points - points[0]).astype(np.float32))
        angle = np.deg2rad(degrees) + (np.pi / 2 if w < h else 0)
        row[:] = x + points[0, 0], y + points[0, 1], max(w, h), min(w, h), (angle + np.pi / 4) % np.pi - np.pi / 4
    return out


def hulls(polygons: np.ndarray) -> np.ndarray:
    """Axis-aligned boxes around polygons: (..., P, 2) in any unit to (..., 4) x1 y1 x2 y2 in it."""
    return np.concatenate([polygons.min(-2), polygons.max(-2)], -1)


def polygon_area(polygons: np.ndarray) -> np.ndarray:
    """Areas of simple polygons: (..., P, 2) in pixels to (...) in px^2, 0 or more; a figure of eight counts as 0."""
    return np.abs(_signed_area(polygons - polygons[..., :1, :]))


def polygon_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of pairs of polygons, exact (clipped in float64, no raster).

    Args:
        a: (N, P, 2) in any unit; simple polygons, convex or not, in either direction. Fewer corners than P are filled
            up by repeating one.
        b: (N, Q, 2) in the same unit.

    Returns:
        (N,) in [0, 1]; 0 where a polygon has no area, and, to rounding, where both but touch.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    out = np.zeros(len(a))
    meet = _meet(hulls(a), hulls(b))
    for some in np.array_split(np.flatnonzero(meet), meet.sum() // _CHUNK + 1):
        out[some] = _iou(a[some], b[some])
    return out


def polygon_ious(a: np.ndarray, b: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
    """IoU of each polygon with each, as :func:`polygon_iou` has it.

    Args:
        a: (N, P, 2) in any unit.
        b: (M, Q, 2) in the same unit.
        where: (N, M) bool, the pairs that are asked for.

    Returns:
        (N, M) in [0, 1]; 0 for the other pairs.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    out = np.zeros((len(a), len(b)))
    if out.size:
        i, j = np.nonzero(_meet(hulls(a)[:, None], hulls(b)) & where)
        out[i, j] = polygon_iou(a[i], b[j])
    return out


def corner_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far the corners of quadrilaterals lie apart, whichever corner is named first and in either direction.

    Args:
        a: (N, 4, 2) in pixels.
        b: (N, 4, 2) in pixels.

    Returns:
        (N,) in pixels: the largest of the four distances, in the order of corners that makes it smallest.
    """
    orders = [np.roll(np.arange(4)[::step], k) for step in (1, -1) for k in range(4)]
    apart = np.asarray(a, np.float64)[:, None] - np.asarray(b, np.float64)[:, orders]  # (N, order, corner, 2)
    return np.linalg.norm(apart, axis=-1).max(-1).min(-1)


def _meet(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = (np.moveaxis(x, -1, 0) for x in (a_xyxy, b_xyxy))
    return (ax1 < bx2) & (bx1 < ax2) & (ay1 < by2) & (by1 < ay2)


def _signed_area(polygons: np.ndarray) -> np.ndarray:
    x, y = polygons[..., 0], polygons[..., 1]
    return (x * np.roll(y, -1, -1) - y * np.roll(x, -1, -1)).sum(-1) / 2


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    origin = a[:, :1]  # coordinates stay small, and products of them exact
    a, b = a - origin, b - origin
    area_a, area_b = polygon_area(a), polygon_area(b)
    # One of them as a fan of triangles, whose signed parts add up to it also where it is not convex.
    inter = np.zeros(len(a))
    for k in range(1, b.shape[1] - 1):
        triangles = b[:, [0, k, k + 1]]
        turn = np.sign(_signed_area(triangles))
        inter += turn * _signed_area(_clipped(a, np.where(turn[:, None, None] < 0, triangles[:, ::-1], triangles)))
    inter = np.minimum(np.abs(inter), np.minimum(area_a, area_b))
    union = area_a + area_b - inter
    return np.divide(inter, union, out=np.zeros_like(union), where=union > 0)


def _clipped(polygons: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Sutherland and Hodgman's clipping of pairs at once: (N, P, 2) by convex (N, Q, 2), to (N, P 2^Q, 2).

    All pairs keep the same number of corners. A corner outside of an edge is moved onto its line, which encloses no
    area, instead of being taken out: so the area depends on the corners continuously, and no case is special.
    """
    for start, end in zip(np.moveaxis(windows, 1, 0), np.moveaxis(np.roll(windows, -1, 1), 1, 0), strict=True):
        along = end - start
        length = np.linalg.norm(along, axis=1, keepdims=True)
        inward = np.stack([-along[:, 1], along[:, 0]], 1) / np.where(length > 0, length, 1)
        depth = ((polygons - start[:, None]) * inward[:, None]).sum(2, keepdims=True)
        after, depth_after = np.roll(polygons, -1, 1), np.roll(depth, -1, 1)
        kept = polygons - np.minimum(depth, 0) * inward[:, None]
        crosses = (depth < 0) != (depth_after < 0)
        part = np.divide(depth, depth - depth_after, out=np.zeros_like(depth), where=crosses)
        crossing = np.where(crosses, polygons + part * (after - polygons), kept)
        polygons = np.stack([kept, crossing], 2).reshape(len(polygons), 2 * polygons.shape[1], 2)
    return polygons
