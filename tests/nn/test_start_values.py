"""What layers start from, where the papers or their code say so, and the widths that nothing else pins."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rsdet.nn import CBAM, OCAB, SE, CoordAttention, VHeatC2f, WindowAttention
from rsdet.nn.aodnet import AODNet
from rsdet.nn.hmoe import DualRouter
from rsdet.nn.mfg_hmoe import MFGHMoE

SMALL = dict(dim=32, groups=1, depth=1, heads=2, window=8, features=24)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VHeatC2f(8, 64, 1, 40).fve,
        lambda: WindowAttention(16, 16, 4).bias_table,
        lambda: OCAB(16, 16, 4).bias_table,
        lambda: DualRouter(256, (8, 8)).position,
        lambda: AODNet(channels=8).conv5.weight,
        lambda: MFGHMoE(**SMALL).groups[0].blocks[0].mlp[0].weight,
        lambda: MFGHMoE(**SMALL).groups[0].blocks[1].qkv.weight,
    ],
)
def test_drawn_with_a_deviation_of_a_fiftieth(make):
    values = make().detach()
    error = 0.02 / math.sqrt(2 * values.numel())
    assert float(values.std()) == pytest.approx(0.02, abs=5 * error)
    assert abs(float(values.mean())) < 5 * 0.02 / math.sqrt(values.numel())


def test_linear_layers_of_hat_start_without_bias():
    linear = [m for m in MFGHMoE(**SMALL).groups.modules() if isinstance(m, nn.Linear)]
    assert len(linear) == 8
    assert all((m.bias == 0).all() for m in linear)


@pytest.mark.parametrize(("layer", "bottleneck"), [(SE, 16), (CBAM, 16), (CoordAttention, 8)])
def test_bottlenecks_follow_a_sixteenth(layer, bottleneck):
    pytest.importorskip("timm")
    widths = {m.out_channels for m in layer(256).modules() if isinstance(m, nn.Conv2d)}
    assert widths - {1, 256} == {bottleneck}  # 1: the spatial half of CBAM
