"""The parts of the SAR ship detector against the papers written out: values, slopes, both modes, both branches."""

from __future__ import annotations

import pytest
import torch
from references import sar_ship as paper
from references.agree import assert_agrees, lively, maps

from rsdet.nn import DPE, SCE, ShuffleAttention, SSCDetect

ODD, EVEN = [(18, 13), (9, 7), (5, 4), (3, 2)], [(16, 12), (8, 6), (4, 3), (2, 2)]
CH = (3, 4, 5, 6)


@pytest.mark.parametrize(("c", "groups"), [(8, 2), (12, 1), (6, 64), (32, 4)])
def test_shuffle_attention(c, groups):
    assert_agrees(lively(ShuffleAttention(c, groups)), paper.shuffle_attention, maps((2, c, 3, 4)))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("sizes", [ODD, EVEN])
class TestHead:
    def test_sce(self, sizes, training):
        x = maps((2, 4, *sizes[1]), (2, 5, *sizes[2]))
        assert_agrees(lively(SCE(4)), paper.sce, x, training=training)

    def test_dpe(self, sizes, training):
        x = maps(*((2, c, *hw) for c, hw in zip((3, 4, 5), sizes, strict=False)))
        assert_agrees(lively(DPE(3, 4, 5)), paper.dpe, x, training=training)

    @pytest.mark.parametrize("branch", ["one2many", "one2one"])
    @pytest.mark.parametrize("nc", [1, 3])
    def test_whole(self, sizes, training, nc, branch):
        head = SSCDetect(nc, 8, 4, end2end=branch == "one2one", ch=CH)
        head.dfl = torch.nn.Identity()  # decoding, which is Ultralytics'

        def call(*x: torch.Tensor) -> torch.Tensor:
            y = head.forward_head(list(x), **getattr(head, branch))
            assert [m is x[i] for i, m in enumerate(y["feats"], 1)] == [True, True]
            return torch.cat([y["boxes"], y["scores"]], 1)

        x = maps(*((2, c, *hw) for c, hw in zip(CH, sizes, strict=True)))
        prefix = "one2one_" if branch == "one2one" else ""
        assert_agrees(lively(head), lambda w, *x: paper.head(w, x, prefix), x, call, training)
