"""Frequency attention: FFT and matrix products are one function, in every precision, and none of it is stored."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch

from rsdet.errors import ConfigError
from rsdet.nn.fourier import FAM, dft_matrices, irfft2_matrix, rfft2_matrix

SIZES = [(16, 16), (17, 23), (24, 15), (1, 1), (2, 3), (64, 40)]


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def twins(c: int = 8) -> tuple[FAM, FAM]:
    a, b = FAM(c, "fft").eval(), FAM(c, "matrix").eval()
    b.load_state_dict(a.state_dict())
    return a, b


@pytest.mark.parametrize("size", SIZES)
def test_matrices_transform_as_numpy_does(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    z = np.fft.rfft2(x.numpy(), norm="ortho")
    want = np.concatenate([z.real, z.imag], 1)
    assert np.abs(rfft2_matrix(x).numpy() - want).max() < 1e-12
    assert np.abs(rfft2_matrix(x.float()).numpy() - want).max() < 2e-6
    assert (irfft2_matrix(rfft2_matrix(x), size[1]) - x).abs().max() < 1e-12


@pytest.mark.parametrize("size", SIZES)
def test_spectra_of_no_real_map_come_back_as_torch_brings_them(size):
    h, w = size
    s = torch.randn(2, 6, h, w // 2 + 1, dtype=torch.float64)
    want = torch.fft.irfft2(torch.complex(*s.chunk(2, 1)), s=size, norm="ortho")
    assert (irfft2_matrix(s, w) - want).abs().max() < 1e-12
    assert (irfft2_matrix(s.float(), w) - want).abs().max() < 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_both_forms_are_one_function(size):
    a, b = twins()
    x, y = (torch.randn(2, 8, *size, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2))
    u, v = a(x), b(y)
    assert (u - v).abs().max() < 1e-5 * max(1, v.abs().max().item())
    weight = torch.randn_like(u)
    (u * weight).sum().backward()
    (v * weight).sum().backward()
    assert (x.grad - y.grad).abs().max() < 1e-5 * max(1, y.grad.abs().max().item())
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, rtol=1e-4, atol=1e-4 * q.grad.abs().max().item())


@pytest.mark.parametrize("form", ["fft", "matrix"])
@pytest.mark.parametrize("size", [(16, 16), (17, 23)])  # half-precision FFTs exist for powers of two only
def test_half_precision_and_autocast_compute_in_float32(form, size):
    layer, x = FAM(8, form).eval(), torch.randn(1, 8, *size)
    half = copy.deepcopy(layer).half()
    want = copy.deepcopy(half).float()(x.half().float())
    y = half(x.half())
    assert y.dtype == torch.float16
    assert (y.float() - want).abs().max() <= 1e-3 * want.abs().max()  # one rounding of the result
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert torch.equal(y, layer(x))


def test_large_means_do_not_overflow_in_half():
    y = FAM(8).half().eval()(torch.full((1, 8, 512, 512), 300.0).half())  # its first coefficient is 153,600
    assert y.isfinite().all()


def test_matrices_are_stored_nowhere():
    layer = FAM(8, "matrix").eval()
    x = torch.randn(1, 8, 20, 22)
    want = layer(x)
    assert set(layer.state_dict()) == {"reduce.weight", "reduce.bias", "expand.weight", "expand.bias"}
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    assert buffer.tell() < 10_000  # 20 x 22 matrices are 14 kB
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x), want)
    # Stored in half and loaded again, the transform is as exact as before; only the learnt weights are rounded.
    again = copy.deepcopy(layer).half().float()
    exact = FAM(8, "fft").eval()
    exact.load_state_dict(again.state_dict())
    assert (again(x) - exact(x)).abs().max() < 1e-5 * want.abs().max()


def test_matrices_made_in_inference_mode_can_be_trained_with():
    layer = FAM(4, "matrix")
    with torch.inference_mode():
        layer(torch.randn(1, 4, 9, 31))
    layer(torch.randn(1, 4, 9, 31)).sum().backward()
    assert layer.reduce.weight.grad is not None


def test_matrices_are_orthonormal():
    columns, rows, rows_back, columns_back = dft_matrices(21, 18, torch.float64)
    assert torch.allclose(columns @ columns_back, torch.eye(18, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(rows @ rows_back, torch.eye(42, dtype=torch.float64), atol=1e-12)


def test_an_unknown_form_is_refused():
    with pytest.raises(ConfigError, match="must be one of"):
        FAM(4, "dct")
