"""The forward model as PyTorch sees it, and what a low-resolution picture tells of its own noise.

Equal to :func:`rsdet.data.degrade.blind.blur_decimate`, differentiable in picture and kernel.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

_BLOCK_PX = 8
_QUIETEST = 0.1  # share of the blocks that is taken for smooth ground


def blur_decimate(x: torch.Tensor, kernel: torch.Tensor, scale: int, pad: str = "circular") -> torch.Tensor:
    """Correlate with a kernel that all channels share and keep every s-th pixel, starting with the first.

    Args:
        x: (1, C, s * h, s * w).
        kernel: (K, K), K odd.
        scale: Decimation s.
        pad: ``circular`` or ``replicate``.

    Returns:
        (1, C, h, w).
    """
    r = kernel.shape[0] // 2
    planes = F.pad(x.transpose(0, 1), (r, r, r, r), mode=pad)  # channels as a batch: one kernel for all
    return F.conv2d(planes, kernel[None, None], stride=scale).transpose(0, 1)[..., : x.shape[2] // scale, :]


def noise_sigma(lr: np.ndarray) -> float:
    """Standard deviation of the noise of a picture, from the quietest tenth of its blocks.

    The picture is filtered by the difference of two Laplacians, which answers to noise and hardly to slopes and smooth
    curves. Texture answers too; the median over the whole picture, the usual choice, would take it for noise and end
    a fit long before it is done. On gray Mars and aerial pictures, blurred and decimated as in the paper, noise of 0.01
    was rated 0.008 to 0.010 at x2 and 0.008 to 0.013 at x4; none at all, up to 0.004 and 0.010: texture everywhere.

    Source: Immerkaer, Fast Noise Variance Estimation, CVIU 64(2), 1996, here by blocks.

    Args:
        lr: (h, w, C) in [0, 1], at least 3 px each way.

    Returns:
        Standard deviation, full scale being 1; the mean over channels.
    """
    x = np.asarray(lr, np.float64)
    second = x[2:] - 2 * x[1:-1] + x[:-2]
    answer = second[:, 2:] - 2 * second[:, 1:-1] + second[:, :-2]  # white noise of sigma answers with 6 sigma
    block = min(_BLOCK_PX, *answer.shape[:2])
    h, w = (n // block for n in answer.shape[:2])
    blocks = answer[: h * block, : w * block].reshape(h, block, w, block, -1)
    rms = np.sqrt((blocks**2).mean((1, 3))).reshape(h * w, -1)
    return float(np.quantile(rms, _QUIETEST, axis=0).mean()) / 6


def ssim_distance(a: torch.Tensor, b: torch.Tensor, window: int = 11, sigma: float = 1.5) -> torch.Tensor:
    """1 - SSIM of two pictures (1, C, h, w) in [0, 1], Gaussian window, only where it fits; differentiable.

    Source: Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, TIP 13(4), 2004.
    """
    window = min(window, (min(a.shape[-2:]) - 1) // 2 * 2 + 1)
    at = torch.arange(window, dtype=a.dtype, device=a.device) - window // 2
    g = torch.exp(-(at**2) / (2 * sigma**2))
    g = (g / g.sum())[None, None, None]

    def mean(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.conv2d(x.transpose(0, 1), g), g.transpose(-1, -2))

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    return 1 - ssim.mean()


def gradient_prior(x: torch.Tensor, power: float = 0.67) -> torch.Tensor:
    """Hyper-Laplacian prior: mean of |difference of neighbours| ** power along both axes.

    Source: Krishnan and Fergus, Fast Image Deconvolution Using Hyper-Laplacian Priors, NIPS 2009.
    """
    total = x.new_zeros(())
    for axis in (-1, -2):
        # The slope of |d|^0.67 is infinite at zero; flat areas must not give NaN.
        total = total + (x.diff(dim=axis).abs() + 1e-6).pow(power).mean()
    return total
