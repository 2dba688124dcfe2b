"""What every layer owes its user, whatever it computes: one class of tests run over all of them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import pytest
import torch
from learning import silent
from torch import nn

import rsdet.nn as layers
from rsdet.deploy.complexity import complexity
from rsdet.registry import registered_classes

EVEN, ODD, WIDE = (16, 16), (17, 23), (4, 26)


class OnLevels(nn.Module):
    """Gives a head the list it takes and puts its two training outputs side by side."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head
        head.dfl = nn.Identity()  # decoding, which training leaves out; its weights are constants

    def forward(self, x):
        y = self.head.forward_head(x, **self.head.one2many)
        return torch.cat([y["boxes"], y["scores"]], 1)


class Splat(nn.Module):
    """Calls a layer that takes its maps one by one."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(*x)


class WithFVE(nn.Module):
    """Gives a layer that is called with a frequency embedding one of its own."""

    def __init__(self, layer: nn.Module, c: int):
        super().__init__()
        self.layer, self.fve = layer, nn.Parameter(torch.randn(c, 10, 10) * 0.1)

    def forward(self, x):
        return self.layer(x, self.fve)


class InWindows(nn.Module):
    """Gives a layer that takes channel-last maps of whole windows any map: padded below and to the right, and cut."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        h, w = (int(n) for n in x.shape[2:])
        m = self.layer.window
        y = self.layer(nn.functional.pad(x, (0, -w % m, 0, -h % m)).permute(0, 2, 3, 1))
        return y.permute(0, 3, 1, 2)[:, :, :h, :w]


