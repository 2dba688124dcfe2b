"""Counting: hand counts, agreement with PyTorch's counter, rows that sum up, a model left as it was found."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rsdet.deploy.complexity import complexity
from rsdet.errors import ConfigError


class Apply(nn.Module):
    """A module without layers of its own, around a function."""

    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, x):
        return self.fn(x)


class SelfAttention(nn.Module):
    def __init__(self, c: int = 16):
        super().__init__()
        self.ma = nn.MultiheadAttention(c, 4, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        return self.ma(tokens, tokens, tokens)[0]


def flops(macs: float) -> float:
    return 2 * macs / 1e9


# (what, module, channels in, multiply-adds legacy, multiply-adds true) at 8x8 pixels
HAND_COUNTS = [
    ("conv 3x3", nn.Conv2d(4, 6, 3, padding=1), 4, 64 * 6 * 4 * 9, 64 * 6 * 4 * 9),
    ("stride 2", nn.Conv2d(4, 6, 3, stride=2, padding=1), 4, 16 * 6 * 4 * 9, 16 * 6 * 4 * 9),
    ("depthwise", nn.Conv2d(4, 4, 3, padding=1, groups=4), 4, 64 * 4 * 9, 64 * 4 * 9),
    ("linear over width", nn.Linear(8, 5), 4, 4 * 8 * 5 * 8, 4 * 8 * 5 * 8),
    ("batch norm: 4 per element, in legacy only", nn.BatchNorm2d(4), 4, 4 * 4 * 64, 0),
    ("norm without scale: 2 per element", nn.BatchNorm2d(4, affine=False), 4, 2 * 4 * 64, 0),
    ("layer norm", nn.LayerNorm([4, 8, 8]), 4, 4 * 4 * 64, 0),
    # Legacy charges every output element a full kernel; truly each input element meets the kernel once.
    ("transposed conv", nn.ConvTranspose2d(4, 6, 2, stride=2), 4, 256 * 6 * 4 * 4, 64 * 6 * 4 * 4),
    ("matmul as a function", Apply(lambda x: x @ x.transpose(-1, -2)), 4, 0, 4 * 8 * 8 * 8),
    ("einsum", Apply(lambda x: torch.einsum("bchw,bdhw->bcd", x, x)), 4, 0, 4 * 4 * 64),
    ("conv as a function", Apply(lambda x: F.conv2d(x, torch.ones(2, 4, 1, 1))), 4, 0, 64 * 2 * 4),
    ("bilinear resize: 4 neighbours", Apply(lambda x: F.interpolate(x, (16, 16), mode="bilinear")), 4, 0, 4 * 256 * 4),
    ("nearest resize is free", Apply(lambda x: F.interpolate(x, (16, 16))), 4, 0, 0),
    ("grid sample", Apply(lambda x: F.grid_sample(x, torch.zeros(1, 5, 3, 2), align_corners=False)), 4, 0, 4 * 15 * 4),
    ("activations are free", nn.Sequential(nn.ReLU(), nn.SiLU(), nn.MaxPool2d(2)), 4, 0, 0),
]


@pytest.mark.parametrize(("what", "module", "ch", "legacy", "true"), HAND_COUNTS, ids=[c[0] for c in HAND_COUNTS])
def test_hand_counts(what, module, ch, legacy, true):
    found = complexity(module, 8, ch)
    assert found.gflops_legacy == pytest.approx(flops(legacy), rel=1e-12)
    assert found.gflops_true == pytest.approx(flops(true), rel=1e-12)


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (torch.fft.fft2, 5 * 4 * 64 * math.log2(64)),
        (torch.fft.rfft2, 2.5 * 4 * 64 * math.log2(64)),
        (lambda x: torch.fft.irfft2(torch.fft.rfft2(x), s=(8, 8)), 2 * 2.5 * 4 * 64 * math.log2(64)),
        (lambda x: torch.fft.fft(torch.complex(x, x), dim=1), 5 * 4 * 64 * math.log2(4)),
    ],
    ids=["fft2", "rfft2", "rfft2 and back", "fft over channels"],
)
def test_fourier_transforms_are_counted(fn, expected):
    assert complexity(Apply(fn), 8, 4).gflops_true * 1e9 == pytest.approx(expected, rel=1e-6)


def test_attention_is_counted_even_where_pytorch_would_fuse_it():
    c, n = 16, 64
    found = complexity(SelfAttention(c), 8, c)
    assert found.gflops_true == pytest.approx(flops(4 * n * c * c + 2 * n * n * c))
    assert found.gflops_legacy == 0
    assert torch.backends.mha.get_fastpath_enabled()


def test_quadratic_cost_is_measured_at_the_size_asked_for():
    small, large = (complexity(SelfAttention(), s, 16).gflops_true for s in (8, 16))
    assert large > 4 * small


def test_equals_pytorchs_counter_on_a_plain_conv_net():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, (3, 1)), nn.Conv2d(5, 5, 1)
    )
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.zeros(1, 3, 31, 47))
    assert complexity(net, (31, 47)).gflops_true * 1e9 == counter.get_total_flops()


class Rows(nn.Module):
    """Rows that are called whole, taken apart, used twice and joined by work outside any of them."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1))
        self.twice = nn.Conv2d(8, 8, 1)
        self.alias = self.twice
        self.scale = nn.Parameter(torch.ones(8, 8))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = self.twice(self.alias(x))
        return {"out": torch.einsum("bchw,cd->bdhw", x, self.scale), "nothing": None}


