"""The Haar transform against PyWavelets, its inverse, and the layer that downsamples by it."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.nn.wavelet import HaarDWT, HaarIDWT, haar_dwt, haar_idwt


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


@settings(deadline=None, max_examples=40)
@given(h=st.integers(1, 40), w=st.integers(1, 40), seed=st.integers(0, 2**16))
def test_bands_are_those_of_pywavelets_at_any_size(h, w, seed):
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, 3, h, w)))
    # PyWavelets repeats the last sample of an odd length in this mode.
    ca, (ch, cv, cd) = pywt.dwt2(x.numpy(), "haar", mode="symmetric")
    for got, got32, want in zip(haar_dwt(x), haar_dwt(x.float()), (ca, ch, cv, cd), strict=True):
        assert got.shape == want.shape
        assert np.abs(got.numpy() - want).max() < 1e-12
        assert np.abs(got32.numpy() - want).max() < 1e-6


@settings(deadline=None, max_examples=40)
@given(h=st.integers(1, 40), w=st.integers(1, 40), seed=st.integers(0, 2**16))
def test_the_inverse_gives_the_map_back(h, w, seed):
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((1, 2, h, w))).float()
    y = haar_idwt(*haar_dwt(x))
    assert y.shape[-2:] == (h + h % 2, w + w % 2)
    assert (y[..., :h, :w] - x).abs().max() < 4e-6  # eight roundings of numbers of up to 5


def test_the_inverse_is_that_of_pywavelets():
    bands = [torch.randn(2, 3, 5, 7, dtype=torch.float64) for _ in range(4)]
    ca, *details = (b.numpy() for b in bands)
    assert np.abs(haar_idwt(*bands).numpy() - pywt.idwt2((ca, tuple(details)), "haar")).max() < 1e-12


def test_energy_is_kept_and_a_constant_is_all_in_ll():
    x = torch.randn(2, 3, 16, 18, dtype=torch.float64)
    assert sum(b.square().sum() for b in haar_dwt(x)) == pytest.approx(float(x.square().sum()), rel=1e-12)
    ll, *details = haar_dwt(torch.full((1, 1, 6, 6), 0.25))
    assert torch.equal(ll, torch.full_like(ll, 0.5))
    assert all(d.abs().max() == 0 for d in details)


def test_gradients_are_those_of_an_orthonormal_transform():
    x = torch.randn(1, 2, 6, 8, dtype=torch.float64, requires_grad=True)
    g = [torch.randn(1, 2, 3, 4, dtype=torch.float64) for _ in range(4)]
    torch.autograd.backward(haar_dwt(x), g)
    assert torch.allclose(x.grad, haar_idwt(*g))  # the transpose is the inverse
    assert torch.autograd.gradcheck(lambda *b: haar_idwt(*b), [b.requires_grad_() for b in g])


def test_the_layers_lay_bands_side_by_side():
    x = torch.randn(2, 3, 8, 10)
    y = HaarDWT()(x)
    assert all(torch.equal(a, b) for a, b in zip(y.chunk(4, 1), haar_dwt(x), strict=True))
    assert torch.allclose(HaarIDWT()(y), x, atol=1e-6)


def test_non_contiguous_maps_are_taken():
    x = torch.randn(2, 10, 8, 3).permute(0, 3, 2, 1)
    for got, want in zip(haar_dwt(x), haar_dwt(x.contiguous()), strict=True):
        assert torch.equal(got, want)
