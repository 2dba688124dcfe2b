"""What layers start from, their kernels and what they take by default, where the papers or their code say so."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch import nn

from rsdet.nn import (
    CAGFM,
    CBAM,
    DPE,
    MAB,
    MFADM,
    OCAB,
    SAOD,
    SCE,
    SE,
    WDM,
    AvgPoolDown,
    BasicBlock,
    BasicLayer,
    ConvStem,
    CoordAttention,
    DilatedResidual,
    DRHMoE,
    HeatBlock,
    InterpDown,
    ShuffleAttention,
    SimAM,
    SKFusion,
    SSCDetect,
    StarBlock,
    VHeatC2f,
    WindowAttention,
)
from rsdet.nn.aodnet import AODNet
from rsdet.nn.deeplab import ASPP, DeepLabV3Plus, ImagePooling
from rsdet.nn.dilated_resnet import Bottleneck, DilatedResNet
from rsdet.nn.dwtma import DWTMANet
from rsdet.nn.edsr import EDSR
from rsdet.nn.hat import CAB, HAB, RHAG
from rsdet.nn.hmoe import DualRouter
from rsdet.nn.mfg_hmoe import MFA, MFGHMoE
from rsdet.nn.reduced_attention import ReducedAttention, TransformerBlock, TransformerStage
from rsdet.nn.seguformer import HybridSegUFormer, MultiScaleHead, UpBlock
from rsdet.nn.smp import SMP

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


def test_convolutions_of_the_dilated_resnet_start_by_what_they_put_out():
    net = DilatedResNet(3, (1, 1, 1, 1), 32)
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            values, fan_out = m.weight.detach(), m.out_channels * m.kernel_size[0] ** 2
            assert float(values.std()) == pytest.approx(math.sqrt(2 / fan_out), rel=5 / math.sqrt(2 * values.numel()))


@pytest.mark.parametrize(("layer", "bottleneck"), [(SE, 16), (CBAM, 16), (CoordAttention, 8)])
def test_bottlenecks_follow_a_sixteenth(layer, bottleneck):
    pytest.importorskip("timm")
    widths = {m.out_channels for m in layer(256).modules() if isinstance(m, nn.Conv2d)}
    assert widths - {1, 256} == {bottleneck}  # 1: the spatial half of CBAM


DEFAULTS = {  # of the papers, or of the works that they build on
    HeatBlock: dict(mlp_ratio=4.0),
    VHeatC2f: dict(n=1, res=40, e=0.5),
    MFADM: dict(kernels=(5, 7, 9, 11), e=0.5, down="ADown"),
    CAGFM: dict(ck=None),
    BasicLayer: dict(n=2, s=1),
    ShuffleAttention: dict(groups=64),
    SimAM: dict(lam=1e-4),
    SSCDetect: dict(nc=1, c_cls=128, reg_max=16, end2end=False, ch=()),
    MAB: dict(ratio=2, ca=True, pa=True, fam=True),
    StarBlock: dict(ratio=2),
    CAB: dict(compress=3, squeeze=30),
    HAB: dict(shift=0, mlp_ratio=2.0, drop=0.0, alpha=0.01),
    RHAG: dict(mlp_ratio=2.0),
    OCAB: dict(overlap=0.5, mlp_ratio=2.0),
    AODNet: dict(b=1.0, channels=3),
    DWTMANet: dict(width=24, blocks=(2, 2, 4, 2, 2), head="soft", wdm=True, dwb=True, mab=True, ca=True, pa=True,
                   fam=True, identity_start=False, channels=3),
    EDSR: dict(upscale=2, width=64, blocks=16, residual=1.0, bicubic_skip=False, channels=3),
    MFGHMoE: dict(upscale=2, dim=180, groups=6, depth=6, heads=6, window=16, mlp_ratio=2.0, features=64, kernels=(1, 3),
                  experts=(8, 8), k=1, gate="ste", dispatch="auto", mfa=True, trunk_norm=True, drop_path=0.1,
                  bicubic_skip=False, channels=3),
    DRHMoE: dict(kernels=(1, 3), experts=(8, 8), k=1, gate="ste", dispatch="auto"),
    Bottleneck: dict(s=1, d=1),
    DilatedResNet: dict(channels=3, depths=(3, 4, 6, 3), width=64, block="bottleneck"),
    ASPP: dict(c2=256, rates=(6, 12, 18)),
    DeepLabV3Plus: dict(depths=(3, 4, 6, 3), width=64, block="bottleneck", decoder=256, low=48, rates=(6, 12, 18),
                        weights=None, channels=3, nc=9),
    ReducedAttention: dict(sr_ratio=1),
    TransformerBlock: dict(sr_ratio=1),
    TransformerStage: dict(sr_ratio=1),
    UpBlock: dict(double=True),
    MultiScaleHead: dict(width=64),
    HybridSegUFormer: dict(widths=(64, 128, 320, 512), depths=(2, 2, 2, 2), head_dim=64, sr_ratio=(1, 1, 1, 1),
                           decoder_channels=(320, 128, 64, 64), double_conv=True, d1_skip="image", msd=True,
                           msd_width=64, channels=3, nc=1),
    SMP: dict(arch="unet", encoder="resnet34", options=None, weights=None, channels=3, nc=1),
}  # fmt: skip


@pytest.mark.parametrize("layer", DEFAULTS)
def test_defaults(layer):
    found = {k: p.default for k, p in inspect.signature(layer).parameters.items() if p.default is not p.empty}
    assert found == DEFAULTS[layer]


@pytest.mark.parametrize(("network", "multiple", "local"), [(AODNet, 1, True), (EDSR, 1, True), (DWTMANet, 8, False)])
def test_sizes_that_networks_take(network, multiple, local):
    assert (network.multiple, network.min_px, network.local) == (multiple, 16, local)
    assert MFGHMoE(**SMALL).multiple == SMALL["window"]


KERNELS = [  # of the convolutions, in the order in which they are made; a written-out layer takes them from the weights
    (VHeatC2f(4, 8), [1, 1, 3]),
    (MFADM([4, 4, 4], 4), [1, 1, 3, 1, 5, 7, 9, 11, 1, 1]),
    (CAGFM([4, 8]), [1, 1]),
    (AvgPoolDown(4, 4), [1]),
    (InterpDown(4, 4), [1]),
    (ConvStem(3, 4), [3, 3, 3]),
    (BasicBlock(4, 4, 2), [3, 3, 1]),
    (SCE(4), [3]),
    (DPE(4, 4, 4), [1, 1, 3]),
    (SSCDetect(1, 8, ch=(4, 4, 4)), [3, 3, 1, 3, 3, 1, 1, 3, 1, 1, 3]),
    (SAOD(4), [3, 3, 3, 1, 1]),
    (DilatedResidual(4), [3, 3, 3]),
    (MAB(4), [3, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 3]),
    (StarBlock(4), [3, 1, 1, 3]),
    (SKFusion(4), [1, 1]),
    (WDM(4, 4), [3, 3]),
    (DWTMANet(4, (0, 0, 0, 0, 0)), [3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 3]),
    (AODNet(), [1, 3, 5, 7, 3]),
    (EDSR(2, 4, 1), [3, 3, 3, 3, 3, 3]),
    (CAB(4), [3, 3, 1, 1]),
    (MFA(4, 4, 1), [3, 3, 3]),
    (Bottleneck(4, 8), [1, 3, 1, 1]),
    (ImagePooling(4, 4), [1]),
    (ASPP(4, 4), [1, 1, 3, 3, 3, 1]),
    (DilatedResNet(3, (1, 1, 1, 1), 4, "basic"), [3, 3, 3, 3, 3, 1, 3, 3, 1, 3, 3, 1, 3, 3, 1]),
    (TransformerStage(3, 4, 1, 1, 4), [3, 4]),
    (UpBlock(4, 4, 4), [3, 3]),
    (MultiScaleHead((4, 4), 1), [1, 1, 3, 1]),
]


@pytest.mark.parametrize(("layer", "sides"), KERNELS, ids=[type(layer).__name__ for layer, _ in KERNELS])
def test_kernels(layer, sides):
    assert [m.kernel_size for m in layer.modules() if isinstance(m, nn.Conv2d)] == [(k, k) for k in sides]
