"""EDSR, HAT and MFG-HMoE against the papers written out: parts, compositions, slopes, routes, padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references import superres
from references.agree import assert_agrees, assert_close, assert_restores, lively, maps, weights_of
from torch import nn

from rsdet.modelyaml import load_model_yaml
from rsdet.nn.edsr import EDSR
from rsdet.nn.hat import CAB, HAB, RHAG
from rsdet.nn.hmoe import DRHMoE
from rsdet.nn.mfg_hmoe import MFGHMoE
from rsdet.nn.upsample import bicubic
from rsdet.nn.window_attention import OCAB, WindowAttention


@pytest.mark.parametrize(("upscale", "factor", "skip"), [(2, 1, False), (3, 0.1, True), (4, 0.3, False), (8, 1, True)])
def test_edsr(upscale, factor, skip):
    net = lively(EDSR(upscale, 4, 3, factor, skip))
    assert_restores(net, lambda w, x: superres.edsr(w, x, upscale, 3, factor, skip), (5, 4))


@pytest.mark.parametrize("upscale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(12, 12), (5, 9), (2, 3)])
def test_bicubic(upscale, size):
    (x,) = maps((2, 3, *size))
    assert_close(bicubic(x, upscale), superres.imresize(x.numpy(), upscale))


class Masks(nn.Module):
    """Stochastic depth with drawn masks."""

    def __init__(self, masks: list[torch.Tensor]):
        super().__init__()
        self.masks, self.calls = masks, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * self.masks[(self.calls - 1) % 2]


class TestHAT:
    @pytest.mark.parametrize("size", [(4, 4), (8, 4), (8, 12)])
    @pytest.mark.parametrize("shift", [0, 2, 1])
    def test_window_attention(self, size, shift):
        layer = lively(WindowAttention(6, 4, 2, shift))
        assert_agrees(layer, lambda w, x: superres.window_attention(w, x, 4, 2, shift), maps((2, *size, 6)))

    @pytest.mark.parametrize(("window", "overlap", "size"), [(4, 0.5, (8, 12)), (2, 1.0, (4, 6)), (4, 1.5, (4, 4))])
    def test_ocab(self, window, overlap, size):
        layer = lively(OCAB(6, window, 2, overlap))
        assert_agrees(layer, lambda w, x: superres.ocab(w, x, window, 2, overlap), maps((2, *size, 6)))

    def test_cab(self):
        assert_agrees(lively(CAB(9, 3, 2)), superres.cab, maps((2, 5, 4, 9)))

    @pytest.mark.parametrize("shift", [0, 2])
    def test_block_whose_branches_are_dropped_but_not_its_channel_attention(self, shift):
        block, masks = lively(HAB(6, 4, 2, shift, drop=0.5)), maps((3, 1, 1, 1), (3, 1, 1, 1))
        block.drop = Masks(masks)
        kept = [m.numpy() for m in masks]
        x = maps((3, 4, 8, 6))
        assert_agrees(block, lambda w, x: superres.hab(w, x, 4, 2, shift, kept), x, training=True)

    def test_group(self):
        group = lively(RHAG(6, 4, 2, [0.0, 0.0, 0.0]))
        assert_agrees(group, lambda w, x: superres.rhag(w, x, 4, 2, 3), maps((1, 8, 8, 6)))


@pytest.mark.parametrize("dispatch", ["dense", "sparse"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("gate", ["paper", "joint", "ste", "hard"])
def test_experts(gate, k, dispatch):
    moe = lively(DRHMoE(5, 2, (1, 3, 5), (4, 3, 3), k, gate, dispatch))
    f, guide = maps((2, 5, 4, 5), (2, 5, 4, 5))
    w, pixels = weights_of(moe), guide.permute(0, 2, 3, 1).reshape(-1, 5).numpy()
    chosen = [superres.routes(w["router"], g, k, gate)[0].tolist() for g in pixels]
    assert moe.router(guide).expert.reshape(-1, k).tolist() == chosen
    assert len({e for experts in chosen for e in experts}) >= 7  # a routing to one expert would prove little
    want = superres.dr_hmoe(w, f.numpy(), guide.numpy(), 2, k, gate)
    assert_close(moe.train()(f, guide), want)
    with torch.no_grad():
        assert_close(moe.eval()(f, guide), want)
    if k == 1 or gate in ("paper", "joint"):  # the other factors carry no gradient, or that of something else
        for training in (False, True)[: 1 + (gate != "ste")]:
            assert_agrees(moe, lambda w, *x: superres.dr_hmoe(w, *x, 2, k, gate), [f, guide], training=training)


@pytest.mark.parametrize(
    "args",
    [{}, {"trunk_norm": False, "mfa": False}, {"gate": "joint", "k": 2}, {"upscale": 4, "bicubic_skip": True}],
    ids=str,
)
def test_mfg_hmoe(args):
    net = lively(MFGHMoE(**{"upscale": 2, "dim": 6, "groups": 2, "depth": 1, "heads": 2, "window": 4, "features": 5,
                            "experts": (3, 2), "drop_path": 0.0} | args))  # fmt: skip
    settings = dict(upscale=args.get("upscale", 2), window=4, heads=2, groups=2, depth=1, k=args.get("k", 1),
                    gate=args.get("gate", "ste"), skip="bicubic_skip" in args)  # fmt: skip
    assert_restores(net, lambda w, x: superres.mfg_hmoe(w, x, **settings), (8, 8))
    (x,), mirrored = maps((1, 3, 6, 7)), ((0, 0), (0, 0), (0, 2), (0, 1))
    _, guide = net.features(torch.from_numpy(np.pad(x.numpy(), mirrored, mode="reflect")))
    assert torch.equal(net.routes(x), net.upsample.router(guide).expert[:, :6, :7, 0])


KERNELS = {  # table III: kernels and experts of each group
    "": ([1, 3], [8, 8]),
    "single": ([3], [1]),
    "8x3x3": ([3], [8]),
    "16x3x3": ([3], [16]),
    "16x3x3-no-mfa": ([3], [16]),
    "32x3x3": ([3], [32]),
    "16x1x1": ([1], [16]),
    "16x5x5": ([5], [16]),
    "8x3x3-8x5x5": ([3, 5], [8, 8]),
    "5x1x1-6x3x3-5x5x5": ([1, 3, 5], [5, 6, 5]),
}


@pytest.mark.parametrize("row", KERNELS)
def test_rows_of_the_ablation_of_mfg_hmoe(row):
    d = load_model_yaml(f"mfg-hmoe-ablate-{row}.yaml" if row else "mfg-hmoe.yaml")
    trunk = dict(dim=180, groups=6, depth=6, heads=6, window=16, features=64, drop_path=0.1)
    routed = dict(k=1, gate="ste", dispatch="auto", mfa="no-mfa" not in row and row != "single")
    kernels, experts = KERNELS[row]
    rest = dict(upscale=2, channels=3, trunk_norm=True, bicubic_skip=False)
    assert d["args"] == {**trunk, **routed, **rest, "kernels": kernels, "experts": experts}


def test_stochastic_depth_grows_over_all_blocks():
    net = MFGHMoE(dim=6, groups=2, depth=3, heads=2, window=4, features=4, experts=(1, 1), drop_path=0.1)
    found = [block.drop.p for group in net.groups for block in group.blocks[:-1]]
    assert found == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1])
