"""The layers of VMC-DETR and of its baseline against the paper written out: values and slopes, in both modes."""

from __future__ import annotations

import pytest
import torch
from references import vmc_detr as paper
from references.agree import assert_agrees, assert_folds, lively, maps

from rsdet.nn import CAGFM, ESE, HCO, MFADM, BasicBlock, BasicLayer, ConvStem, HeatBlock, VHeatC2f
from rsdet.nn.downsample import make_downsampler

SIZES = [(5, 6), (8, 7), (1, 4)]


def call_list(module: torch.nn.Module):
    return lambda *x: module(list(x))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("learnt_at", [(5, 6), (3, 9)])
@pytest.mark.parametrize(("layer", "written"), [(HCO, paper.hco), (HeatBlock, paper.heat_block)])
def test_heat(layer, written, size, learnt_at):
    x, fve = maps((2, 4, *size), (4, *learnt_at))
    assert_agrees(lively(layer(4)), written, [x, fve])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("res", [5, (4, 7)])
def test_vheat_c2f(n, res, training):
    block = lively(VHeatC2f(3, 8, n, res))
    assert_agrees(block, lambda w, x: paper.vheat_c2f(w, x, n), maps((2, 3, 5, 6)), training=training)


def test_vheat_c2f_at_another_width():
    assert_agrees(lively(VHeatC2f(3, 8, 1, 5, e=0.25)), paper.vheat_c2f, maps((2, 3, 5, 6)))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kernels", [(5, 7, 9, 11), (1, 3)])
@pytest.mark.parametrize("sizes", [[(3, 4), (6, 8), (12, 16)], [(4, 5), (7, 9), (14, 17)]])
def test_mfadm(sizes, kernels, training):
    x = maps(*((2, c, *hw) for c, hw in zip((6, 4, 2), sizes, strict=True)))
    block = lively(MFADM([6, 4, 2], 5, kernels))
    assert_agrees(block, paper.mfadm, x, call_list(block), training)
    assert_folds(block, paper.mfadm, x, call_list(block))


@pytest.mark.parametrize("down", ["ADown", "conv", "avgpool", "interp"])
@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
def test_downsamplers(down, size):
    assert_agrees(lively(make_downsampler(down, 4, 6)), lambda w, x: paper.halved(w, x, down), maps((2, 4, *size)))


@pytest.mark.parametrize("down", ["ADown", "conv", "avgpool", "interp"])
def test_mfadm_with_each_downsampler(down):
    x, block = maps((2, 6, 3, 4), (2, 4, 6, 8), (2, 2, 12, 16)), lively(MFADM([6, 4, 2], 5, (3, 5), 1.0, down))
    assert_agrees(block, lambda w, *x: paper.mfadm(w, *x, down), x, call_list(block))


def test_ese():
    assert_agrees(lively(ESE(5)), paper.ese, maps((2, 5, 3, 4)))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("ch", "ck"), [([4, 4], None), ([3, 4], None), ([4, 3, 5], 4), ([4, 4, 4], 4), ([2, 2], 3), ([3] * 4, None)]
)
def test_cagfm(ch, ck, training):
    block = lively(CAGFM(ch, ck))
    assert_agrees(block, paper.cagfm, maps(*((2, c, 4, 5) for c in ch)), call_list(block), training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(16, 12), (13, 9)])
class TestResNet18:
    def test_stem(self, size, training):
        assert_agrees(lively(ConvStem(3, 8)), paper.stem, maps((2, 3, *size)), training=training)

    @pytest.mark.parametrize(("c1", "stride"), [(4, 1), (4, 2), (6, 1), (6, 2)])
    def test_block(self, size, training, c1, stride):
        block = lively(BasicBlock(c1, 6, stride))
        assert_agrees(block, lambda w, x: paper.basic_block(w, x, stride), maps((2, c1, *size)), training=training)

    @pytest.mark.parametrize("stride", [1, 2])
    def test_stage(self, size, training, stride):
        stage = lively(BasicLayer(4, 4, 3, stride))
        assert_agrees(stage, lambda w, x: paper.basic_layer(w, x, stride), maps((2, 4, *size)), training=training)
