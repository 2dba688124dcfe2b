"""The three forms of a label: upright box (``detect``), oriented box (``obb``), polygon (``segment``).

Importers keep all that a source says of an object; here it becomes what was asked for. What cannot become it is dropped
and counted by class and reason, and how the others did is counted as well:

- An oriented box has the four corners of the source, in their order. Of any other polygon, and of several parts
  together, it is the smallest rectangle around them. Where only an upright box is known, it is taken as it is: "no turn
  known, box taken as it is".
- A polygon is the one of the source, or the corners of its oriented box; an upright box is none. Where a label must be
  one polygon (YOLO), parts are joined by a line without width at their nearest corners, as Ultralytics does.
- Four corners that cross each other are put in order around their centre. Corners without area are dropped.
- What lies outside the picture is cut off, as it is from boxes. An oriented box that is cut is the one of two that fits
  the visible part better: its corners moved to the edge, or the smallest rectangle around that part, moved likewise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from rsdet.data.annotations import MIN_SIDE_PX, Annotation, Box, Dataset, ImportLog, kind_of
from rsdet.geometry import corners_to_xywhr, polygon_iou, xywhr_to_corners

TASKS = ("detect", "obb", "segment")
UNTURNED = "no turn known, box taken as it is"
_FLAT = "degenerate {}: zero area"
_BEYOND = "{} outside the image: the box around it is inside, but no part of it"
_SLACK_PX = 1e-2  # labels with few decimals overshoot the edge by this much at most; that is rounding

Point = tuple[float, float]


def give_form(dataset: Dataset, log: ImportLog, task: str, one_ring: bool = True) -> None:
    """Give all labels of a data set the form of a task, in place.

    Args:
        dataset: Its objects get one polygon of four corners for ``obb``, one or more polygons for ``segment``.
        log: Where what is dropped, and how the others were changed, is counted.
        task: One of :data:`TASKS`; nothing is changed for ``detect``.
        one_ring: Join the parts of a polygon.
    """
    if task == "detect":
        return
    for split, records in dataset.splits.items():
        for record in records:
            kept: dict[tuple, Annotation] = {}
            for item in record.objects:
                name, how = dataset.names[item.cls], Counter()
                size = record.width, record.height
                rings = form_of(item, size, task, how, one_ring)
                if isinstance(rings, str):
                    log.drop(split, *item.origin, f"{rings}; class {name}")
                    log[split].lost[name, kind_of(rings)] += 1
                    continue
                if twin := kept.get((item.cls, rings)):
                    log.drop(split, *item.origin, f"duplicate annotation: the same {task} label as {twin.origin[1]}")
                    continue
                log[split].forms.update((what, name) for what in how)
                item.polygons_px, item.corners_px = rings, None
                kept[item.cls, rings] = item
            record.objects = list(kept.values())


def form_of(
    item: Annotation, size: tuple[float, float], task: str, how: Counter, one_ring: bool = True
) -> tuple[tuple[float, ...], ...] | str:
    """Rings of an object in the form of ``obb`` or ``segment``, cut to its picture, or why it has none.

    Args:
        item: The object.
        size: Width and height of the picture, pixels.
        task: Anything but ``obb`` asks for outlines.
        how: Where what was done to them is counted.
        one_ring: Join the parts of an outline.
    """
    return _oriented(item, size, how) if task == "obb" else _outlines(item, size, how, one_ring)


def visible(rings: Sequence[Sequence[float]], size: tuple[float, float]) -> tuple[float, Box | None]:
    """Share of the area of rings that lies inside a picture of this width and height, and the box around that part."""
    whole = [points for points in map(_points, rings) if points]
    inside = [points for points in (_cut(points, size, Counter()) for points in whole) if points]
    of, part = (sum(abs(_turn(points)) for points in some) for some in (whole, inside))
    if not inside or of <= 0:
        return 0.0, None
    (x1, y1), (x2, y2) = (f([p for points in inside for p in points], axis=0) for f in (np.min, np.max))
    return min(part / of, 1.0), (max(x1, 0.0), max(y1, 0.0), min(x2, size[0]), min(y2, size[1]))


def join(rings: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """One ring of several: each next one hangs on the nearest corner of those before by a line there and back."""
    first, *rest = (np.reshape(ring, (-1, 2)) for ring in rings)
    for ring in rest:
        apart = (((first - corner) ** 2).sum(1) for corner in ring)
        _, i, j = min((d.min(), d.argmin(), j) for j, d in enumerate(apart))
        first = np.concatenate([first[: i + 1], ring[j:], ring[: j + 1], first[i:]])
    return tuple(first.ravel().tolist())


def area(ring: Sequence[float]) -> float:
    """Area enclosed by a ring ``x1 y1 …`` that does not cross itself, in its unit squared."""
    return abs(_turn([(x - ring[0], y - ring[1]) for x, y in zip(ring[0::2], ring[1::2], strict=True)]))


def _turn(points: Sequence[Point]) -> float:
    after = [*points[1:], *points[:1]]
    return sum(x * v - y * u for (x, y), (u, v) in zip(points, after, strict=True)) / 2


def _points(ring: Sequence[float]) -> list[Point]:
    """Corners of a ring without those that repeat the one before; the last one may repeat the first."""
    points = list(zip(ring[0::2], ring[1::2], strict=True))
    return [p for p, before in zip(points, [points[-1], *points[:-1]], strict=True) if p != before]


def _flat(points: Sequence[Point]) -> bool:
    """Whether the corners enclose nothing but a line."""
    if len(set(points)) < 3:
        return True
    xs, ys = zip(*points, strict=True)
    long = max(max(xs) - min(xs), max(ys) - min(ys))
    return abs(_turn([(x - xs[0], y - ys[0]) for x, y in points])) < MIN_SIDE_PX * long


def _crosses(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the lines from a to b and from c to d cross each other between their ends."""
    sides = [_turn(corners) for corners in ((a, b, c), (a, b, d), (c, d, a), (c, d, b))]
    return sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0


