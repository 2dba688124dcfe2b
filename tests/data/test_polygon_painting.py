"""A pixel is inside a polygon where its centre is: compared with rays counted in fractions, point by point."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from rsdet.data.annotations import NOTHING, UNKNOWN, Annotation, ImageRecord
from rsdet.data.masks.painting import inside, paint
from rsdet.data.tiling import Tile


def rays(rings, height: int, width: int, top: int = 0, left: int = 0) -> np.ndarray:
    """Whether a ray from each centre to the right crosses the rings an odd number of times, in exact numbers."""
    out = np.zeros((height, width), bool)
    for y, x in np.ndindex(height, width):
        cx, cy = Fraction(2 * (x + left) + 1, 2), Fraction(2 * (y + top) + 1, 2)
        odd = False
        for ring in rings:
            points = [(Fraction(a), Fraction(b)) for a, b in np.reshape(ring, (-1, 2)).tolist()]
            for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
                if (ay <= cy) != (by <= cy) and ax + (cy - ay) * (bx - ax) / (by - ay) > cx:
                    odd = not odd
        out[y, x] = odd
    return out


def filled(rings, tile: Tile) -> np.ndarray:
    out = np.zeros((tile.height, tile.width), bool)
    where, found = inside(rings, tile)
    out[where] = found
    return out


@pytest.mark.parametrize("seed", range(12))
def test_any_polygon_in_any_tile(seed):
    rng = np.random.default_rng(seed)
    rings = [rng.uniform(-6, 26, 2 * rng.integers(3, 9)).tolist() for _ in range(rng.integers(1, 4))]
    if seed % 3 == 0:  # corners and edges on the centres of pixels
        rings = [(np.floor(np.array(r)) + 0.5).tolist() for r in rings]
    if seed % 3 == 1:
        rings = [np.round(r).tolist() for r in rings]
    tile = Tile(int(rng.integers(0, 5)), int(rng.integers(0, 5)), 15, 18)
    same = filled(rings, tile) == rays(rings, 15, 18, tile.top, tile.left)
    for y, x in np.argwhere(~same):  # a centre on an edge belongs to one side; which one is not promised
        assert distance(rings, x + tile.left + 0.5, y + tile.top + 0.5) < 1e-9
    assert same.mean() > 0.9


def distance(rings, x: float, y: float) -> float:
    """Distance to the nearest edge."""
    found = []
    for ring in rings:
        points = np.reshape(ring, (-1, 2))
        for a, b in zip(points, np.roll(points, -1, 0), strict=True):
            length = float(((b - a) ** 2).sum())
            t = 0.0 if length == 0 else float(np.clip((np.array([x, y]) - a) @ (b - a) / length, 0, 1))
            found.append(float(np.hypot(*(a + t * (b - a) - [x, y]))))
    return min(found)


@pytest.mark.parametrize("seed", range(6))
def test_shapes_that_share_edges_leave_no_gap_and_no_double(seed):
    """A fan of triangles around a point, their edges through the centres of pixels as well."""
    rng = np.random.default_rng(seed)
    centre = np.array([10.5, 9.5]) if seed % 2 else rng.uniform(5, 15, 2)
    rim = np.array([(-30, -30), (50, -30), (50, 50), (-30, 50)], float)
    rim = np.concatenate(
        [[a, a + rng.uniform(0.2, 0.8) * (b - a)] for a, b in zip(rim, np.roll(rim, -1, 0), strict=True)]
    )
    tile = Tile(0, 0, 20, 20)
    count = np.zeros((20, 20), int)
    for i, (a, b) in enumerate(zip(rim, np.roll(rim, -1, 0), strict=True)):
        ring = [centre, a, b] if i % 2 else [b, centre, a]  # drawn either way round
        count += filled([np.ravel(ring if i % 3 else ring[::-1])], tile)
    assert (count == 1).all()


def test_tiles_of_a_picture_agree():
    rng = np.random.default_rng(5)
    rings = [rng.uniform(0, 60, 14).tolist()]
    whole = filled(rings, Tile(0, 0, 60, 60))
    for top, left in ((0, 0), (13, 7), (30, 31)):
        assert np.array_equal(filled(rings, Tile(top, left, 29, 28)), whole[top : top + 29, left : left + 28])


def record(*objects: Annotation, ignored=()) -> ImageRecord:
    return ImageRecord("a.png", 20, 20, objects=list(objects), ignored=list(ignored))


def square(cls: int, x1: float, y1: float, x2: float, y2: float, **more: object) -> Annotation:
    ring = (x1, y1, x2, y1, x2, y2, x1, y2)
    return Annotation(cls, (x1, y1, x2, y2), (ring,), **more)


def test_the_smaller_object_wins_whatever_the_order_and_is_counted():
    field, house = square(0, 0, 0, 12, 12), square(1, 4, 4, 7, 8)
    tile = Tile(0, 0, 20, 20)
    for objects in ((field, house), (house, field)):
        how: Counter = Counter()
        found = paint(record(*objects), tile, ["field", "house"], how)
        assert (found == 1).sum() == 12
        assert (found == 0).sum() == 144 - 12
        assert (found == NOTHING).sum() == 400 - 144
        assert how == {("pixels of two classes, given to the smaller object", "field"): 12}


def test_holes_parts_and_what_is_ignored():
    hole = ((2.0, 2.0, 8.0, 2.0, 8.0, 8.0, 2.0, 8.0),)
    island = (3.0, 3.0, 6.0, 3.0, 6.0, 6.0, 3.0, 6.0)
    ring = square(0, 0, 0, 10, 10, holes_px=hole)
    ring.polygons_px += (island,)
    parts = square(1, 11, 0, 15, 4)
    parts.polygons_px += ((13.0, 2.0, 18.0, 2.0, 18.0, 6.0, 13.0, 6.0),)  # over the first: it stays inside
    cloud = square(-1, 0, 0, 20, 1)
    found = paint(record(ring, parts, ignored=[cloud]), Tile(0, 0, 20, 20), ["a", "b"], Counter())
    assert (found[0] == UNKNOWN).all()
    assert (found == 0).sum() == 100 - 36 + 9 - 10
    assert (found == 1).sum() == 16 + 20 - 4 - 4


def test_objects_between_the_centres_are_counted():
    how: Counter = Counter()
    paint(record(square(0, 3.6, 3.6, 4.4, 4.4)), Tile(0, 0, 20, 20), ["dot"], how)
    assert how == {("objects that cover the centre of no pixel", "dot"): 1}
