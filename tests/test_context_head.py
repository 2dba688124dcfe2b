"""The context-decoupled head: equation 5, which level reaches what, sizes, class rows, both of its branches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rsdet.modelyaml import load_model_yaml
from rsdet.nn.context_head import SSCDetect
from rsdet.tasks.detect.model import build

CH = (4, 8, 12, 16, 16)


def head(nc: int = 1, end2end: bool = False, ch=CH, **kwargs) -> SSCDetect:
    torch.manual_seed(0)
    made = SSCDetect(nc, 16, end2end=end2end, ch=ch, **kwargs)
    made.stride = torch.tensor([8.0 * 2**i for i in range(made.nl)])
    made.bias_init()
    return made


def maps(hw: tuple[int, int], ch=CH, batch: int = 1, grad: bool = False) -> list[torch.Tensor]:
    """Maps of strides 4, 8, ... for an image of this size; each is the one before halved, rounded up."""
    g, out = torch.Generator().manual_seed(1), []
    h, w = hw[0] // 4, hw[1] // 4
    for c in ch:
        out.append(torch.randn(batch, c, h, w, generator=g).requires_grad_(grad))
        h, w = -(-h // 2), -(-w // 2)
    return out


def cells(hw: tuple[int, int]) -> int:
    return sum((hw[0] // s) * (hw[1] // s) for s in (8, 16, 32))


@pytest.mark.parametrize("hw", [(64, 64), (96, 96), (160, 224), (32, 416)])
@pytest.mark.parametrize("nc", [1, 3])
def test_one_row_per_cell_of_three_levels(hw, nc):
    y = head(nc).train()(maps(hw, batch=2))
    assert y["boxes"].shape == (2, 64, cells(hw))
    assert y["scores"].shape == (2, nc, cells(hw))
    assert [f.shape[1] for f in y["feats"]] == [8, 12, 16]


@pytest.mark.parametrize(("size", "places"), [(640, 8400), (800, 13125), (256, 1344)])
def test_the_papers_sizes(size, places):
    model = build({**load_model_yaml("sar-ship.yaml"), "scales": {"n": [0.33, 0.0625, 1024]}}, nc=1).eval()
    assert model.stride.tolist() == [8, 16, 32]
    with torch.no_grad():
        assert model(torch.zeros(1, 3, size, size))[0].shape == (1, 5, places)


class TestEquation5:
    def spread(self, coded: torch.Tensor, nc: int, hw: tuple[int, int]) -> np.ndarray:
        """What the head makes of known scores: its tower replaced by a constant."""
        made = head(nc, ch=(4, 8, 12)).train()
        made.cv3[0] = torch.nn.Identity()
        made.sce[0].forward = lambda level, coarser: coded
        y = made(maps(hw, ch=(4, 8, 12)))["scores"]
        return y[0].view(nc, hw[0] // 8, hw[1] // 8).numpy()

    @pytest.mark.parametrize("nc", [1, 3])
    @pytest.mark.parametrize("hw", [(64, 48), (72, 56)])  # 9 x 7 cells: cropped
    def test_a_score_lands_on_the_cell_it_is_for(self, nc, hw):
        h, w = -(-hw[0] // 16), -(-hw[1] // 16)
        coded = torch.zeros(1, 4 * nc, h, w)
        for x in range(h):
            for y in range(w):
                for i in (0, 1):
                    for j in (0, 1):
                        for c in range(nc):
                            coded[0, c * 4 + 2 * i + j, x, y] = c * 1e4 + (2 * x + i) * 100 + (2 * y + j)
        got = self.spread(coded, nc, hw)
        rows, cols = np.mgrid[: hw[0] // 8, : hw[1] // 8]
        for c in range(nc):
            np.testing.assert_array_equal(got[c], c * 1e4 + rows * 100 + cols)

    def test_nothing_is_lost(self):
        coded = torch.rand(1, 12, 4, 3)
        assert self.spread(coded, 3, (64, 48)).sum() == pytest.approx(float(coded.sum()), rel=1e-5)

    def test_is_a_pixel_shuffle_of_reordered_channels(self):
        nc, t = 3, torch.rand(2, 12, 4, 5)  # channels (2i + j) * nc + c, the order that equation 5 writes
        reordered = t.view(2, 4, nc, 4, 5).transpose(1, 2).reshape(2, 12, 4, 5)
        got = F.pixel_shuffle(reordered, 2)
        for i in (0, 1):
            for j in (0, 1):
                for c in range(nc):
                    assert torch.equal(got[:, c, i::2, j::2], t[:, (2 * i + j) * nc + c])


class TestWhoReachesWhom:
    def gradient(self, kind: str, level: int) -> list[bool]:
        made, x = head().train(), maps((96, 96), grad=True)
        bounds = np.cumsum([0, 12 * 12, 6 * 6, 3 * 3])
        made(x)[kind][:, :, bounds[level] : bounds[level + 1]].square().sum().backward()
        return [m.grad is not None and bool(m.grad.abs().sum() > 0) for m in x]

    @pytest.mark.parametrize(("level", "reached"), [(0, [1, 1, 1, 0, 0]), (1, [0, 1, 1, 1, 0]), (2, [0, 0, 1, 1, 1])])
    def test_boxes_read_three_levels(self, level, reached):
        assert self.gradient("boxes", level) == [bool(r) for r in reached]

    @pytest.mark.parametrize(("level", "reached"), [(0, [0, 1, 1, 0, 0]), (1, [0, 0, 1, 1, 0]), (2, [0, 0, 0, 1, 1])])
    def test_classes_read_the_level_and_the_coarser_one(self, level, reached):
        assert self.gradient("scores", level) == [bool(r) for r in reached]


@pytest.mark.parametrize("n", [3, 4, 6])
def test_any_number_of_levels(n):
    ch = (4, 8, 8, 8, 8, 8)[:n]
    made = head(ch=ch)
    assert made.nl == n - 2
    assert made.train()(maps((256, 256), ch=ch))["scores"].shape[2] == sum((32 // 2**i) ** 2 for i in range(n - 2))


def test_two_maps_are_too_few():
    with pytest.raises(ValueError, match="finer level"):
        SSCDetect(1, 16, ch=(4, 8))


def test_every_class_row_starts_at_the_same_prior():
    made = head(3)
    for tower, stride in zip(made.cv3, (8, 16, 32), strict=True):
        want = np.log(5 / 3 / (640 / stride) ** 2)
        np.testing.assert_allclose(tower[-1].bias.detach().numpy(), np.full(12, want), rtol=1e-6)


class TestEndToEnd:
    def test_the_one_to_one_branch_sends_nothing_back(self):
        made, x = head(end2end=True).train(), maps((64, 64), batch=2, grad=True)
        y = made(x)
        (y["one2one"]["boxes"].sum() + y["one2one"]["scores"].sum()).backward()
        assert all(m.grad is None for m in x)
        assert all(p.grad is not None for name, p in made.named_parameters() if name.startswith("one2one_"))

    @pytest.mark.parametrize("keep", [True, False])
    def test_fusing_keeps_the_branch_in_use(self, keep):
        made, x = head(end2end=True).eval(), maps((64, 64))
        made.end2end = keep
        before = made(x)[0]
        made.fuse()
        torch.testing.assert_close(made(x)[0], before)
        assert sum(p.numel() for p in made.parameters()) == sum(p.numel() for p in head().parameters())

    def test_yolo26_gives_rows_of_six(self):
        model = build({**load_model_yaml("yolo26-sar-ship.yaml"), "scales": {"n": [0.5, 0.125, 1024]}}, nc=2).eval()
        model.end2end = True
        y = model(torch.zeros(1, 3, 96, 96))[0]
        assert y.shape == (1, 189, 6)
