"""Turned boxes: corners and back, exact overlap, distances that no order of corners changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from references import polygons as plain

from rsdet.geometry import (
    corner_distance,
    corners_to_xywhr,
    polygon_area,
    polygon_iou,
    polygon_ious,
    xywhr_to_corners,
)

BOX = st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(0.5, 80), st.floats(0.5, 80), st.floats(-7, 7))


def boxes(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.c_[rng.uniform(0, 100, (n, 2)), rng.uniform(1, 60, (n, 2)), rng.uniform(-4, 4, n)]


def square(x: float, y: float, side: float = 10.0) -> np.ndarray:
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], float)


def one(a, b) -> float:
    return float(polygon_iou(np.asarray(a, float)[None], np.asarray(b, float)[None])[0])


def test_corners_are_those_of_ultralytics_and_come_back():
    from ultralytics.utils.ops import xywhr2xyxyxyxy, xyxyxyxy2xywhr

    given_boxes = boxes(200)
    corners = xywhr_to_corners(given_boxes)
    assert corners == pytest.approx(xywhr2xyxyxyxy(given_boxes), abs=1e-12)
    assert corners == pytest.approx(np.array([plain.turned_box(*b) for b in given_boxes]), abs=1e-12)
    back = corners_to_xywhr(corners)
    assert back == pytest.approx(xyxyxyxy2xywhr(corners), abs=1e-3)
    assert (back[:, 2] >= back[:, 3]).all()
    assert corner_distance(corners, xywhr_to_corners(back)).max() < 1e-3


def test_a_box_far_from_the_origin_comes_back_to_a_thousandth_of_a_pixel():
    corners = xywhr_to_corners(boxes(50) + np.array([40_000, 90_000, 0, 0, 0]))
    assert corner_distance(corners, xywhr_to_corners(corners_to_xywhr(corners))).max() < 1e-3


def test_no_boxes():
    none = np.zeros((0, 4, 2))
    assert xywhr_to_corners(np.zeros((0, 5))).shape == (0, 4, 2)
    assert corners_to_xywhr(none).shape == (0, 5)
    assert polygon_iou(none, none).shape == corner_distance(none, none).shape == (0,)
    assert polygon_ious(none, none + 0).shape == (0, 0)
    assert polygon_ious(np.zeros((3, 4, 2)), none).shape == (3, 0)


@settings(max_examples=300, deadline=None)
@given(BOX, BOX)
def test_overlap_of_two_turned_boxes_is_exact(a, b):
    p, q = xywhr_to_corners(np.array([a, b]))
    got = one(p, q)
    assert got == pytest.approx(plain.iou(p, q), abs=1e-12)
    assert 0 <= got <= 1


@settings(max_examples=200, deadline=None)
@given(BOX, BOX, st.integers(0, 3), st.booleans(), st.floats(-1e4, 1e4))
def test_overlap_does_not_depend_on_who_is_first_where_they_lie_or_how_corners_are_numbered(a, b, k, turn, move):
    p, q = xywhr_to_corners(np.array([a, b]))
    renumbered = np.roll(q[::-1] if turn else q, k, 0)
    assert one(renumbered + move, p + move) == pytest.approx(one(p, q), abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(BOX, st.integers(0, 3), st.booleans())
def test_a_box_equals_itself(a, k, turn):
    p = xywhr_to_corners(np.array([a]))[0]
    q = np.roll(p[::-1] if turn else p, k, 0)
    assert one(p, q) == pytest.approx(1, abs=1e-9)
    assert corner_distance(p[None], q[None])[0] == 0


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (square(0, 0), square(10, 0), 0),  # a side in common
        (square(0, 0), square(10, 10), 0),  # a corner in common
        (square(0, 0), square(0, 5), 1 / 3),  # sides on one line
        (square(0, 0), square(2, 2, 5), 0.25),  # inside
        (square(0, 0), square(0, 0, 5), 0.25),  # inside, sharing two sides
        (square(0, 0), square(1e6, 0), 0),
        (square(0, 0), np.full((4, 2), 5.0), 0),  # a point
        (square(0, 0), [(2, 2), (8, 8), (8, 8), (2, 2)], 0),  # a line
        (np.full((4, 2), 5.0), np.full((4, 2), 5.0), 0),
        (square(0, 0), [(0, 0), (10, 10), (10, 0), (0, 10)], 0),  # a figure of eight
        (square(0, 0), [(0, 0), (10, 0), (10, 10), (10, 10)], 0.5),  # a triangle, one corner repeated
    ],
)
def test_special_cases(a, b, want):
    assert one(a, b) == pytest.approx(want, abs=1e-12)
    assert one(b, a) == pytest.approx(want, abs=1e-12)


def test_polygons_that_are_not_convex():
    arrow = np.array([(0, 0), (10, 5), (0, 10), (4, 5)], float)  # 30 px^2
    assert polygon_area(arrow) == 30
    assert one(arrow, arrow) == pytest.approx(1)
    assert one(arrow, square(0, 0)) == one(square(0, 0), arrow) == pytest.approx(0.3)
    assert one(arrow, [(0, 4), (4, 5), (0, 6), (0, 5)]) == pytest.approx(0, abs=1e-12)  # it lies in the notch


def test_all_pairs_and_a_large_number_of_them():
    a, b = xywhr_to_corners(boxes(90, 1)), xywhr_to_corners(boxes(70, 2))
    i, j = (x.ravel() for x in np.indices((90, 70)))
    ious = polygon_ious(a, b)
    assert ious.ravel() == pytest.approx(polygon_iou(a[i], b[j]), abs=1e-12)
    assert ious[:5, :5] == pytest.approx(np.array([[plain.iou(p, q) for q in b[:5]] for p in a[:5]]), abs=1e-12)


def test_distance_of_corners():
    a = np.array([(50, 40, 30, 10, 0.3)])
    same = np.array([(50, 40, 10, 30, 0.3 + math.pi / 2)])
    assert corner_distance(xywhr_to_corners(a), xywhr_to_corners(same))[0] == pytest.approx(0, abs=1e-12)
    assert corner_distance(xywhr_to_corners(a), xywhr_to_corners(a + np.array([3, 4, 0, 0, math.pi])))[
        0
    ] == pytest.approx(5)
    turned = corner_distance(xywhr_to_corners(a), xywhr_to_corners(a + np.array([0, 0, 0, 0, 0.1])))[0]
    assert turned == pytest.approx(2 * math.sin(0.05) * math.hypot(15, 5))  # the chord of a corner
