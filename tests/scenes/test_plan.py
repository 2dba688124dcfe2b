"""The tiles of a scene: cores cover it once, whatever its size, and objects belong to one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.runtime.results import Detections
from rsdet.scenes.plan import Plan


def seen(boxes: list[tuple[float, float, float, float]]) -> Detections:
    """Detections of one class with falling scores."""
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    n = len(xyxy)
    return Detections(xyxy, np.linspace(0.9, 0.5, n, dtype=np.float32), np.zeros(n, int), {0: "a"}, (64, 64), (64, 64))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(32, 128), st.integers(0, 31), st.data())
def test_each_point_belongs_to_one_core_at_each_resolution(
    height: int, width: int, tile: int, overlap: int, data: st.DataObject
) -> None:
    plan = Plan([(height, width), (-(-height // 2), -(-width // 2))], [1.0, 2.0], tile, overlap)
    spots = [plan[i] for i in range(len(plan))]
    assert [s.number for s in spots] == list(range(len(plan)))
    x, y = data.draw(st.floats(0, width, exclude_max=True)), data.draw(st.floats(0, height, exclude_max=True))
    for scale, ratio in enumerate(plan.ratios):
        inside = [
            s
            for s in spots
            if s.scale == scale and s.core[0] <= x / ratio < s.core[2] and s.core[1] <= y / ratio < s.core[3]
        ]
        assert len(inside) == 1
        t = inside[0].tile
        assert t.left <= x / ratio <= t.left + t.width
        assert t.top <= y / ratio <= t.top + t.height


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 260), st.integers(0, 260), st.integers(2, 24), st.integers(2, 24))
def test_an_object_no_larger_than_the_overlap_has_one_owner_that_sees_it_whole(x: int, y: int, w: int, h: int) -> None:
    """Each tile sees what of the object lies in it, as a perfect detector would."""
    plan = Plan([(300, 300)], [1.0], 100, 24)
    owners = []
    for i in range(len(plan)):
        t = plan[i].tile
        x1, y1 = max(x, t.left), max(y, t.top)
        x2, y2 = min(x + w, t.left + t.width, 300), min(y + h, t.top + t.height, 300)
        if x2 - x1 > 0 and y2 - y1 > 0:
            found = plan[i].take(seen([(x1 - t.left, y1 - t.top, x2 - t.left, y2 - t.top)]))
            owners += [b for b, guest in zip(found.boxes_xyxy.tolist(), found.guest, strict=True) if not guest]
    assert owners == [[x, y, min(x + w, 300), min(y + h, 300)]]


def test_what_lies_beside_the_core_is_a_guest_and_what_the_edge_cuts_is_none() -> None:
    plan = Plan([(100, 180)], [1.0], 100, 20)
    first, second = plan[0], plan[1]
    assert first.core[2] == 90 == second.core[0]
    found = first.take(
        seen([(80, 40, 96, 56), (86, 40, 98, 52), (60, 40, 99.5, 60), (92, 10, 100, 30), (70, 5, 90, 20)])
    )
    assert found.guest.tolist() == [False, True, False, False]  # by a little outside; far outside and cut: not its own
    assert found.cut.tolist() == [False, False, True, False]


def test_boxes_of_a_coarser_view_are_in_pixels_of_the_scene() -> None:
    plan = Plan([(100, 100), (50, 50)], [1.0, 2.0], 50, 10)
    coarse = plan[len(plan) - 1]
    assert (coarse.scale, coarse.ratio) == (1, 2.0)
    assert coarse.take(seen([(10, 12, 20, 30)])).boxes_xyxy.tolist() == [[20, 24, 40, 60]]


def test_a_number_out_of_the_plan_is_no_tile() -> None:
    with pytest.raises(IndexError):
        Plan([(10, 10)], [1.0], 8, 2)[4]
