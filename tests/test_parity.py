"""Parity: what counts as the same detections, and that pictures and boxes go through the same geometry everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.deploy.parity import compare_raw
from rsdet.errors import ConfigError
from rsdet.tasks.detect.decode import detections_from_raw, preprocess
from rsdet.tasks.detect.parity import compare

A = [10, 10, 50, 40, 0.9, 1]
B = [60, 20, 90, 80, 0.6, 0]
LOW = [5, 60, 25, 90, 0.052, 1]  # within 0.005 of the threshold of 0.05


def change(row, **by):
    row = list(row)
    for key, value in by.items():
        row[{"x": 0, "y": 1, "score": 4, "cls": 5}[key]] += value
    return row


CASES = [
    # (what, candidate, ok, box error, score error, missing, extra, borderline) against the reference [A, B, LOW]
    ("the same", [A, B, LOW], True, 0, 0, 0, 0, 0),
    ("another order", [LOW, B, A], True, 0, 0, 0, 0, 0),
    ("a small shift", [change(A, x=0.3), B, LOW], True, 0.3, 0, 0, 0, 0),
    ("a large shift", [change(A, x=12), B, LOW], False, 12, 0, 0, 0, 0),
    ("moved away", [change(A, x=100), B, LOW], False, 0, 0, 1, 1, 0),
    ("another score", [change(A, score=-0.05), B, LOW], False, 0, 0.05, 0, 0, 0),
    ("another class", [change(A, cls=1), B, LOW], False, 0, 0, 1, 1, 0),
    ("one missing", [A, LOW], False, 0, 0, 1, 0, 0),
    ("one too many", [A, B, LOW, [1, 1, 9, 9, 0.3, 2]], False, 0, 0, 0, 1, 0),
    ("the same box twice", [A, A, B, LOW], False, 0, 0, 0, 1, 0),
    ("lost at the threshold", [A, B], True, 0, 0, 0, 0, 1),
    ("gained at the threshold", [A, B, LOW, [30, 60, 50, 90, 0.053, 0]], True, 0, 0, 0, 0, 1),
    ("fell below the threshold", [A, B, change(LOW, score=-0.004)], True, 0, 0.004, 0, 0, 0),
]


COLUMNS = ("what", "candidate", "ok", "box", "score", "missing", "extra", "borderline")


@pytest.mark.parametrize(COLUMNS, CASES, ids=[c[0] for c in CASES])
def test_compare(what, candidate, ok, box, score, missing, extra, borderline):
    report = compare([np.array([A, B, LOW])], [np.array(candidate, dtype=float)])
    assert report.ok is ok
    assert report.max_box_error_px == pytest.approx(box, abs=1e-9)
    assert report.max_score_error == pytest.approx(score, abs=1e-9)
    assert (report.unmatched_reference, report.unmatched_candidate, report.borderline) == (missing, extra, borderline)
    assert "\n" not in report.summary()
    assert ("FAILED" in report.summary()) is not ok


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 4])
@pytest.mark.parametrize("side", [0, 1])
def test_a_value_that_is_not_finite_fails(bad, column, side):
    sides = [[np.array([A, B])] for _ in range(2)]
    sides[side][0][1, column] = bad
    report = compare(*sides)
    assert not report.ok
    assert report.has_nan
    assert report.worst_image == 0


def test_the_worst_image_is_named():
    ref = [np.array([A]), np.array([A]), np.array([A])]
    report = compare(ref, [ref[0], np.array([change(A, x=0.4)]), ref[2]])
    assert report.ok
    assert report.worst_image == 1
    report = compare(ref, [np.zeros((0, 6)), np.array([change(A, x=0.4)]), ref[2]])
    assert report.worst_image == 0


def test_nothing_found_on_either_side_shows_nothing():
    report = compare([np.zeros((0, 6))] * 2, [[], []])
    assert report.ok
    assert report.vacuous
    assert "not shown" in report.summary()


def test_crossed_pairs_are_matched_by_error_not_by_order():
    # Two boxes half a pixel apart, listed the other way round: taking the nearest first would be just as wrong.
    ref = np.array([[0, 0, 20, 20, 0.8, 0], [0.5, 0, 20.5, 20, 0.8, 0]])
    assert compare([ref], [ref[::-1]]).max_box_error_px == 0


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [([np.zeros((0, 6))], []), ([np.zeros((3, 5))], [np.zeros((3, 5))])],
    ids=["count", "columns"],
)
def test_lists_that_do_not_fit(reference, candidate):
    with pytest.raises(ConfigError, match="expected"):
        compare(reference, candidate)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 40), st.floats(0, 0.4), st.floats(0, 0.004))
def test_jitter_within_tolerance_passes_and_is_measured(seed, n, box_jitter, score_jitter):
    rng = np.random.default_rng(seed)
    xy, wh = rng.uniform(0, 500, (n, 2)), rng.uniform(3, 60, (n, 2))
    ref = np.column_stack([xy, xy + wh, rng.uniform(0.06, 0.99, n), rng.integers(0, 3, n)])
    moved = ref.copy()
    moved[:, :4] += rng.uniform(-box_jitter, box_jitter, (n, 4))
    moved[:, 4] += rng.uniform(-score_jitter, score_jitter, n)
    report = compare([ref], [moved[rng.permutation(n)]])
    assert report.ok
    assert report.matched == n
    assert report.max_box_error_px <= box_jitter + 1e-9
    assert report.max_score_error <= score_jitter + 1e-9


def test_compare_raw():
    a = np.arange(6.0).reshape(2, 3)
    assert compare_raw(a, a).ok
    assert compare_raw(a, a + 0.5).max_abs_diff == 0.5
    assert not compare_raw(a, a + 0.5).ok
    assert not compare_raw(a, np.where(a == 3, np.nan, a)).ok
    with pytest.raises(ConfigError, match="shape"):
        compare_raw(a, a.T)


# ------------------------------------------------------------------------------------------------- geometry


def test_rtdetr_boxes_stretch_with_the_image():
    raw = np.array([[[0.5, 0.5, 0.2, 0.4, 0.9, 3], [0.1, 0.1, 0.1, 0.1, 0.01, 0]]])
    (found,) = detections_from_raw(raw, "rtdetr", (64, 64), [(100, 200)])
    np.testing.assert_allclose(found, [[80, 30, 120, 70, 0.9, 3]], rtol=1e-6)


@pytest.mark.parametrize("layout", ["before suppression", "end to end"])
def test_yolo_boxes_come_back_out_of_the_letterbox(layout):
    h, w = 100, 200  # scaled by 0.32 to 32x64, 16 rows of padding above
    x1, y1, x2, y2 = 40.0, 20.0, 120.0, 60.0
    s, pad = 0.32, 16
    box = [x1 * s, y1 * s + pad, x2 * s, y2 * s + pad]
    if layout == "end to end":
        raw = np.array([[[*box, 0.8, 1]]])
    else:
        cxcywh = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]]
        # Two copies of the box: suppression has to leave one. Seven candidates, so that no axis is six wide.
        raw = np.zeros((1, 4 + 2, 7))
        raw[0, :, 0], raw[0, :, 1] = [*cxcywh, 0.1, 0.8], [*cxcywh, 0.1, 0.7]
    (found,) = detections_from_raw(raw, "yolo", (64, 64), [(h, w)], conf=0.25)
    np.testing.assert_allclose(found, [[x1, y1, x2, y2, 0.8, 1]], rtol=1e-5)


def test_values_that_are_not_numbers_survive_decoding():
    raw = np.full((1, 2, 6), np.nan)
    assert len(detections_from_raw(raw, "rtdetr", (64, 64), [(10, 10)])[0]) == 2


def test_at_most_max_det_best_first():
    raw = np.zeros((1, 5, 6))
    raw[0, :, 4] = [0.2, 0.9, 0.5, 0.7, 0.3]
    (found,) = detections_from_raw(raw, "rtdetr", (64, 64), [(10, 10)], max_det=2)
    np.testing.assert_allclose(found[:, 4], [0.9, 0.7], rtol=1e-6)


@pytest.mark.parametrize(("family", "corner"), [("rtdetr", [0, 0, 1]), ("yolo", [114 / 255] * 3)])
def test_preprocessing_stretches_or_letterboxes_and_turns_bgr_to_rgb(family, corner):
    blue = np.zeros((20, 40, 3), np.uint8)
    blue[..., 0] = 255
    x = preprocess([blue, blue], family, (32, 32))
    assert x.shape == (2, 3, 32, 32)
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    np.testing.assert_allclose(x[0, :, 0, 0], corner, rtol=1e-6)
    np.testing.assert_allclose(x[1, :, 16, 16], [0, 0, 1])


def test_an_unknown_family_is_refused():
    with pytest.raises(ConfigError, match="family"):
        preprocess([np.zeros((4, 4, 3), np.uint8)], "ssd", (32, 32))
