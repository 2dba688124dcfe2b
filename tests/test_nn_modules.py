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
from torch import nn

import rsdet.nn as layers
from rsdet.deploy.complexity import complexity
from rsdet.registry import registered_classes

EVEN, ODD, WIDE = (16, 16), (17, 23), (4, 26)


class WithFVE(nn.Module):
    """Gives a layer that is called with a frequency embedding one of its own."""

    def __init__(self, layer: nn.Module, c: int):
        super().__init__()
        self.layer, self.fve = layer, nn.Parameter(torch.randn(c, 10, 10) * 0.1)

    def forward(self, x):
        return self.layer(x, self.fve)


@dataclass
class Case:
    """A layer, the channels and relative sizes of its inputs, and what it must put out."""

    name: str
    make: Callable[[], nn.Module]
    ch: list[int]
    out: int
    zoom: list[float] = field(default_factory=lambda: [1.0])  # size of each input relative to the nominal size
    shrink: Callable[[int], int] = lambda n: n

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
        return (batch, self.out, self.shrink(size[0]), self.shrink(size[1]))


def up(n: int) -> int:
    return ceil(n / 2)


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
]


@pytest.fixture(autouse=True)
def _quiet():
    torch.manual_seed(0)
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
        model = case.make().train()
        y = model(case.inputs(ODD))
        (y * torch.randn_like(y)).sum().backward()
        for name, p in model.named_parameters():
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name
            assert p.grad.abs().max() > 0, name

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
        assert cost.params > 0
        assert cost.gflops_legacy > 0
        assert cost.gflops_true > 0


def test_every_public_layer_has_a_case():
    covered = {c.name.split("-")[0] for c in CASES}
    assert {n for n in layers.__all__ if isinstance(getattr(layers, n), type)} == covered


@pytest.mark.parametrize(
    "name", ["VHeatC2f", "ESE", "CAGFM", "MFADM", "AvgPoolDown", "InterpDown", "ConvStem", "BasicLayer"]
)
def test_is_known_to_the_model_yamls(name):
    assert registered_classes()[name] is getattr(layers, name)
