"""Attention in the Fourier domain: FAM, by FFT and by exact matrix products (DWTMA-Net, equation 10).

The paper names a Frequency Attention Module and does not draw it. Here it is two 1x1 convolutions with a ReLU between
them on the spectrum, real and imaginary parts side by side, which fits the published number of parameters and of
operations: a convolution over the whole picture whose kernel depends on what is in it.

Neither ONNX before opset 20 nor TensorRT knows the FFT, so a traced graph holds products with constant matrices
instead. With ``C[j, k] = cos(2 pi j k / n) / sqrt(n)``, S likewise of the sine, M = W // 2 + 1::

    A = x C_W[:, :M]     B = -x S_W[:, :M]     Re = C_H A + S_H B      Im = C_H B - S_H A
    P = C_H Re - S_H Im  Q = C_H Im + S_H Re   x = (w P) C_W[:M] - (w Q) S_W[:M]

with w = 1 in column 0 and, for even W, in column W / 2, and w = 2 in all others, which rfft's missing columns mirror.
This is the FFT exactly, also of spectra that belong to no real map, and it costs O(H + W) per pixel and channel: at 256
px one FAM of 48 channels is 4.9 GMAC, and a graph is bound to the size that it was traced at.

The matrices are no buffers: checkpoints are stored in half precision, which would spoil them for good.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.constants import constant
from rsdet.nn.precision import full_precision

__all__ = ["FAM", "dft_matrices", "irfft2_matrix", "rfft2_matrix"]

FORMS = ("auto", "fft", "matrix")


def dft_matrices(
    h: int, w: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The four constant matrices of the orthonormal transform of (h, w) maps, built in float64 and rounded once.

    Returns:
        Columns forward (w, 2 M), rows forward (2 h, 2 h), rows back (2 h, 2 h), columns back (2 M, w), M = w // 2 + 1.
    """
    m = w // 2 + 1

    def waves(n: int) -> tuple[np.ndarray, np.ndarray]:
        j = np.arange(n)
        phase = 2 * np.pi * (j[:, None] * j[None] % n) / n  # reduced in integers: cos loses digits at large arguments
        return np.cos(phase) / np.sqrt(n), np.sin(phase) / np.sqrt(n)

    def columns() -> np.ndarray:
        c, s = waves(w)
        return np.concatenate([c[:, :m], -s[:, :m]], 1)

    def rows() -> np.ndarray:
        c, s = waves(h)
        return np.block([[c, s], [-s, c]])

    def columns_back() -> np.ndarray:
        c, s = waves(w)
        twice = np.full((m, 1), 2.0)
        twice[0] = 1
        if w % 2 == 0:
            twice[-1] = 1
        return np.concatenate([twice * c[:m], -twice * s[:m]])

    return (
        constant(("dft columns", w), columns, dtype, device),
        constant(("dft rows", h), rows, dtype, device),
        constant(("dft rows back", h), lambda: rows().T, dtype, device),
        constant(("dft columns back", w), columns_back, dtype, device),
    )


def rfft2_matrix(x: torch.Tensor) -> torch.Tensor:
    """``torch.fft.rfft2(x, norm="ortho")`` by matrix products.

    Args:
        x: Real maps (B, C, H, W).

    Returns:
        (B, 2 C, H, W // 2 + 1): real parts of all channels, then imaginary parts.
    """
    h, w = int(x.shape[-2]), int(x.shape[-1])
    columns, rows, _, _ = dft_matrices(h, w, x.dtype, x.device)
    # Real above imaginary, so that one product does all rows; after it, halves of the height become channels.
    spectrum = torch.matmul(rows, torch.cat((x @ columns).chunk(2, -1), -2))
    return torch.cat(spectrum.chunk(2, -2), 1)


def irfft2_matrix(spectrum: torch.Tensor, w: int) -> torch.Tensor:
    """``torch.fft.irfft2`` by matrix products, the inverse of :func:`rfft2_matrix`.

    Args:
        spectrum: (B, 2 C, H, W // 2 + 1), real parts of all channels, then imaginary parts.
        w: W, which the spectrum alone does not tell.

    Returns:
        Real maps (B, C, H, W).
    """
    h = int(spectrum.shape[-2])
    _, _, rows_back, columns_back = dft_matrices(h, w, spectrum.dtype, spectrum.device)
    y = torch.matmul(rows_back, torch.cat(spectrum.chunk(2, 1), -2))
    return torch.cat(y.chunk(2, -2), -1) @ columns_back


class FAM(nn.Module):
    """Frequency attention: a small network on the spectrum (DWTMA-Net equation 10, without its sigmoid).

    ``rfft2``; 1x1 convolution of real and imaginary parts, 2 C to C / 4 channels; ReLU; 1x1 back; ``irfft2``.
    All of it is in float32 (float64 for float64 input), also under autocast and in half precision: cuFFT takes half for
    powers of two only, and the first coefficient is the mean times sqrt(HW).

    Args:
        c: Channels of input and output.
        form: ``fft``, ``matrix`` (the same by matrix products) or ``auto``: products where a graph is being traced,
            whose size they fix, FFT elsewhere.

    Raises:
        ConfigError: An unknown form.
    """

    def __init__(self, c: int, form: str = "auto"):
        super().__init__()
        if form not in FORMS:
            raise ConfigError(f"form of FAM must be one of {list(FORMS)}, received {form!r}.")
        self.form = form
        self.reduce = nn.Conv2d(2 * c, max(c // 4, 1), 1)
        self.expand = nn.Conv2d(max(c // 4, 1), 2 * c, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W), dtype of ``z``."""
        with full_precision(z.device):
            x = z.to(torch.promote_types(z.dtype, torch.float32))
            return (self._by_matrices(x) if self._is_matrix() else self._by_fft(x)).to(z.dtype)

    def _is_matrix(self) -> bool:
        exporting = getattr(torch.compiler, "is_exporting", bool)  # PyTorch 2.7 and later
        traced = torch.jit.is_tracing() or torch.onnx.is_in_onnx_export() or exporting()
        return self.form == "matrix" or (self.form == "auto" and traced)

    def _by_fft(self, x: torch.Tensor) -> torch.Tensor:
        # Views and stacks in the place of .real, .imag and complex(), whose gradients make complex maps half of zeros.
        s = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))
        s = torch.stack(self._mix(torch.cat(s.unbind(-1), 1)).chunk(2, 1), -1)
        return torch.fft.irfft2(torch.view_as_complex(s), s=x.shape[-2:], norm="ortho")

    def _by_matrices(self, x: torch.Tensor) -> torch.Tensor:
        return irfft2_matrix(self._mix(rfft2_matrix(x)), int(x.shape[-1]))

    def _mix(self, s: torch.Tensor) -> torch.Tensor:
        return _conv1(self.expand, F.relu(_conv1(self.reduce, s)))


def _conv1(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    if layer.weight.dtype == x.dtype:
        return layer(x)  # called, so that what counts work or watches ranges sees it
    return F.conv2d(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))
