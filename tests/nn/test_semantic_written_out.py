"""DeepLabV3+ and Hybrid-SegUFormer against their papers written out: layers, compositions, slopes, padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references import semantic
from references.agree import assert_agrees, assert_close, lively, maps, weights_of

from rsdet.nn.deeplab import ASPP, DeepLabV3Plus, ImagePooling
from rsdet.nn.dilated_resnet import Bottleneck, DilatedResNet
from rsdet.nn.reduced_attention import ReducedAttention, TransformerBlock, TransformerStage
from rsdet.nn.resnet import BasicBlock
from rsdet.nn.segmentation import SegmentationNetwork
from rsdet.nn.seguformer import HybridSegUFormer, MultiScaleHead, UpBlock


def assert_segments(net: SegmentationNetwork, definition, size=(32, 48), training=False) -> None:
    """As assert_agrees; then a smaller image is reflected and its logits are cut."""
    (x,) = maps((2, net.channels, *size))
    assert_agrees(net, definition, [x], training=training)
    if not training:
        x = x[..., : size[0] - 3, : size[1] - 7]
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), (0, 3), (0, 7)), mode="reflect")
        assert_close(net(x), definition(weights_of(net), padded)[:, :, :-3, :-7])


class TestDeepLab:
    @pytest.mark.parametrize("size", [(7, 8), (6, 5), (1, 2)])
    def test_pooling_rounds_up(self, size):
        (x,) = maps((2, 3, *size))
        assert_close(DilatedResNet(width=4, depths=(1, 1, 1, 1)).pool(x), semantic.max_pool_up(x.numpy()))

    @pytest.mark.parametrize("training", [False, True])
    @pytest.mark.parametrize(("c1", "s", "d"), [(8, 1, 1), (8, 1, 4), (4, 1, 2), (8, 2, 1)])
    def test_blocks(self, c1, s, d, training):
        (x,) = maps((2, c1, 9, 6))
        for make, written in ((Bottleneck, semantic.bottleneck), (BasicBlock, semantic.basic)):
            block = lively(make(c1, 8, s, d=d))
            assert_agrees(block, lambda w, x, f=written: f(w, x, s, d), [x], training=training)

    @pytest.mark.parametrize(("block", "depths"), [("bottleneck", (1, 2, 1, 3)), ("basic", (2, 1, 1, 4))])
    def test_encoder(self, block, depths):
        net = lively(DilatedResNet(2, depths, 4, block))
        (x,) = maps((1, 2, 32, 48))
        want = semantic.dilated_resnet(weights_of(net), x.numpy(), depths, block)
        for got, map_, c in zip(net(x), want, net.out_channels, strict=True):
            assert_close(got, map_)
            assert got.shape[1] == c

    @pytest.mark.parametrize("training", [False, True])
    def test_aspp(self, training):
        layer = lively(ASPP(6, 4, (1, 2, 3)))
        assert_agrees(layer, lambda w, x: semantic.aspp(w, x, (1, 2, 3)), maps((2, 6, 5, 7)), training=training)

    def test_image_pooling_of_one_picture_trains_on_running_statistics(self):
        layer, (x,) = lively(ImagePooling(6, 4)), maps((1, 6, 5, 7))
        want, before = layer(x), layer.cv.bn.running_mean.clone()
        assert torch.equal(layer.train()(x), want)
        assert torch.equal(layer.cv.bn.running_mean, before)

    @pytest.mark.parametrize("training", [False, True])
    @pytest.mark.parametrize(("block", "depths"), [("bottleneck", (1, 1, 1, 2)), ("basic", (1, 1, 1, 2))])
    def test_whole(self, block, depths, training):
        net = lively(DeepLabV3Plus(depths, 4, block, decoder=5, low=3, rates=(1, 2), channels=2, nc=4))
        assert_segments(net, lambda w, x: semantic.deeplab(w, x, depths, block, (1, 2)), training=training)


class TestSegUFormer:
    @pytest.mark.parametrize(("heads", "ratio"), [(1, 1), (3, 1), (2, 2), (3, 4)])
    def test_attention_and_block(self, heads, ratio):
        inputs = maps((2, 32, 6))
        layer = lively(ReducedAttention(6, heads, ratio))
        assert_agrees(
            layer, lambda w, z: semantic.attention(w, z, 4, 8, heads, ratio), inputs, lambda z: layer(z, 4, 8)
        )
        block = lively(TransformerBlock(6, heads, ratio))
        assert_agrees(
            block, lambda w, z: semantic.transformer_block(w, z, 4, 8, heads, ratio), inputs, lambda z: block(z, 4, 8)
        )

    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_stage(self, depth):
        layer = lively(TransformerStage(3, 4, depth, 2))
        assert_agrees(layer, lambda w, x: semantic.stage(w, x, depth, 2), maps((2, 3, 7, 6)))

    @pytest.mark.parametrize("double", [False, True])
    @pytest.mark.parametrize("skip", [(6, 10), (3, 5)])
    def test_up_block(self, skip, double):
        layer = lively(UpBlock(4, 2, 3, double))
        assert_agrees(layer, lambda w, *x: semantic.up_block(w, *x, double), maps((2, 4, 3, 5), (2, 2, *skip)))

    def test_head_which_reduces_before_it_resizes(self):
        layer = lively(MultiScaleHead((5, 4, 3, 3), 2, 4))
        levels = maps((2, 5, 2, 3), (2, 4, 4, 6), (2, 3, 8, 12), (2, 3, 16, 24))
        assert_agrees(layer, semantic.multi_scale_head, levels, lambda *x: layer(x))

    @pytest.mark.parametrize("training", [False, True])
    @pytest.mark.parametrize(
        "args",
        [
            {},
            {"sr_ratio": (8, 4, 2, 1), "depths": (1, 2, 0, 1)},
            {"double_conv": False, "d1_skip": "f1", "decoder_channels": (7, 5, 4, 3)},
            {"msd": False, "channels": 2},
        ],
        ids=str,
    )
    def test_whole(self, args, training):
        given = dict(
            widths=(2, 4, 6, 6), head_dim=2, depths=(1, 1, 1, 1), decoder_channels=(6, 4, 2, 2), msd_width=3, nc=2
        )
        net = lively(HybridSegUFormer(**(given | args)))
        settings = dict(
            depths=args.get("depths", (1, 1, 1, 1)), heads=(1, 2, 3, 3), ratios=args.get("sr_ratio", (1, 1, 1, 1)),
            double=args.get("double_conv", True), d1_skip=args.get("d1_skip", "image"), msd=args.get("msd", True),
        )  # fmt: skip
        assert_segments(net, lambda w, x: semantic.seguformer(w, x, **settings), (16, 32), training)
