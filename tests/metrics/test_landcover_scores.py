"""Overall and average accuracy and kappa: those of scikit-learn, and those that papers print of their classes."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet.metrics.confusion import count_pixels
from rsdet.metrics.landcover import LandCoverScores, score_table, spread


def scores(truth, found, classes):
    return LandCoverScores(count_pixels(truth, found, classes), {k: f"c{k}" for k in range(classes)})


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 300)
    found = np.where(rng.random(300) < 0.7, truth, rng.integers(0, 5, 300))
    got = scores(truth, found, 6).measures  # of the sixth class there is nothing
    assert got["OA"] == pytest.approx(metrics.accuracy_score(truth, found))
    assert got["AA"] == pytest.approx(metrics.balanced_accuracy_score(truth, found))
    assert got["kappa"] == pytest.approx(metrics.cohen_kappa_score(truth, found))


def test_the_class_rows_of_the_paper_give_its_means():
    """Trento: its OA and AA follow from its pixels and class accuracies (sheet: 99.70, 99.16)."""
    pixels = np.array([3905, 2778, 374, 8969, 10317, 3052])
    accuracy = np.array([99.95, 99.21, 97.59, 99.99, 100, 98.2]) / 100
    right = np.rint(pixels * accuracy).astype(int)
    matrix = np.diag(right)
    matrix[np.arange(6), (np.arange(6) + 1) % 6] += pixels - right
    got = LandCoverScores(matrix, dict(enumerate("abcdef"))).measures
    assert 100 * got["OA"] == pytest.approx(99.70, abs=0.05)
    assert 100 * got["AA"] == pytest.approx(99.16, abs=0.01)


def test_nothing_and_one_class_alone_have_no_kappa():
    assert np.isnan(scores([], [], 2).kappa)
    assert np.isnan(scores([1, 1], [1, 1], 2).kappa)
    assert scores([1, 1], [1, 1], 2).accuracy == 1


def test_table_and_spread():
    table = score_table({"model": scores([0, 1, 1], [0, 1, 0], 3), "svm": scores([0, 1, 1], [0, 1, 1], 3)})
    assert [line.split()[-2:] for line in table.splitlines()[1:5]] == [
        ["100.00", "100.00"], ["50.00", "100.00"], ["-", "-"], ["66.67", "100.00"],
    ]  # fmt: skip
    assert spread([0.5, 0.7]) == "60.00 ± 14.14"
    assert spread([0.5]) == "50.00"
