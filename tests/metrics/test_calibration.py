"""Calibration of answers: hand cases, loops in the place of arrays, and what must be refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rsdet.errors import DataError
from rsdet.metrics.calibration import COLDEST, HOTTEST, Calibration, fit_temperature, scaled_by_others, softmax


def drawn(n: int = 400, seed: int = 0) -> Calibration:
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, 41, n) / 40  # many ties, many on the edges of bins
    return Calibration(confidence, rng.random(n) < confidence**2)


def nll(logits: np.ndarray, index: np.ndarray, temperature: float) -> float:
    total = 0.0
    for row, true in zip(logits, index, strict=True):
        powers = [math.exp(z / temperature) for z in row]
        total -= math.log(powers[true] / sum(powers))
    return total / len(index)


def test_two_bins_by_hand():
    c = Calibration([0.6, 0.8, 0.5, 0.1], [True, False, True, False])
    low, high = c.reliability(2)
    assert (low.low, low.high, low.questions, low.confidence, low.accuracy) == (0, 0.5, 2, pytest.approx(0.3), 0.5)
    assert (high.questions, high.confidence, high.accuracy) == (2, pytest.approx(0.7), 0.5)
    assert c.ece(2) == pytest.approx((2 * 0.2 + 2 * 0.2) / 4)


@pytest.mark.parametrize("bins", [1, 4, 10, 15])
def test_bins_and_error_are_those_of_a_loop(bins: int):
    c = drawn()
    edges, ece = np.linspace(0, 1, bins + 1), 0.0
    for i, found in enumerate(c.reliability(bins)):
        held = [
            (p, r)
            for p, r in zip(c.confidence, c.right, strict=True)
            if edges[i] < p <= edges[i + 1] or (i == 0 and p == 0)
        ]
        assert found.questions == len(held)
        if held:
            accuracy, mean = sum(r for _, r in held) / len(held), sum(p for p, _ in held) / len(held)
            assert (found.accuracy, found.confidence) == (pytest.approx(accuracy), pytest.approx(mean))
            ece += len(held) / len(c.right) * abs(accuracy - mean)
    assert c.ece(bins) == pytest.approx(ece, abs=1e-12)


def test_sure_and_right_has_no_error():
    c = Calibration(np.ones(5), np.ones(5, bool))
    assert (c.ece(), c.error_at(1), c.curve()) == (0, 0, [(1, 1, 1)])


def test_curve_is_that_of_every_threshold():
    c = drawn()
    for threshold, coverage, accuracy in c.curve():
        kept = [r for p, r in zip(c.confidence, c.right, strict=True) if p >= threshold]
        assert coverage == pytest.approx(len(kept) / len(c.right))
        assert accuracy == pytest.approx(sum(kept) / len(kept))


def test_error_at_a_coverage_is_the_mean_over_orders_of_ties():
    c, rng, kept = drawn(30, 3), np.random.default_rng(1), 27
    errors = []
    for _ in range(4000):
        order = rng.permutation(30)
        order = order[np.argsort(-c.confidence[order], kind="stable")]
        errors.append(np.mean(~c.right[order[:kept]]))
    assert c.error_at(0.9) == pytest.approx(np.mean(errors), abs=0.003)


def test_equal_confidences_say_the_same_in_any_order():
    c = Calibration([0.5] * 10, [True] * 5 + [False] * 5)
    turned = Calibration(c.confidence, c.right[::-1])
    assert c.error_at(0.9) == turned.error_at(0.9) == 0.5  # abstaining by a coin gains nothing
    assert c.curve() == [(0.5, 1.0, 0.5)]


def test_abstaining_where_it_knows_least():
    c = Calibration([0.9] * 9 + [0.1], [True] * 9 + [False])
    assert (c.error_at(1.0), c.error_at(0.9), c.threshold_at(0.9)) == (pytest.approx(0.1), 0, 0.9)
    assert c.threshold_at(0.95) == 0.1


def test_nothing_answered_is_no_number():
    c = Calibration([], [])
    assert c.curve() == []
    assert np.isnan([c.ece(), c.error_at(0.9), c.threshold_at(0.9)]).all()
    assert [b.questions for b in c.reliability(3)] == [0, 0, 0]


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1, math.inf])
def test_what_is_no_probability_is_refused(bad: float):
    with pytest.raises(DataError, match="1 of 3 confidences are no probabilities"):
        Calibration([0.5, bad, 0.7], [True, True, True])


def test_lengths_must_agree():
    with pytest.raises(DataError, match="2 confidences for 1 answers"):
        Calibration([0.5, 0.5], [True])
    with pytest.raises(DataError, match="2 rows of logits for 1 true answers"):
        fit_temperature(np.zeros((2, 3)), np.zeros(1))


@pytest.mark.parametrize("coverage", [0, -1, 1.5, math.nan])
def test_coverage_is_a_part(coverage: float):
    with pytest.raises(DataError, match="coverage="):
        drawn().error_at(coverage)


def test_softmax_of_large_logits_and_of_ruled_out_answers():
    np.testing.assert_allclose(softmax([[1e4, 1e4, -np.inf]]), [[0.5, 0.5, 0]])
    np.testing.assert_allclose(softmax([[0, math.log(9)]], 2), [[0.25, 0.75]])
    with pytest.raises(DataError, match="1 of 2 answers have no finite logits"):
        softmax([[0, 1], [0, np.nan]])


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_temperature_is_the_best_of_a_fine_search(true: float):
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 2, (80, 4))
    index = np.array([rng.choice(4, p=p) for p in softmax(logits)])
    logits *= true
    t = fit_temperature(logits, index)
    best = min(np.geomspace(COLDEST, HOTTEST, 501), key=lambda x: nll(logits, index, x))
    assert t == pytest.approx(best, rel=0.013)
    assert nll(logits, index, t) <= nll(logits, index, best) + 1e-12


def test_temperature_where_none_is_best():
    logits = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert fit_temperature(logits, [0, 1]) == pytest.approx(COLDEST)  # all right: the colder, the better
    assert fit_temperature(logits, [1, 0]) == pytest.approx(HOTTEST)
    assert fit_temperature(logits, [-1, -1]) == 1
    assert fit_temperature(np.zeros((0, 2)), []) == 1


def test_ruled_out_answers_leave_the_temperature_of_the_others():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, (100, 3))
    index = np.array([rng.choice(3, p=p) for p in softmax(logits, 2)])
    more = np.hstack([logits, np.full((100, 1), -np.inf)])
    more[0] = [-np.inf, 0, 0, 0]
    kept = np.arange(100) > 0
    assert fit_temperature(more, np.append(0, index[1:])) == pytest.approx(fit_temperature(logits[kept], index[kept]))


def test_each_half_of_the_images_has_the_temperature_of_the_other():
    rng = np.random.default_rng(4)
    logits, images = rng.normal(0, 2, (60, 3)), [f"{i % 6}.png" for i in range(60)]
    index = rng.integers(0, 3, 60)
    found = scaled_by_others(logits, index, images)
    for i in range(60):
        other = [k for k in range(60) if (k % 6) % 2 != (i % 6) % 2]
        t = fit_temperature(logits[other], index[other])
        assert found[i] == pytest.approx(softmax(logits[i : i + 1], t).max())
