"""DWTMA-Net and AOD-Net against the papers written out: parts, compositions, slopes, padding, folded batch norms."""

from __future__ import annotations

import pytest
from references import dwtma
from references.agree import assert_agrees, assert_folds, assert_restores, lively, maps
from torch import nn

from rsdet.nn.aodnet import AODNet
from rsdet.nn.dwtma import DWB, FFEB, MAB, SAOD, DilatedResidual, DWTMANet, SKFusion, StarBlock
from rsdet.nn.fourier import FAM
from rsdet.nn.wavelet import WDM

SIZES = [(6, 8), (5, 7)]


@pytest.mark.parametrize("training", [False, True])
class TestDWTMANet:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize(
        ("layer", "definition"),
        [
            (WDM(4, 3), dwtma.wdm),
            (WDM(4, 3, wavelet=False), dwtma.wdm),
            (SAOD(4), dwtma.saod),
            (DilatedResidual(4), dwtma.dilated),
            (DWB(4), dwtma.dwb),
            (FAM(4), dwtma.fam),
            (FAM(4, "matrix"), dwtma.fam),
            (MAB(4), dwtma.mab),
            (MAB(4, 4), dwtma.mab),
            (MAB(4, ca=False), dwtma.mab),
            (MAB(4, pa=False), dwtma.mab),
            (MAB(4, fam=False), dwtma.mab),
            (MAB(4, ca=False, pa=False), dwtma.mab),
            (StarBlock(4), dwtma.star_block),
            (FFEB(4), dwtma.ffeb),
            (FFEB(4, dwb=False), dwtma.ffeb),
            (FFEB(4, mab=False), dwtma.ffeb),
        ],
        ids=lambda p: type(p).__name__ if isinstance(p, nn.Module) else "",
    )
    def test_part(self, layer, definition, size, training):
        assert_agrees(lively(layer), definition, maps((2, 4, *size)), training=training)

    @pytest.mark.parametrize("size", SIZES)
    def test_sk_fusion(self, size, training):
        assert_agrees(lively(SKFusion(6)), dwtma.sk_fusion, maps((2, 6, *size), (2, 6, *size)), training=training)

    @pytest.mark.parametrize(
        "args",
        [
            {},
            {"head": "residual", "channels": 2},
            {"wdm": False, "dwb": False, "mab": False},
            {"wdm": False},
            {"dwb": False},
            {"ca": False},
            {"pa": False, "fam": False},
        ],
        ids=str,
    )
    def test_whole(self, args, training):
        blocks = (1, 2, 3, 0, 1)
        net = lively(DWTMANet(4, blocks, **args))
        assert_restores(net, lambda w, x: dwtma.dwtma_net(w, x, blocks), (16, 24), training)


@pytest.mark.parametrize("make", [MAB, StarBlock])
def test_folded_batch_norms(make):
    assert_folds(lively(make(4)), {MAB: dwtma.mab, StarBlock: dwtma.star_block}[make], maps((2, 4, 5, 6)))


@pytest.mark.parametrize("args", [{}, {"dwb": False, "mab": False}], ids=str)
def test_folded_network(args):
    net = lively(DWTMANet(4, (1, 1, 1, 1, 1), **args))
    assert_folds(net, lambda w, x: dwtma.dwtma_net(w, x, (1,) * 5), maps((2, 3, 16, 16)), net.restore)


@pytest.mark.parametrize(("b", "channels"), [(1.0, 3), (0.6, 2)])
def test_aod_net(b, channels):
    net = lively(AODNet(b, channels))
    assert_restores(net, lambda w, x: dwtma.aod_net(w, x, b), (7, 9))
