"""Multi-scale gradient similarity by loops, and what the sheet says of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsdet.errors import ConfigError
from rsdet.losses.gms import GMSLoss

SOBEL = [
    [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    [[2, 1, 0], [1, 0, -1], [0, -1, -2]],
    [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]],
]


def gradient(x, share):
    h, w = x.shape
    out = np.zeros((h - 2, w - 2))
    for i, j in np.ndindex(out.shape):
        window = x[i : i + 3, j : j + 3]
        out[i, j] = sum((window * np.array(k) / 4).sum() ** 2 for k in SOBEL) * share
    return np.sqrt(out)


def halved(x):
    h, w = (n // 2 for n in x.shape)
    return np.array([[x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(w)] for i in range(h)])


def by_loops(a, b, scales, c, share):
    """Eq. (11) to (13) as they are printed."""
    losses = []
    for _ in range(scales):
        each = []
        for x, y in zip(a, b, strict=True):
            ga, gb = gradient(x, share), gradient(y, share)
            each.append(1 - (2 * ga * gb + c) / (ga**2 + gb**2 + c))
        losses.append(np.mean(each))
        a, b = [halved(x) for x in a], [halved(x) for x in b]
        if min(a[0].shape) < 3:
            break
    return np.mean(losses)


@pytest.mark.parametrize(("shape", "scales"), [((2, 3, 20, 17), 3), ((1, 5, 9, 12), 5)])
@pytest.mark.parametrize(("reduce", "share"), [("sum", 1.0), ("mean", 0.25)])
def test_by_loops(shape, scales, reduce, share):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 0.3, (2, *shape))
    got = GMSLoss(scales, 0.1, reduce)(torch.tensor(a), torch.tensor(b))
    assert float(got) == pytest.approx(by_loops(a.mean(1), b.mean(1), scales, 0.1, share), rel=1e-5)


def test_the_mean_of_squares_is_four_times_the_constant():
    a, b = torch.randn(2, 1, 4, 16, 16)
    assert float(GMSLoss(c=0.1, reduce="mean")(a, b)) == pytest.approx(float(GMSLoss(c=0.4)(a, b)), rel=1e-5)


def test_zero_for_equal_ones_below_one_and_the_same_both_ways():
    a, b = 10 * torch.randn(2, 2, 3, 32, 32)
    loss = GMSLoss()
    assert float(loss(a, a)) == 0
    assert 0 < float(loss(a, b)) < 1
    assert float(loss(a, b)) == pytest.approx(float(loss(b, a)), rel=1e-6)


def test_a_flat_cube_has_a_finite_slope():
    x = torch.full((1, 3, 16, 16), 0.05, requires_grad=True)
    GMSLoss()(x, torch.rand(1, 3, 16, 16)).backward()
    assert x.grad.isfinite().all()
    assert (x.grad != 0).any()


def test_small_differences_do_not_drown():
    """Losses of trained networks lie near 1e-7, the rounding of single precision beside 1."""
    rng = np.random.default_rng(1)
    a = 0.1 * rng.random((1, 1, 16, 16))
    b = a + 1e-5 * rng.random(a.shape)
    single = float(GMSLoss(1)(torch.tensor(a).float(), torch.tensor(b).float()))
    assert single == pytest.approx(by_loops(a[:, 0], b[:, 0], 1, 0.1, 1.0), rel=1e-2)


def test_it_stays_in_single_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert GMSLoss()(torch.rand(1, 2, 16, 16), torch.rand(1, 2, 16, 16)).dtype == torch.float32


@pytest.mark.parametrize("wrong", [{"scales": 0}, {"c": 0}, {"reduce": "max"}])
def test_settings_out_of_range(wrong):
    with pytest.raises(ConfigError, match="GMS takes"):
        GMSLoss(**wrong)
