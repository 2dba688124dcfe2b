"""Shuffle attention against its equations, written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rsdet.nn import ShuffleAttention, SimAM


def plain(x: np.ndarray, layer: ShuffleAttention) -> np.ndarray:
    """Equations 1 to 3 group by group, then the shuffle channel by channel."""
    p = {k: v.detach().double().numpy() for k, v in layer.named_parameters()}
    b, c = x.shape[:2]
    g = layer.groups
    d = c // (2 * g)
    sigmoid = lambda t: 1 / (1 + np.exp(-t))  # noqa: E731
    joined = np.empty_like(x)
    for n in range(b):
        for k in range(g):
            for q in range(d):
                a = x[n, k * 2 * d + q]
                joined[n, k * 2 * d + q] = a * sigmoid(p["channel_weight"][q] * a.mean() + p["channel_bias"][q])
                s = x[n, k * 2 * d + d + q]
                norm = (s - s.mean()) / np.sqrt(s.var() + 1e-5) * p["norm_weight"][q] + p["norm_bias"][q]
                joined[n, k * 2 * d + d + q] = s * sigmoid(p["spatial_weight"][q] * norm + p["spatial_bias"][q])
    out = np.empty_like(x)
    for q in range(c // 2):
        for half in (0, 1):
            out[:, 2 * q + half] = joined[:, half * c // 2 + q]
    return out


def trained(c: int, groups: int) -> ShuffleAttention:
    torch.manual_seed(0)
    layer = ShuffleAttention(c, groups)
    for p in layer.parameters():
        nn.init.normal_(p)
    return layer


@pytest.mark.parametrize(("c", "groups"), [(8, 2), (16, 4), (12, 1), (256, 64)])
def test_equals_the_equations(c, groups):
    layer, x = trained(c, groups), torch.randn(2, c, 5, 7, dtype=torch.float64)
    want = plain(x.numpy(), layer)
    np.testing.assert_allclose(layer.double()(x).detach().numpy(), want, atol=2e-6)  # the norm is FP32


def test_a_fresh_layer_scales_evenly_and_shuffles():
    layer, x = ShuffleAttention(16, 4), torch.randn(2, 16, 6, 6)
    back = layer(x).view(2, 8, 2, 6, 6).transpose(1, 2).reshape(2, 16, 6, 6)
    torch.testing.assert_close(back, x * torch.sigmoid(torch.tensor(1.0)))


@pytest.mark.parametrize(("c", "groups"), [(256, 64), (128, 64), (64, 32), (96, 16), (2, 1)])
def test_groups_are_halved_until_they_divide(c, groups):
    layer = ShuffleAttention(c)
    assert layer.groups == groups
    assert layer.channel_weight.shape == (c // (2 * groups),)


def test_has_twelve_parameters_at_scale_n():
    assert sum(p.numel() for p in ShuffleAttention(256).parameters()) == 12


@pytest.mark.parametrize("c", [0, 7])
def test_odd_channels_are_refused(c):
    with pytest.raises(ValueError, match="even"):
        ShuffleAttention(c)


def test_one_pixel_in_training():
    y = trained(8, 2).train()(torch.randn(2, 8, 1, 1))
    assert y.isfinite().all()


def test_a_map_that_overflows_half_precision_when_summed():
    x = torch.full((1, 8, 64, 64), 300.0) + torch.randn(1, 8, 64, 64)
    layer = trained(8, 2)
    want = layer(x.half().float())
    got = layer.half()(x.half()).float()
    assert got.isfinite().all()
    torch.testing.assert_close(got, want, rtol=0.01, atol=0.5)


def test_simam_equals_its_equation():
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    v = x.numpy()
    mean = v.mean((2, 3), keepdims=True)
    var = ((v - mean) ** 2).sum((2, 3), keepdims=True) / (5 * 4 - 1)
    energy = 4 * (var + 1e-4) / ((v - mean) ** 2 + 2 * var + 2e-4)
    np.testing.assert_allclose(SimAM(3)(x).numpy(), v / (1 + np.exp(-1 / energy)), atol=1e-6)
