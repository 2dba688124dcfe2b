"""ACR against its equations written out: layers, the whole, slopes; questions there have no pads at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references import vqa
from references.agree import assert_agrees, assert_close, lively, maps, weights_of

from rsdet.nn.acr import ACR
from rsdet.nn.masked_attention import AttentionPool, MaskedAttention
from rsdet.nn.question_encoder import QuestionEncoder
from rsdet.nn.reasoning import CrossAttention, ReasoningBranch
from rsdet.nn.resnet_sc import ClassicBasic, ClassicBottleneck, ClassicResNet
from rsdet.nn.scconv import CRU, SRU, SCConv

TOKENS = torch.tensor([[5, 2, 7, 1, 3], [4, 6, 0, 0, 0], [9, 0, 0, 0, 0], [2, 2, 3, 8, 0]])
WORDS = [[t for t in row if t] for row in TOKENS.tolist()]
SMALL = dict(
    depths=(1, 1, 1, 2),
    width=16,
    dim=16,
    heads=2,
    layers=2,
    encoder_layers=2,
    tokens=10,
    answers=6,
    length=5,
    dropout=0,
)


class TestDualReconstruction:
    @pytest.mark.parametrize("gate", ["soft", "hard"])
    @pytest.mark.parametrize("c", [16, 64])
    def test_sru(self, c, gate):
        assert_agrees(lively(SRU(c, gate)), lambda w, x: vqa.sru(w, x, gate), maps((2, c, 4, 3)))

    @pytest.mark.parametrize("c", [8, 16, 48])
    def test_cru(self, c):
        assert_agrees(lively(CRU(c)), vqa.cru, maps((2, c, 5, 4)))

    @pytest.mark.parametrize("identity", [False, True])
    def test_both(self, identity):
        assert_agrees(lively(SCConv(16, identity=identity)), vqa.scconv, maps((2, 16, 4, 3)))


class TestImage:
    @pytest.mark.parametrize("training", [False, True])
    @pytest.mark.parametrize(("c1", "s"), [(64, 1), (32, 1), (32, 2)])
    def test_bottleneck(self, c1, s, training):
        block = lively(ClassicBottleneck(c1, 16, s, SCConv))
        assert_agrees(block, lambda w, x: vqa.bottleneck(w, x, s), maps((2, c1, 5, 4)), training=training)

    @pytest.mark.parametrize("training", [False, True])
    @pytest.mark.parametrize(("c1", "s"), [(16, 1), (8, 1), (16, 2)])
    def test_basic(self, c1, s, training):
        block = lively(ClassicBasic(c1, 16, s, SCConv))
        assert_agrees(block, lambda w, x: vqa.basic(w, x, s), maps((2, c1, 5, 4)), training=training)

    @pytest.mark.parametrize("dre", [False, True])
    @pytest.mark.parametrize(("block", "stride"), [("bottleneck", 32), ("basic", 16)])
    def test_encoder(self, block, stride, dre):
        net = lively(ClassicResNet(2, (1, 2, 1, 1), 16, block, stride, dre))
        assert_agrees(net, lambda w, x: vqa.resnet(w, x, block, stride), maps((1, 2, 64, 32)))


class TestAttention:
    @pytest.mark.parametrize("heads", [1, 4])
    def test_what_is_seen_and_what_is_not(self, heads):
        layer, (x, source) = lively(MaskedAttention(8, heads)), maps((2, 3, 8), (2, 6, 8))
        pads = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])

        def written(w, x, source):
            return np.stack([vqa.attention(w, x[b], source[b, :n], heads)[0] for b, n in enumerate((6, 4))])

        assert_agrees(layer, written, [x, source], lambda x, s: layer(x, s, pads)[0])
        weights = layer(x, source, pads)[1]
        w = weights_of(layer)
        for b, n in enumerate((6, 4)):
            assert_close(
                weights[b, :, :, :n], np.stack(vqa.attention(w, x[b].numpy(), source[b, :n].numpy(), heads)[1])
            )
        assert (weights[1, ..., 4:] == 0).all()

    def test_pool(self):
        layer, (x,) = lively(AttentionPool(8)), maps((2, 5, 8))
        pads = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])

        def written(w, x):
            return np.stack([vqa.pooled(w, x[b, :n]) for b, n in enumerate((5, 3))])

        assert_agrees(layer, written, [x], lambda x: layer(x, pads))


class TestQuestion:
    def test_encoder(self):
        layer = lively(QuestionEncoder(10, 16, 2, 2))

        def written(w):
            return np.stack([vqa.question(w, words, 2)[1] for words in WORDS])

        assert_agrees(layer, written, [], lambda: layer(TOKENS).attended)
        w, got = weights_of(layer), layer(TOKENS)
        for b, words in enumerate(WORDS):
            want = vqa.question(w, words, 2)
            assert_close(got.words[b, : len(words)], want[0])
            assert_close(got.weights[b, : len(words)], want[2])
            assert (got.weights[b, len(words) :] == 0).all()


class TestReasoning:
    def test_both_sides_read_what_comes_in(self):
        layer, (v, q) = lively(CrossAttention(16, 2)), maps((1, 6, 16), (1, 4, 16))
        pads = torch.zeros(1, 4, dtype=torch.bool)
        for part in range(3):

            def written(w, v, q, part=part):
                return vqa.cross(w, v[0], q[0], 2)[part][None]

            assert_agrees(layer, written, [v, q], lambda v, q, part=part: layer(v, q, pads)[part])

    def test_branch(self):
        layer, (v,) = lively(ReasoningBranch(16, 2, 2)), maps((4, 6, 16))
        encoder = lively(QuestionEncoder(10, 16, 2, 1))
        question, w_q = encoder(TOKENS), weights_of(encoder)
        asked = [vqa.question(w_q, words, 2) for words in WORDS]

        def written(w, v):
            return np.stack([vqa.branch(w, x, a[0], a[1], 2)[0] for x, a in zip(v, asked, strict=True)])

        detached = type(question)(*(t.detach() for t in question))
        assert_agrees(layer, written, [v], lambda v: layer(v, detached)[0])


class TestWhole:
    @pytest.mark.parametrize("route", [None, [True, False, False, True], [False] * 4])
    @pytest.mark.parametrize(("block", "stride"), [("bottleneck", 32), ("basic", 16)])
    def test_logits(self, block, stride, route):
        net, (x,) = lively(ACR(block=block, stride=stride, **SMALL)), maps((4, 3, 64, 32))
        given = route and torch.tensor(route)
        kinds = route or [None] * 4

        def written(w, x, part=0):
            v = vqa.cells(w, x, block=block, stride=stride)
            return np.stack([vqa.answer(w, *a[:2], 2, a[2])[part] for a in zip(v, WORDS, kinds, strict=True)])

        assert_agrees(net, written, [x], lambda x: net(x, TOKENS, route=given).logits)
        assert_agrees(net, lambda w, x: written(w, x, 1), [x], lambda x: net(x, TOKENS, route=given).types)
        said, w = net(x, TOKENS, route=given), weights_of(net)
        for b, v in enumerate(vqa.cells(w, x.numpy(), block=block, stride=stride)):
            want = vqa.answer(w, v, WORDS[b], 2, kinds[b])[2]
            assert_close(said.attention[b, : len(WORDS[b])], want)

    def test_questions_in_groups_and_images_of_any_size(self):
        net, (x,) = lively(ACR(**SMALL)), maps((2, 3, 40, 33))
        counts = torch.tensor([3, 1])
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), (0, 24), (0, 31)), mode="reflect")
        w = weights_of(net)
        v = vqa.cells(w, padded)[[0, 0, 0, 1]]
        want = np.stack([vqa.answer(w, *a, 2)[0] for a in zip(v, WORDS, strict=True)])
        assert_close(net(x, TOKENS, counts).logits, want)
