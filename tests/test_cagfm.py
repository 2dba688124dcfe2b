"""ESE and CAGFM beside their equations (tests/nn): what the gate must and must not do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn import CAGFM, ESE
from rsdet.nn.cagfm import _rule
from rsdet.registry import Row


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def maps(n: int, c: int = 8) -> list[torch.Tensor]:
    return [torch.randn(2, c, 5, 7) for _ in range(n)]


def fixed_gate(model: CAGFM, value: float) -> CAGFM:
    nn.init.zeros_(model.ese.fc.weight)
    nn.init.constant_(model.ese.fc.bias, 100.0 if value else -100.0)  # sigmoid is exactly 1, or below 1e-40
    return model


def test_ese_pools_large_half_precision_maps():
    x = torch.full((1, 4, 64, 64), 3e4).half()  # the sum is far beyond float16
    model = ESE(4).half()
    nn.init.zeros_(model.fc.weight)
    assert model(x).isfinite().all()


@pytest.mark.parametrize("m", [2, 3])
def test_an_open_gate_sums_and_a_closed_one_leaves_the_input_out(m):
    model, x = CAGFM([8] * m), maps(m)
    blocks = fixed_gate(model, 1)(x).chunk(m, 1)
    assert all(torch.allclose(b, sum(x), atol=1e-5) for b in blocks)
    blocks = fixed_gate(model, 0)(x).chunk(m, 1)
    assert all(torch.allclose(b, sum(x) - x[i], atol=1e-5) for i, b in enumerate(blocks))


def test_permuted_inputs_permute_the_output():
    a, b, x, order = CAGFM([4, 4, 4]), CAGFM([4, 4, 4]), maps(3, 4), [2, 0, 1]
    index = torch.cat([torch.arange(4) + 4 * i for i in order])
    with torch.no_grad():
        b.ese.fc.weight.copy_(a.ese.fc.weight[index][:, index])
        b.ese.fc.bias.copy_(a.ese.fc.bias[index])
    want = torch.cat([a(x).chunk(3, 1)[i] for i in order], 1)
    assert torch.allclose(b([x[i] for i in order]), want, atol=1e-6)


@pytest.mark.parametrize(
    ("ch", "ck", "width", "projected"),
    [([256, 1024], None, 1024, [0]), ([256, 256], None, 256, []), ([8, 16, 24], 16, 16, [0, 2])],
)
def test_only_other_widths_are_projected(ch, ck, width, projected):
    model = CAGFM(ch, ck)
    assert model.ck == width
    assert [i for i, m in enumerate(model.align) if not isinstance(m, nn.Identity)] == projected
    assert model.ese.fc.in_channels == width * len(ch)


@pytest.mark.parametrize(
    ("args", "ctor", "c2"), [([], [[8, 16], 16], 32), ([32], [[8, 16], 16], 32), ([64], [[8, 16], 32], 64)]
)
def test_channels_in_a_yaml_row(args, ctor, c2):
    assert _rule(Row("CAGFM", [8, 16], 1, args, width=0.5)) == (ctor, c2)


def test_wrong_inputs_are_named():
    with pytest.raises(ConfigError, match="two or more"):
        CAGFM([8])
    with pytest.raises(ConfigError, match=r"5x7, 4x7.*multiple of 32"):
        CAGFM([8, 8])([torch.randn(1, 8, 5, 7), torch.randn(1, 8, 4, 7)])
