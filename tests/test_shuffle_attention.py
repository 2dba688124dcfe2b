"""Shuffle attention beside its equations (tests/nn): starts, groups, odd inputs, half precision; SimAM."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rsdet.nn import ShuffleAttention, SimAM


def trained(c: int, groups: int) -> ShuffleAttention:
    torch.manual_seed(0)
    layer = ShuffleAttention(c, groups)
    for p in layer.parameters():
        nn.init.normal_(p)
    return layer


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