def test_rows_sum_to_the_total_and_nothing_is_counted_twice():
    found = complexity(Rows(), 8)
    px = 64
    by_name = {r.type.split()[0]: r for r in found.layers}
    assert by_name["blocks"].true == pytest.approx(flops(2 * px * 64))
    assert by_name["twice"].true == pytest.approx(flops(2 * px * 64))
    assert by_name["(outside"].true == pytest.approx(flops(px * 64))
    assert by_name["(outside"].params == 64
    assert sum(r.params for r in found.layers) == found.params == sum(p.numel() for p in Rows().parameters())
    assert sum(r.true for r in found.layers) == pytest.approx(found.gflops_true, rel=1e-12)
    assert sum(r.legacy for r in found.layers) == pytest.approx(found.gflops_legacy, rel=1e-12)


class Fragile(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.frozen = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        if x.shape[-1] % 8:
            raise ValueError("width must be a multiple of 8")
        return self.frozen(self.bn(self.conv(x)))


@pytest.mark.parametrize(
    ("size", "outcome"),
    [(16, contextlib.nullcontext()), (12, pytest.raises(ConfigError, match=r"\(1, 3, 12, 12\).*multiple of 8.*imgsz"))],
    ids=["a good size", "a size it refuses"],
)
def test_the_model_is_left_as_it_was(size, outcome):
    net = Fragile().train()
    net.frozen.eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with outcome:
        complexity(net, size)
    assert (net.training, net.bn.training, net.frozen.training) == (True, True, False)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("imgsz", [0, (8, 8, 8), -5])
def test_sizes_that_are_none(imgsz):
    with pytest.raises(ConfigError, match="imgsz"):
        complexity(nn.Conv2d(3, 1, 1), imgsz)


def test_stock_rtdetr_l_gives_the_published_number():
    from ultralytics import RTDETR

    found = complexity(RTDETR("rtdetr-l.yaml"), 640)
    assert found.params == 32_970_476
    assert found.gflops_legacy == pytest.approx(108.34, abs=0.01)  # Ultralytics published 108.3
    assert found.gflops_true == pytest.approx(109.58, abs=0.01)
    assert len(found.layers) == 29
    assert "108.34" in found.table()
    assert "RTDETRDecoder" in found.table()
    assert len(found.table(detailed=False).splitlines()) == 1


def test_a_fused_model_is_called_so():
    from ultralytics.nn.modules import Conv

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Sequential(Conv(3, 4), nn.Conv2d(4, 4, 1))

        def forward(self, x):
            return self.model(x)

    net = Net()
    assert not complexity(net, 8).fused
    conv = net.model[0]
    del conv.bn
    conv.forward = conv.forward_fuse
    found = complexity(net, 8)
    assert found.fused
    assert "too low" in found.table()


def test_fused_attention_on_a_processor_is_counted():
    from rsdet.deploy.flops import counting

    q = torch.rand(1, 4, 64, 16)
    with counting() as counter:
        torch.nn.functional.scaled_dot_product_attention(q, q, q)
    assert counter.get_total_flops() == 2 * (2 * 4 * 64 * 64 * 16)  # scores and weighted sums
