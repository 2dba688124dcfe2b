"""Overlap of convex polygons written out in fractions: clipped side by side, exact for the corners it is given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

Point = tuple[Fraction, Fraction]


def turned_box(x: float, y: float, w: float, h: float, r: float) -> list[tuple[float, float]]:
    """The four corners, by turning each about the centre."""
    c, s = math.cos(r), math.sin(r)
    sides = [(w / 2, h / 2), (w / 2, -h / 2), (-w / 2, -h / 2), (-w / 2, h / 2)]
    return [(x + u * c - v * s, y + u * s + v * c) for u, v in sides]


def exact(polygon: Iterable[Iterable[float]]) -> list[Point]:
    """The corners as fractions, so numbered that the area is positive."""
    points = [tuple(Fraction(float(v)) for v in p) for p in polygon]
    return points if signed_area(points) >= 0 else points[::-1]


def sides(polygon: Sequence[Point]) -> zip:
    return zip(polygon, [*polygon[1:], *polygon[:1]], strict=True)


def signed_area(polygon: Sequence[Point]) -> Fraction:
    return sum((a[0] * b[1] - b[0] * a[1] for a, b in sides(polygon)), Fraction()) / 2


def clip(polygon: Sequence[Point], window: Sequence[Point]) -> list[Point]:
    """What of a polygon lies left of every side of a convex window."""
    for a, b in sides(window):
        kept = []
        for p, q in sides(polygon):
            left = [(b[0] - a[0]) * (v[1] - a[1]) - (b[1] - a[1]) * (v[0] - a[0]) for v in (p, q)]
            if left[0] >= 0:
                kept.append(p)
            if (left[0] >= 0) != (left[1] >= 0):
                t = left[0] / (left[0] - left[1])
                kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
        polygon = kept
    return list(polygon)


def iou(a: Iterable[Iterable[float]], b: Iterable[Iterable[float]]) -> float:
    """IoU of two convex polygons, 0 where one has no area."""
    a, b = exact(a), exact(b)
    areas = signed_area(a), signed_area(b)
    if not min(areas):
        return 0.0
    inter = signed_area(clip(a, b))
    return float(inter / (sum(areas) - inter))
