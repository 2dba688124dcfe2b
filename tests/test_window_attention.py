"""Window attention and OCAB against attention written out pixel by pixel in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsdet.errors import ConfigError
from rsdet.nn import constants
from rsdet.nn.hat import CAB, HAB, RHAG, DropPath
from rsdet.nn.window_attention import FORBIDDEN, OCAB, WindowAttention, from_windows, relative_index, to_windows


@pytest.fixture(autouse=True)
def _quiet():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """softmax(q k^T / sqrt(d) + bias) v for one head and one query: q (d,), k and v (n, d), bias (n,)."""
    s = k @ q / np.sqrt(len(q)) + bias
    e = np.exp(s - s.max())
    return e @ v / e.sum()


def wide(layer: torch.nn.Module) -> torch.nn.Module:
    """A layer in float64 with weights large enough that scores differ."""
    with torch.no_grad():
        for p in layer.parameters():
            p.normal_(0, 0.5)
    return layer.double().eval()


def naive_window_attention(layer: WindowAttention, x: np.ndarray) -> np.ndarray:
    """(H, W, C): every pixel attends to the pixels of its own window, on a grid moved by the shift, no wrap-around."""
    (h, w, c), m, heads, s = x.shape, layer.window, layer.heads, layer.shift
    qkv = x @ layer.qkv.weight.detach().numpy().T + layer.qkv.bias.detach().numpy()
    table, y = layer.bias_table.detach().numpy(), np.zeros_like(x)
    d = c // heads
    # Windows start at s - m, s, s + m, ...: those at the edges are smaller.
    window_of = lambda i, j: ((i - s) // m, (j - s) // m)  # noqa: E731
    cells = [(i, j) for i in range(h) for j in range(w)]
    for i, j in cells:
        mates = [(a, b) for a, b in cells if window_of(a, b) == window_of(i, j)]
        for head in range(heads):
            part = slice(head * d, head * d + d)
            q, k, v = qkv[..., :c][..., part], qkv[..., c : 2 * c][..., part], qkv[..., 2 * c :][..., part]
            bias = np.array([table[(i - a + m - 1) * (2 * m - 1) + j - b + m - 1, head] for a, b in mates])
            y[i, j, part] = attend(q[i, j], np.stack([k[p] for p in mates]), np.stack([v[p] for p in mates]), bias)
    return y @ layer.proj.weight.detach().numpy().T + layer.proj.bias.detach().numpy()


@pytest.mark.parametrize("size", [(4, 4), (8, 4), (8, 12)])
@pytest.mark.parametrize("shift", [0, 2, 1])
def test_window_attention_equals_pixel_by_pixel(size, shift):
    layer = wide(WindowAttention(6, 4, 2, shift))
    x = torch.randn(1, *size, 6, dtype=torch.float64)
    got = layer(x)[0].detach().numpy()
    # The mask adds -100 instead of leaving a pixel out: e^-100 is all that may be left of it.
    assert np.abs(got - naive_window_attention(layer, x[0].numpy())).max() < 1e-9


def test_a_shifted_window_sees_nothing_across_the_border():
    layer = wide(WindowAttention(6, 4, 2, 2))
    x = torch.randn(1, 8, 8, 6, dtype=torch.float64, requires_grad=True)
    layer(x)[0, 0, 0].sum().backward()
    seen = x.grad[0].abs().sum(-1) > 1e-12
    assert seen[:2, :2].all()
    assert seen.sum() == 4  # the corner window of the shifted grid, and not what was rolled next to it


def naive_ocab_attention(layer: OCAB, n: np.ndarray) -> np.ndarray:
    """Attention part of OCAB on normed maps (H, W, C)."""
    (h, w, c), m, heads, reach = n.shape, layer.window, layer.heads, layer.reach
    qkv = n @ layer.qkv.weight.detach().numpy().T + layer.qkv.bias.detach().numpy()
    table, y, d, side = layer.bias_table.detach().numpy(), np.zeros_like(n), c // heads, m + 2 * reach
    padded = np.pad(qkv, ((reach, reach), (reach, reach), (0, 0)))
    for i in range(h):
        for j in range(w):
            top, left = i // m * m, j // m * m
            block = padded[top : top + side, left : left + side].reshape(-1, 3 * c)
            a, b = np.divmod(np.arange(side * side), side)
            index = (i - top - a + side - 1) * (m + side - 1) + j - left - b + side - 1
            for head in range(heads):
                part = slice(head * d, head * d + d)
                q, k, v = qkv[i, j, part], block[:, c + head * d :][:, :d], block[:, 2 * c + head * d :][:, :d]
                y[i, j, part] = attend(q, k, v, table[index, head])
    return y @ layer.proj.weight.detach().numpy().T + layer.proj.bias.detach().numpy()


@pytest.mark.parametrize("size", [(4, 4), (8, 12)])
def test_ocab_equals_pixel_by_pixel(size):
    layer = wide(OCAB(6, 4, 2))
    x = torch.randn(1, *size, 6, dtype=torch.float64)
    with torch.no_grad():
        mid = x + torch.from_numpy(naive_ocab_attention(layer, layer.norm1(x)[0].numpy()))
        want = mid + layer.mlp(layer.norm2(mid))
        assert (layer(x) - want).abs().max() < 1e-10


@pytest.mark.parametrize(("query", "key"), [(4, 4), (4, 6), (16, 24)])
def test_every_relative_position_has_its_own_entry(query, key):
    index = relative_index(query, key).reshape(query, query, key, key).numpy()
    i, j, a, b = np.indices(index.shape)
    flat = ((i - a) * 10_000 + (j - b)).ravel()
    pairs = len(np.unique(np.stack([flat, index.ravel()]), axis=1).T)
    assert pairs == len(np.unique(flat)) == len(np.unique(index)) == (query + key - 1) ** 2
    assert index.min() == 0
    assert index.max() == (query + key - 1) ** 2 - 1


def test_windows_there_and_back():
    x = torch.randn(2, 8, 12, 5)
    windows = to_windows(x, 4)
    assert windows.shape == (2, 2, 3, 16, 5)
    assert torch.equal(windows[1, 1, 2].reshape(4, 4, 5), x[1, 4:8, 8:12])
    assert torch.equal(from_windows(windows, 4), x)


def test_tables_stay_few_whatever_sizes_come_in():
    layer = OCAB(4, 4, 2).eval()
    for n in range(1, 3 * constants.LIMIT, 4):
        layer(torch.zeros(1, 4, 4 * n, 4))
    assert len(constants._kept) <= constants.LIMIT
    assert sum(t.numel() for t in constants._kept.values()) < 4e6


def test_tables_made_in_inference_mode_still_train_and_are_not_stored():
    layer = WindowAttention(6, 3, 2, 1)
    with torch.inference_mode():
        layer(torch.randn(1, 3, 3, 6))
    layer(torch.randn(1, 3, 3, 6)).sum().backward()
    assert layer.bias_table.grad.abs().max() > 0
    assert set(layer.state_dict()) == {"bias_table", "qkv.weight", "qkv.bias", "proj.weight", "proj.bias"}
    assert torch.tensor(FORBIDDEN).half().isfinite()


def test_cab_equals_its_formula():
    layer = CAB(6).eval()
    x = torch.randn(2, 5, 7, 6)
    y = layer.body(x.permute(0, 3, 1, 2))
    want = y * layer.gain(y.mean((2, 3), keepdim=True))
    assert torch.allclose(layer(x), want.permute(0, 2, 3, 1), atol=1e-6)


def test_blocks_of_zeroed_branches_are_identities():
    x = torch.randn(1, 8, 8, 6)
    block = HAB(6, 4, 2, 2)
    for layer in (block.attn.proj, block.cab.body[2], block.mlp[2]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    assert torch.equal(block(x), x)
    group = RHAG(6, 4, 2, [0.0, 0.0])
    torch.nn.init.zeros_(group.conv.weight)
    torch.nn.init.zeros_(group.conv.bias)
    assert torch.equal(group(x), x)
    assert [b.attn.shift for b in group.blocks[:2]] == [0, 2]


def test_drop_path_keeps_the_mean_and_only_drops_in_training():
    drop, x = DropPath(0.25), torch.ones(4000, 1, 1, 2)
    y = drop(x)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (y[:, 0, 0, 0] == y[:, 0, 0, 1]).all()  # an image is dropped as a whole
    assert y.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(x), x)


@pytest.mark.parametrize("make", [lambda: WindowAttention(7, 4, 2), lambda: OCAB(7, 4, 2), lambda: OCAB(8, 6, 2)])
def test_sizes_that_do_not_fit_are_refused(make):
    with pytest.raises(ConfigError, match=r"must be|window"):
        make()
