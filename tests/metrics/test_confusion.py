"""Accuracy of maps of classes, by hand and beside torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet.metrics.confusion import IGNORE, PixelScores, count_pixels

NAMES = {0: "a", 1: "b", 2: "c"}


def test_two_by_two_pixels_with_a_class_that_nobody_has():
    truth, found = np.array([[0, 0], [1, IGNORE]]), np.array([[0, 1], [1, 0]])
    scores = PixelScores(count_pixels(truth, found, 3), NAMES)
    assert scores.matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]  # the ignored pixel is in none
    assert scores.iou[:2].tolist() == [0.5, 0.5]
    assert np.isnan(scores.iou[2])
    assert scores.miou == 0.5
    assert scores.macc == pytest.approx((0.5 + 1) / 2)
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.table().splitlines()[3].split() == ["c", "0.00", "-", "-", "-", "-"]


def test_a_class_that_is_found_and_not_there_counts_in_miou_alone():
    scores = PixelScores(count_pixels(np.array([0, 0]), np.array([0, 2]), 3), NAMES)
    assert scores.miou == pytest.approx((0.5 + 0) / 2)
    assert scores.macc == 0.5


def test_the_positive_class_of_the_landslide_sheet():
    truth, found = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])
    scores = PixelScores(count_pixels(truth, found, 2), {0: "background", 1: "slide"}, positive=1)
    assert scores.iou[1] == 0.5
    assert scores.f1[1] == pytest.approx(2 / 3)
    assert "slide: IoU 50.00, F1 66.67" in scores.table()


def test_f1_follows_from_iou():
    rng = np.random.default_rng(0)
    scores = PixelScores(count_pixels(rng.integers(0, 3, 500), rng.integers(0, 3, 500), 3), NAMES)
    np.testing.assert_allclose(scores.f1, 2 * scores.iou / (1 + scores.iou))


def test_nothing_measured_is_no_number():
    scores = PixelScores(np.zeros((3, 3), int), NAMES)
    assert np.isnan([scores.miou, scores.macc, scores.accuracy]).all()


def test_numbers_are_those_of_torchmetrics():
    classification = pytest.importorskip("torchmetrics.functional.classification")
    import torch

    rng = np.random.default_rng(1)
    truth = rng.integers(0, 5, (3, 40, 40))
    found = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 5, truth.shape))
    truth[rng.random(truth.shape) < 0.3] = IGNORE
    scores = PixelScores(count_pixels(truth, found, 5), dict(enumerate("abcde")))
    given = {"num_classes": 5, "ignore_index": IGNORE, "average": "none"}
    pair = torch.from_numpy(found), torch.from_numpy(truth)
    for ours, theirs in (
        (scores.iou, classification.multiclass_jaccard_index),
        (scores.recall, classification.multiclass_recall),
        (scores.precision, classification.multiclass_precision),
        (scores.f1, classification.multiclass_f1_score),
    ):
        np.testing.assert_allclose(ours, theirs(*pair, **given).numpy(), rtol=1e-6)
