"""Areas under the curves of a 3-D ROC, against scikit-learn, trapezoids and cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rsdet.errors import DataError
from rsdet.metrics.anomaly import AnomalyScores, anomaly_scores, plot_roc, roc_curve


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    truth = (rng.random((40, 50)) < 0.02).astype(int)
    return np.round(rng.standard_normal((40, 50)) + 1.5 * truth, 1), truth  # rounded: many ties


def test_the_usual_area_is_that_of_scikit_learn(scene):
    metrics = pytest.importorskip("sklearn.metrics")
    score, truth = scene
    assert anomaly_scores(score, truth).auc_df == pytest.approx(metrics.roc_auc_score(truth.ravel(), score.ravel()))


def test_areas_are_those_below_the_curves(scene):
    found = anomaly_scores(*scene)
    t, f, d = roc_curve(*scene)
    assert (f[0], d[0], f[-1], d[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(d, f) == pytest.approx(found.auc_df)
    steps = -np.diff(np.clip(t, 0, 1))  # both shares are constant between two thresholds
    assert (d[:-1] * steps).sum() == pytest.approx(found.auc_dt)
    assert (f[:-1] * steps).sum() == pytest.approx(found.auc_ft)


def test_a_perfect_map():
    truth = np.zeros((5, 5))
    truth[2, 2] = 1
    found = anomaly_scores(truth * 7 - 3, truth)
    assert (found.auc_df, found.auc_dt, found.auc_ft) == (1, 1, 0)
    assert found.derived["SNPR"] == math.inf
    assert found.derived["OD"] == 2


def test_a_constant_map_says_nothing_and_is_no_nan():
    truth = np.eye(4)
    found = anomaly_scores(np.full((4, 4), 3.0), truth)
    assert (found.auc_df, found.auc_dt, found.auc_ft) == (0.5, 0, 0)


def test_what_is_derived():
    found = AnomalyScores(0.9, 0.5, 0.05).derived
    assert found == pytest.approx({
        "TD": 1.4, "BS": 0.85, "TDBS": 0.45, "ODP": 1.45, "OD": 1.35, "SNPR": 10, "SNPR_dB": 10,
    })  # fmt: skip


def test_the_measure_does_not_depend_on_the_unit(scene):
    score, truth = scene
    assert anomaly_scores(score, truth).all == pytest.approx(anomaly_scores(100 * score - 5, truth).all)


def test_pixels_without_a_score_or_a_truth_are_left_out(scene):
    score, truth = (x.copy() for x in scene)
    before = anomaly_scores(score[:30], truth[:30])
    score[30:35], truth[35:] = np.nan, -1
    assert anomaly_scores(score.astype(float), truth) == before


@pytest.mark.parametrize(
    ("truth", "words"), [(np.zeros((3, 3)), "needs anomalies"), (np.ones((3, 3)), "background"), (np.eye(4), "size")]
)
def test_nothing_to_measure_by(truth, words):
    with pytest.raises(DataError, match=words):
        anomaly_scores(np.arange(9.0).reshape(3, 3), truth)


def test_curves_can_be_looked_at(scene):
    assert plot_roc({"one": roc_curve(*scene)}, "a $scene").startswith(b"\x89PNG")