class GuidedByInput(nn.Module):
    """Gives a layer that takes features and a guide the same map for both."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x, x)


@dataclass
class Case:
    """A layer, the channels and relative sizes of its inputs, and what it must put out."""

    name: str
    make: Callable[[], nn.Module]
    ch: list[int]
    out: int
    zoom: list[float] = field(default_factory=lambda: [1.0])  # size of each input relative to the nominal size
    shrink: Callable[[int], int] = lambda n: n
    cells: Callable[[int, int], int] | None = None  # a head's number of places, where the output is no map
    elementwise: bool = False  # neither convolutions nor matrix products

    def inputs(self, size: tuple[int, int], batch: int = 2) -> torch.Tensor | list[torch.Tensor]:
        g = torch.Generator().manual_seed(0)

        def side(n: int, zoom: float) -> int:  # twice an odd size is odd too: what a stride-2 layer halves to n
            return ceil(n * zoom) - (n % 2 if zoom > 1 else 0)

        maps = [
            torch.randn(batch, c, side(size[0], z), side(size[1], z), generator=g)
            for c, z in zip(self.ch, self.zoom, strict=True)
        ]
        return maps if len(maps) > 1 else maps[0]

    def out_shape(self, size: tuple[int, int], batch: int = 2) -> tuple[int, ...]:
        if self.cells:
            return (batch, self.out, self.cells(*size))
        return (batch, self.out, self.shrink(size[0]), self.shrink(size[1]))


def up(n: int) -> int:
    return ceil(n / 2)


def learnt(layer: nn.Module) -> nn.Module:
    """A layer whose weights are zeros and ones at the start, away from there: some gradients are zero there."""
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(torch.linspace(-0.5, 0.7, p.numel()).view_as(p))
    return layer


NO_WEIGHTS = {"SimAM", "HaarDWT", "HaarIDWT"}
LEVELS = {"ch": [24, 16, 8], "zoom": [0.5, 1.0, 2.0], "out": 16}
CASES = [
    Case("HCO", lambda: WithFVE(layers.HCO(16), 16), [16], 16),
    Case("HeatBlock", lambda: WithFVE(layers.HeatBlock(16), 16), [16], 16),
    Case("VHeatC2f", lambda: layers.VHeatC2f(16, 24, 2, res=16), [16], 24),
    Case("VHeatC2f-rect", lambda: layers.VHeatC2f(16, 24, 1, res=(6, 9), e=0.25), [16], 24),
    Case("ESE", lambda: layers.ESE(8), [8], 8),
    Case("CAGFM-2", lambda: layers.CAGFM([8, 16]), [8, 16], 32, [1.0, 1.0]),
    Case("CAGFM-3", lambda: layers.CAGFM([8, 8, 16], 8), [8, 8, 16], 24, [1.0] * 3),
    *(
        Case(f"MFADM-{d}", lambda d=d: layers.MFADM(LEVELS["ch"], 16, (3, 5), 0.5, d), **LEVELS)
        for d in ("ADown", "conv", "avgpool", "interp")
    ),
    Case("AvgPoolDown", lambda: layers.AvgPoolDown(8, 12), [8], 12, shrink=up),
    Case("InterpDown", lambda: layers.InterpDown(8, 12), [8], 12, shrink=lambda n: n // 2),
    Case("ConvStem", lambda: layers.ConvStem(3, 16), [3], 16, shrink=lambda n: up(up(n))),
    Case("BasicBlock", lambda: layers.BasicBlock(8, 16, 2), [8], 16, shrink=up),
    Case("BasicLayer", lambda: layers.BasicLayer(8, 16, 2, 2), [8], 16, shrink=up),
    Case("ShuffleAttention", lambda: learnt(layers.ShuffleAttention(16, 4)), [16], 16, elementwise=True),
    Case("ShuffleAttention-narrow", lambda: learnt(layers.ShuffleAttention(6)), [6], 6, elementwise=True),
    Case("SE", lambda: layers.SE(16), [16], 16),
    Case("CBAM", lambda: layers.CBAM(32), [32], 32),
    Case("ECA", lambda: layers.ECA(16), [16], 16),
    Case("CoordAttention", lambda: layers.CoordAttention(16), [16], 16),
    Case("SimAM", lambda: layers.SimAM(16), [16], 16, elementwise=True),
    Case("WindowAttention", lambda: InWindows(layers.WindowAttention(16, 8, 2)), [16], 16),
    Case("WindowAttention-shifted", lambda: InWindows(layers.WindowAttention(16, 8, 2, 4)), [16], 16),
    Case("OCAB", lambda: InWindows(layers.OCAB(16, 8, 2)), [16], 16),
    Case("DRHMoE", lambda: GuidedByInput(layers.DRHMoE(8, 2, experts=(2, 2), gate="joint", k=2)), [8], 8,
         shrink=lambda n: 2 * n),
    Case("WDM", lambda: layers.WDM(8, 12), [8], 12, shrink=up),
    Case("HaarDWT", lambda: layers.HaarDWT(), [8], 32, shrink=up, elementwise=True),
    Case("HaarIDWT", lambda: layers.HaarIDWT(), [8], 2, shrink=lambda n: 2 * n, elementwise=True),
    Case("FAM", lambda: layers.FAM(8), [8], 8),
    Case("FAM-matrix", lambda: layers.FAM(8, "matrix"), [8], 8),
    Case("SAOD", lambda: layers.SAOD(8), [8], 8),
    Case("DilatedResidual", lambda: layers.DilatedResidual(8), [8], 8),
    Case("DWB", lambda: layers.DWB(8), [8], 8),
    Case("MAB", lambda: layers.MAB(16), [16], 16),
    Case("StarBlock", lambda: layers.StarBlock(8), [8], 8),
    Case("FFEB", lambda: layers.FFEB(16), [16], 16),
    Case("SKFusion", lambda: Splat(layers.SKFusion(8)), [8, 8], 8, [1.0, 1.0]),
    Case("SCE", lambda: Splat(layers.SCE(8)), [8, 12], 20, [1.0, 0.5], shrink=up),
    Case("DPE", lambda: Splat(layers.DPE(6, 8, 12)), [6, 8, 12], 8, [2.0, 1.0, 0.5]),
    Case("SSCDetect-1", lambda: OnLevels(layers.SSCDetect(1, 16, ch=(6, 8, 12))), [6, 8, 12], 65, [2.0, 1.0, 0.5],
         cells=lambda h, w: h * w),
    Case("SSCDetect-2", lambda: OnLevels(layers.SSCDetect(3, 16, 4, ch=(6, 8, 12, 8))), [6, 8, 12, 8], 19,
         [2.0, 1.0, 0.5, 0.25], cells=lambda h, w: h * w + up(h) * up(w)),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def onnx_run(model: nn.Module, x: torch.Tensor | list[torch.Tensor]) -> np.ndarray:
    """Export at opset 17 and run in ONNX Runtime."""
    import onnxruntime as ort

    maps = x if isinstance(x, list) else [x]
    names, buffer = [f"x{i}" for i in range(len(maps))], io.BytesIO()
    args = (x,) if isinstance(x, list) else x
    torch.onnx.export(model, args, buffer, opset_version=17, input_names=names, dynamo=False)
    session = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    return session.run(None, {n: m.numpy() for n, m in zip(names, maps, strict=True)})[0]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
class TestEveryLayer:
    @pytest.mark.parametrize("size", [EVEN, ODD, WIDE])
    def test_shape_at_any_size(self, case, size):
        y = case.make().eval()(case.inputs(size))
        assert y.shape == case.out_shape(size)
        assert y.isfinite().all()

    def test_every_parameter_learns(self, case):
        def loss(model: nn.Module) -> torch.Tensor:
            x = case.inputs(ODD)
            for m in x if isinstance(x, list) else [x]:
                m.requires_grad_()
            y = model(x)
            return (y * torch.randn_like(y)).sum()

        assert not silent(lambda: case.make().train(), loss)

    def test_bfloat16_autocast(self, case):
        model, x = case.make().eval(), case.inputs(EVEN)
        want = model(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = model(x)
        assert torch.allclose(y.float(), want, atol=0.1 * want.abs().max().item())

    def test_half(self, case):
        model, x = case.make().eval(), case.inputs(EVEN)
        want = model(x)
        half = [m.half() for m in x] if isinstance(x, list) else x.half()
        y = copy.deepcopy(model).half()(half)
        assert y.dtype == torch.float16
        assert torch.allclose(y.float(), want, atol=0.02 * want.abs().max().item())

    def test_state_dict_round_trip(self, case):
        a, b, x = case.make().eval(), case.make().eval(), case.inputs(ODD)
        b.load_state_dict(a.state_dict())
        assert torch.equal(a(x), b(x))

    def test_deepcopy_and_pickle(self, case):
        model, x = case.make().eval(), case.inputs(ODD)
        want = model(x)  # run first: whatever a layer keeps from a run must not stand in the way
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(twin(x), want)
            assert [k for k, _ in twin.named_buffers()] == [k for k, _ in model.named_buffers()]

    def test_batch_equals_singles(self, case):
        model, x = case.make().eval(), case.inputs(ODD)
        singles = [model([m[i : i + 1] for m in x] if isinstance(x, list) else x[i : i + 1]) for i in range(2)]
        assert torch.allclose(model(x), torch.cat(singles), atol=1e-5)

    @pytest.mark.parametrize("size", [EVEN, ODD])
    def test_onnx(self, case, size):
        model, x = case.make().eval(), case.inputs(size, batch=1)
        with torch.no_grad():
            assert np.abs(onnx_run(model, x) - model(x).numpy()).max() < 1e-4

    def test_work_is_counted(self, case):
        cost = complexity(case.make(), inputs=(case.inputs(EVEN, batch=1),))
        assert (cost.params == 0) == (case.name in NO_WEIGHTS)
        assert (cost.gflops_legacy == 0) == (case.name in NO_WEIGHTS)  # that convention counts nothing without weights
        assert (cost.gflops_true == 0) == case.elementwise  # and the other no elementwise steps


def test_every_public_layer_has_a_case():
    covered = {c.name.split("-")[0] for c in CASES}
    assert {n for n in layers.__all__ if isinstance(getattr(layers, n), type)} == covered


# Pieces of other layers.
NOT_ROWS = {"HCO", "HeatBlock", "BasicBlock", "SCE", "DPE", "WindowAttention", "OCAB", "DRHMoE", "HaarDWT", "HaarIDWT"}
NOT_ROWS |= {"FAM", "SAOD", "DilatedResidual", "DWB", "MAB", "StarBlock", "FFEB", "SKFusion"}


@pytest.mark.parametrize("name", [n for n in layers.__all__ if n not in NOT_ROWS])
def test_is_known_to_the_model_yamls(name):
    assert registered_classes()[name] is getattr(layers, name)
