"""Window attention, OCAB and HAT's blocks beside their equations (tests/nn): seams, tables, stochastic depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references.agree import lively

from rsdet.errors import ConfigError
from rsdet.nn import constants
from rsdet.nn.hat import HAB, RHAG, DropPath
from rsdet.nn.window_attention import FORBIDDEN, OCAB, WindowAttention, from_windows, relative_index, to_windows


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def test_a_shifted_window_sees_nothing_across_the_border():
    layer = lively(WindowAttention(6, 4, 2, 2))
    x = torch.randn(1, 8, 8, 6, dtype=torch.float64, requires_grad=True)
    layer(x)[0, 0, 0].sum().backward()
    seen = x.grad[0].abs().sum(-1) > 1e-12
    assert seen[:2, :2].all()
    assert seen.sum() == 4  # the corner window of the shifted grid, and not what was rolled next to it


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