def _in_order(points: list[Point], how: Counter) -> list[Point]:
    """Four corners that cross each other, put in order around their centre; all others as they are."""
    if len(points) != 4:
        return points
    a, b, c, d = points
    if not (_crosses(a, b, c, d) or _crosses(b, c, d, a)):
        return points
    how["crossing corners put in order"] += 1
    x, y = (sum(v) / 4 for v in zip(*points, strict=True))
    return sorted(points, key=lambda p: np.arctan2(p[1] - y, p[0] - x))


def _cut(points: list[Point], size: tuple[float, float], how: Counter) -> list[Point]:
    """The part inside a picture (Sutherland and Hodgman); parts that fall asunder stay joined along its edge."""
    xs, ys = zip(*points, strict=True)
    right, below = size[0] + _SLACK_PX, size[1] + _SLACK_PX
    if min(xs) >= -_SLACK_PX and min(ys) >= -_SLACK_PX and max(xs) <= right and max(ys) <= below:
        return points
    how["cut at the edge of the picture"] += 1
    for axis, edge, sign in ((0, 0.0, 1), (0, size[0], -1), (1, 0.0, 1), (1, size[1], -1)):
        kept = []
        for p, q in zip(points, [*points[1:], *points[:1]], strict=True):
            p_in, q_in = (sign * (v[axis] - edge) >= 0 for v in (p, q))
            if p_in:
                kept.append(p)
            if p_in != q_in:
                part = (edge - p[axis]) / (q[axis] - p[axis])
                at = p[1 - axis] + part * (q[1 - axis] - p[1 - axis])
                kept.append((edge, at) if axis == 0 else (at, edge))
        points = kept
    return points


def _ring(points: Sequence[Point]) -> tuple[float, ...]:
    return tuple(float(v) for p in points for v in p)


def _oriented(item: Annotation, size: tuple[float, float], how: Counter) -> tuple[tuple[float, ...], ...] | str:
    """The four corners of an object as its only ring, or why it has none."""
    rings = [_points(ring) for ring in ((item.corners_px,) if item.corners_px else item.polygons_px)]
    if not rings:
        how[UNTURNED] += 1
        x1, y1, x2, y2 = item.xyxy_px
        return ((x1, y1, x2, y1, x2, y2, x1, y2),)
    rings = [_in_order(points, how) for points in rings]
    if all(map(_flat, rings)):
        return _FLAT.format("quadrilateral" if len(rings) == 1 and len(item.polygons_px[0]) <= 8 else "polygon")
    visible = [_cut(points, size, how) for points in rings]
    visible = [points for points in visible if points and not _flat(points)]
    if not visible:
        return _BEYOND.format("polygon")
    if visible == rings and len(rings) == 1 and len(rings[0]) == 4:
        return (_ring(rings[0]),)
    if visible == rings:
        around = "all parts" if len(rings) > 1 else "the polygon" if len(rings[0]) > 4 else "three corners"
        how[f"smallest rectangle around {around}"] += 1
    corners = np.clip(xywhr_to_corners(corners_to_xywhr([[p for points in visible for p in points]])), 0, size)
    if len(rings) == 1 and len(rings[0]) == 4:
        both = np.concatenate([corners, np.clip([rings[0]], 0, size)])
        corners = both[polygon_iou(visible * 2, both).argmax()]
    return (tuple(corners.ravel().tolist()),)


def _outlines(
    item: Annotation, size: tuple[float, float], how: Counter, one_ring: bool
) -> tuple[tuple[float, ...], ...] | str:
    """The polygons of an object, joined to one if that is wanted, or why it has none."""
    rings = [_in_order(_points(r), how) for r in item.polygons_px or ((item.corners_px,) if item.corners_px else ())]
    if len(rings) == 1 and len(rings[0]) == 4:
        how["four corners taken for the outline"] += 1
    if not rings:
        return "no polygon: only an upright box is known, which task=detect and obb take"
    solid = [points for points in rings if not _flat(points)]
    if not solid:
        return _FLAT.format("polygon")
    visible = [points for points in (_cut(points, size, how) for points in solid) if points and not _flat(points)]
    if not visible:
        return _BEYOND.format("polygon")
    if len(solid) < len(rings):
        how["parts without area left out"] += 1
    if len(visible) < len(solid):
        how["parts outside the picture left out"] += 1
    outlines = tuple(map(_ring, visible))
    if one_ring and len(outlines) > 1:
        how["parts joined by a line at their nearest corners"] += 1
        outlines = (join(outlines),)
    return outlines
