"""Box losses against their equations in float64, gradients with the detached terms held constant, and their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.errors import ConfigError
from rsdet.losses.boxes import BOX_LOSSES, BoxLoss, nwd_loss, siou_loss
from rsdet.losses.running_mean import RunningMean
from rsdet.losses.wise_iou import ALPHA, DELTA, distance_attention, focus, iou_loss, wise_iou


def box(side: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, ...]]:
    place = st.floats(-50, 50)
    return st.tuples(place, place, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


PAIR = st.tuples(box(st.floats(0.5, 60)), box(st.floats(0.5, 60)))


def tensors(pair, dtype=torch.float64):
    return tuple(torch.tensor([b], dtype=dtype) for b in pair)


def plain_iou(p, g) -> float:
    w, h = min(p[2], g[2]) - max(p[0], g[0]), min(p[3], g[3]) - max(p[1], g[1])
    inter = max(w, 0) * max(h, 0)
    return inter / ((p[2] - p[0]) * (p[3] - p[1]) + (g[2] - g[0]) * (g[3] - g[1]) - inter)


def plain_r(p, g) -> float:
    dx, dy = (p[0] + p[2] - g[0] - g[2]) / 2, (p[1] + p[3] - g[1] - g[3]) / 2
    w, h = max(p[2], g[2]) - min(p[0], g[0]), max(p[3], g[3]) - min(p[1], g[1])
    return math.exp((dx * dx + dy * dy) / (w * w + h * h))


@settings(max_examples=200, deadline=None)
@given(PAIR, st.floats(0.05, 1))
def test_wise_iou_equals_its_equations(pair, mean):
    loss = 1 - plain_iou(*pair)
    beta = loss / mean
    r3 = beta / (3 * 1.9 ** (beta - 3))
    for version, r in ((1, 1.0), (2, beta**0.5), (3, r3)):
        got, plain = wise_iou(*tensors(pair), torch.tensor(mean, dtype=torch.float64), version)
        assert float(plain) == pytest.approx(loss, abs=1e-6)
        assert float(got) == pytest.approx(r * plain_r(*pair) * loss, rel=1e-5, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(PAIR)
def test_distance_attention_is_between_one_and_e_and_raises_the_loss(pair):
    r = float(distance_attention(*tensors(pair)))
    assert 1 <= r < math.e
    assert float(wise_iou(*tensors(pair), torch.ones(()), 1)[0]) >= float(iou_loss(*tensors(pair))) - 1e-12


@pytest.mark.parametrize(("pred", "one"), [((2, 3, 8, 9), True), ((1, 2, 9, 10), True), ((2, 3, 8, 10), False)])
def test_distance_attention_is_one_where_the_centres_meet(pred, one):
    r = float(distance_attention(*tensors((pred, (3, 4, 7, 8)))))
    assert (r == 1) == one


@settings(max_examples=60, deadline=None)
@given(PAIR, st.floats(0.25, 20), st.floats(-30, 30))
def test_neither_scale_nor_place_matters(pair, scale, shift):
    moved = tuple(b * scale + shift for b in tensors(pair))
    for version in (1, 2, 3):
        mean = torch.tensor(0.6, dtype=torch.float64)
        here, there = wise_iou(*tensors(pair), mean, version)[0], wise_iou(*moved, mean, version)[0]
        torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)


class TestGradient:
    pair = torch.tensor([[1.0, 2.0, 9.0, 7.0], [0.0, 0.0, 4.0, 4.0], [10.0, 10.0, 13.0, 12.0]], dtype=torch.float64)
    truth = torch.tensor([[2.0, 1.0, 8.0, 9.0], [1.0, 1.5, 6.0, 5.0], [2.0, 3.0, 5.0, 6.0]], dtype=torch.float64)

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_is_that_with_the_constants_held(self, version):
        pred, mean = self.pair.clone().requires_grad_(), torch.tensor(0.7, dtype=torch.float64)
        wise_iou(pred, self.truth, mean, version)[0].sum().backward()

        low = torch.minimum(self.pair[:, :2], self.truth[:, :2])
        high = torch.maximum(self.pair[:, 2:], self.truth[:, 2:])
        diagonal2 = (high - low).square().sum(1)  # constants, from here on
        gain = focus(iou_loss(self.pair, self.truth), mean, version)

        def held(p):
            offset = (p[:, :2] + p[:, 2:] - self.truth[:, :2] - self.truth[:, 2:]) / 2
            return gain * torch.exp(offset.square().sum(1) / (diagonal2 + 1e-7)) * iou_loss(p, self.truth)

        want = self.pair.clone().requires_grad_()
        held(want).sum().backward()
        torch.testing.assert_close(pred.grad, want.grad)
        assert torch.autograd.gradcheck(held, (self.pair.clone().requires_grad_(),))

    def test_boxes_apart_are_drawn_together(self):
        pred = self.pair[2:].clone().requires_grad_()
        wise_iou(pred, self.truth[2:], torch.ones(()), 3)[0].sum().backward()
        assert (pred.grad[0] > 0).all()  # the truth lies up and to the left

    @pytest.mark.parametrize("function", [iou_loss, nwd_loss, siou_loss])
    def test_of_losses_without_detached_parts(self, function):
        assert torch.autograd.gradcheck(lambda p: function(p, self.truth), (self.pair.clone().requires_grad_(),))


class TestFocus:
    def test_is_one_where_the_outlier_degree_is_delta(self):
        got = focus(torch.tensor([0.75]), torch.tensor(0.25), 3)
        assert float(got) == pytest.approx(1)

    def test_peaks_where_the_paper_says(self):
        beta = torch.linspace(0.01, 12, 100_000, dtype=torch.float64)
        r = focus(beta, torch.ones((), dtype=torch.float64), 3)
        assert float(beta[r.argmax()]) == pytest.approx(1 / math.log(ALPHA), abs=1e-3)
        assert float(r.max()) == pytest.approx(1.310, abs=1e-3)
        assert float(focus(torch.ones(1), torch.ones(()), 3)) == pytest.approx(1.203, abs=1e-3)
        assert float(r[0]) < 0.03
        assert float(r[-1]) < 0.05
        assert DELTA == 3

    @pytest.mark.parametrize("version", [2, 3])
    def test_carries_no_gradient(self, version):
        loss, mean = torch.tensor([0.4], requires_grad=True), torch.tensor(0.5, requires_grad=True)
        assert not focus(loss, mean, version).requires_grad

    def test_a_mean_of_zero_stays_finite(self):
        assert focus(torch.tensor([0.0, 1e-9]), torch.zeros(()), 3).isfinite().all()


def test_the_running_mean_goes_to_a_constant():
    mean = RunningMean(0.1)
    for _ in range(200):
        mean.add(torch.full((4,), 0.37))
        mean.commit()
    assert float(mean.mean) == pytest.approx(0.37, abs=1e-4)


@settings(max_examples=100, deadline=None)
@given(PAIR)
def test_siou_equals_its_equations(pair):
    p, g = pair
    dx, dy = (g[0] + g[2] - p[0] - p[2]) / 2, (g[1] + g[3] - p[1] - p[3]) / 2
    cw, ch = max(p[2], g[2]) - min(p[0], g[0]), max(p[3], g[3]) - min(p[1], g[1])
    distance = math.hypot(dx, dy)
    x = abs(dy) / distance if distance > 1e-6 else 0.0
    angle = 1 - 2 * math.sin(math.asin(min(x, 1 - 1e-6)) - math.pi / 4) ** 2
    delta = sum(1 - math.exp(-(2 - angle) * rho) for rho in ((dx / cw) ** 2, (dy / ch) ** 2))
    sizes = ((p[2] - p[0], g[2] - g[0]), (p[3] - p[1], g[3] - g[1]))
    omega = sum((1 - math.exp(-abs(a - b) / max(a, b))) ** 4 for a, b in sizes)
    want = 1 - plain_iou(p, g) + (delta + omega) / 2
    assert float(siou_loss(*tensors(pair))) == pytest.approx(want, abs=2e-5)


@settings(max_examples=100, deadline=None)
@given(PAIR)
def test_nwd_is_the_wasserstein_distance_of_gaussians(pair):
    def gaussian(b):
        return np.array([(b[0] + b[2]) / 2, (b[1] + b[3]) / 2]), np.diag(
            [(b[2] - b[0]) ** 2 / 4, (b[3] - b[1]) ** 2 / 4]
        )

    (m1, c1), (m2, c2) = (gaussian(b) for b in pair)
    w2 = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * np.sqrt(np.sqrt(c2) @ c1 @ np.sqrt(c2)))
    want = 1 - math.exp(-math.sqrt(max(w2, 0)) / 12.8)
    assert float(nwd_loss(*tensors(pair))) == pytest.approx(want, abs=1e-5)


@pytest.mark.parametrize("name", BOX_LOSSES)
@pytest.mark.parametrize(
    ("pred", "truth"),
    [
        ((3, 3, 3, 3), (3, 3, 3, 3)),  # no area, same place
        ((3, 3, 3, 3), (5, 5, 9, 9)),
        ((3, 3, 7, 7), (3, 3, 7, 7)),  # perfect
        ((0, 0, 1e4, 1e4), (1, 1, 1.001, 1.001)),
        ((9, 9, 5, 5), (5, 5, 9, 9)),  # turned inside out, as an untrained decoder may give
    ],
)
def test_degenerate_pairs_stay_finite(name, pred, truth):
    p = torch.tensor([pred], dtype=torch.float32, requires_grad=True)
    loss = BoxLoss(name, RunningMean())(p, torch.tensor([truth], dtype=torch.float32))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert p.grad.isfinite().all()


@pytest.mark.parametrize("name", BOX_LOSSES)
def test_half_precision_is_computed_in_full(name):
    p, g = torch.tensor([[3.0, 3.0, 301.0, 205.0]]), torch.tensor([[5.0, 2.0, 310.0, 200.0]])
    loss = BoxLoss(name, RunningMean())
    want = loss(p, g)
    assert loss(p.half(), g.half()).dtype == torch.float32
    torch.testing.assert_close(loss(p.half(), g.half()), want, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", BOX_LOSSES)
def test_no_pairs(name):
    loss = BoxLoss(name, RunningMean())(torch.zeros(0, 4, requires_grad=True), torch.zeros(0, 4))
    assert loss.shape == (0,)


@pytest.mark.parametrize("name", ["wiou", "WIoU-v3", "", None, 3])
def test_unknown_names_are_refused(name):
    with pytest.raises(ConfigError, match="must be one of"):
        BoxLoss(name)


def test_losses_with_a_mean_say_that_they_need_it():
    with pytest.raises(ConfigError, match="running mean"):
        BoxLoss("wiou-v3")
