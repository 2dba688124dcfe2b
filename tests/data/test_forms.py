"""The three forms of labels: what becomes of each label for each task, and that what cannot become it is counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fakes import picture, text
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.data.annotations import Annotation, Dataset, ImageRecord, ImportLog
from rsdet.data.exporters.yolo import yolo_labels
from rsdet.data.forms import UNTURNED, area, give_form, join
from rsdet.data.importers._labels import bounds
from rsdet.geometry import corner_distance

SIZE = (100, 80)
RECTANGLE = (10, 10, 30, 10, 30, 20, 10, 20)


def formed(task, *rings, corners=None, one_ring=True):
    """Polygons of an object with these rings, how it got them, and why it was dropped."""
    box = bounds([v for ring in rings for v in ring] or RECTANGLE)
    data = Dataset(
        ["ship"], {"train": [ImageRecord("a.png", *SIZE, None, [Annotation(0, box, rings, False, corners)])]}
    )
    log = ImportLog()
    give_form(data, log, task, one_ring)
    objects = data.splits["train"][0].objects
    assert [d.reason for d in log["train"].dropped] == [f"{d}; class ship" for d in _reasons(log)]
    assert sum(log["train"].lost.values()) == 1 - len(objects)
    return objects[0].polygons_px if objects else None, {how for how, _ in log["train"].forms}, _reasons(log)


def _reasons(log):
    return [d.reason.removesuffix("; class ship") for d in log["train"].dropped]


def same(ring, wanted):
    return corner_distance([np.reshape(ring, (4, 2))], [np.reshape(wanted, (4, 2))])[0] < 1e-3


@pytest.mark.parametrize(
    ("rings", "wanted", "how"),
    [
        ([RECTANGLE], RECTANGLE, set()),
        ([(10, 10, 30, 12, 28, 22, 9, 20)], (10, 10, 30, 12, 28, 22, 9, 20), set()),  # any quadrilateral stays
        ([RECTANGLE + RECTANGLE[:2]], RECTANGLE, set()),  # closed
        ([(10, 10, 30, 20, 30, 10, 10, 20)], RECTANGLE, {"crossing corners put in order"}),
        ([(10, 10, 30, 10, 10, 20)], RECTANGLE, {"smallest rectangle around three corners"}),
        ([(10, 10, 30, 10, 30, 10, 10, 20)], RECTANGLE, {"smallest rectangle around three corners"}),
        ([(10, 10, 20, 10, 30, 10, 30, 20, 10, 20)], RECTANGLE, {"smallest rectangle around the polygon"}),
        ([(10, 10, 12, 10, 10, 20), (30, 10, 30, 20, 28, 20)], RECTANGLE, {"smallest rectangle around all parts"}),
        ([], RECTANGLE, {UNTURNED}),
        ([(-50, 20, 30, 20, 30, 40, -50, 40)], (0, 20, 30, 20, 30, 40, 0, 40), {"cut at the edge of the picture"}),
        ([(60, 20, 70, 10, 101, 41, 91, 51)], (60, 20, 70, 10, 100, 41, 91, 51), {"cut at the edge of the picture"}),
        # Corners moved to the edge would be (0, 0, 30, 30, 25, 35, 0, 10): the visible part is where they are not.
        ([(-60, -50, 30, 40, 24, 46, -66, -44)], (0, 10, 30, 40, 24, 46, 0, 16), {"cut at the edge of the picture"}),
    ],
)
def test_oriented_boxes(rings, wanted, how):
    found, done, dropped = formed("obb", *rings)
    assert same(found[0], wanted)
    assert (done, dropped) == (how, [])


def test_corners_of_the_source_go_before_its_polygon():
    turned = (20, 10, 30, 20, 20, 30, 10, 20)
    assert formed("obb", (10, 10, 30, 10, 20, 30), corners=turned)[0] == (turned,)
    assert formed("segment", (10, 10, 30, 10, 20, 30), corners=turned)[0] == ((10, 10, 30, 10, 20, 30),)


@pytest.mark.parametrize(
    ("task", "ring", "why"),
    [
        ("obb", (10, 10, 20, 20, 30, 30, 40, 40), "degenerate quadrilateral: zero area"),
        ("obb", (10, 10, 30, 30, 10, 10, 30, 30), "degenerate quadrilateral: zero area"),
        ("segment", (10, 10, 20, 20, 30, 30), "degenerate polygon: zero area"),
        ("obb", (-30, 10, 10, -30, 12, -30, -30, 12), "polygon outside the image"),
        ("segment", (-30, 10, 10, -30, 12, -30, -30, 12), "polygon outside the image"),
    ],
)
def test_what_cannot_be_turned_into_it_is_counted(task, ring, why):
    found, _, (reason,) = formed(task, ring)
    assert found is None
    assert reason.startswith(why)


def test_an_upright_box_is_no_polygon():
    assert formed("segment") == (
        None,
        set(),
        ["no polygon: only an upright box is known, which task=detect and obb take"],
    )


def test_polygons_are_cut_and_parts_joined():
    found, how, _ = formed("segment", (90, 10, 120, 10, 120, 20, 90, 20), (10, 10, 30, 10, 30, 20, 10, 20))
    assert how == {"cut at the edge of the picture", "parts joined by a line at their nearest corners"}
    assert area(found[0]) == pytest.approx(10 * 10 + 20 * 10)
    assert max(found[0][0::2]) == 100
    apart, how, _ = formed("segment", (90, 10, 95, 10, 95, 20, 90, 20), RECTANGLE, one_ring=False)
    assert (len(apart), how) == (2, set())


polygon = st.lists(st.floats(4, 20), min_size=3, max_size=12)


def star(radii, x, y):
    """A simple polygon around a point."""
    angles = [2 * math.pi * i / len(radii) for i in range(len(radii))]
    return tuple(v for r, a in zip(radii, angles, strict=True) for v in (x + r * math.cos(a), y + r * math.sin(a)))


@settings(max_examples=60, deadline=None)
@given(st.lists(polygon, min_size=2, max_size=4))
def test_joined_parts_cover_what_the_parts_do(shapes):
    rings = [star(radii, 25 + 45 * i, 25) for i, radii in enumerate(shapes)]
    assert area(join(rings)) == pytest.approx(sum(map(area, rings)), rel=1e-9)


def test_ultralytics_reads_joined_polygons(tmp_path):
    from ultralytics.data.utils import verify_image_label

    record = ImageRecord("a.png", *SIZE, None, [Annotation(0, (10, 10, 95, 20), (RECTANGLE, (90, 10, 95, 10, 95, 20)))])
    data = Dataset(["ship"], {"train": [record]})
    give_form(data, ImportLog(), "segment")
    label = text(tmp_path / "a.txt", yolo_labels(record, "segment"))
    found = verify_image_label((str(picture(tmp_path / "a.png", SIZE)), str(label), "", False, 1, 0, 0, False))
    assert len(found[3]) == 1
    assert found[1][0] == pytest.approx([0, 0.525, 15 / 80, 0.85, 10 / 80], abs=1e-5)
