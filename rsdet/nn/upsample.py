"""Enlarging images: bicubic interpolation as a network without weights, and sub-pixel convolution.

:class:`Bicubic` is the control that every super-resolution network has to beat. It computes what papers call bicubic,
MATLAB's ``imresize(x, s)``: the cubic kernel of Keys with a = -0.5 and a symmetric border. ``F.interpolate`` uses
a = -0.75 and repeats the border, which gives other numbers.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.constants import constant
from rsdet.nn.networks import network
from rsdet.nn.precision import full_precision
from rsdet.nn.restoration import RestorationNetwork

__all__ = ["Bicubic", "PixelShuffleUp", "bicubic", "check_upscale"]

REACH = 2  # input pixels to each side of the nearest one that a cubic kernel can touch when it enlarges


def check_upscale(upscale: object, allowed: tuple[int, ...], who: str) -> int:
    """Return the factor, or refuse one that a network does not have.

    Raises:
        ConfigError: The factor is not among ``allowed``.
    """
    if isinstance(upscale, bool) or upscale not in allowed:
        raise ConfigError(f"upscale={upscale!r}: {who} enlarges by {', '.join(map(str, allowed))}; choose one of them.")
    return int(upscale)


def bicubic(x: torch.Tensor, upscale: int) -> torch.Tensor:
    """Enlarge by an integer factor as MATLAB's ``imresize`` does. Values may leave the range of the input slightly.

    Args:
        x: (B, C, H, W) with H and W of at least 2.
        upscale: s, 2 or more.

    Returns:
        (B, C, s * H, s * W), same dtype.
    """
    c, h, w = (int(n) for n in x.shape[1:])
    # Each of the s^2 places that a pixel becomes has fixed weights: a convolution with s^2 outputs does it all.
    # Not under autocast: bfloat16 has fewer digits than the image.
    with full_precision(x.device):
        kernel = constant(("bicubic", upscale), lambda: _phases(upscale), x.dtype, x.device)
        for axis in (-1, -2):
            first, last = x.narrow(axis, 0, REACH), x.narrow(axis, int(x.shape[axis]) - REACH, REACH)
            x = torch.cat((first.flip(axis), x, last.flip(axis)), axis)
        x = F.conv2d(x.reshape(-1, 1, h + 2 * REACH, w + 2 * REACH), kernel)
        return F.pixel_shuffle(x, upscale).reshape(-1, c, upscale * h, upscale * w)


def _phases(upscale: int) -> np.ndarray:
    """Kernels (s^2, 1, 5, 5) of the s^2 places."""
    centre = (np.arange(upscale) + 0.5) / upscale - 0.5
    t = np.abs(centre[:, None] - np.arange(-REACH, REACH + 1)[None])
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    taps = np.where(t <= 1, near, np.where(t <= 2, far, 0.0))
    taps /= taps.sum(1, keepdims=True)
    size = 2 * REACH + 1
    return (taps[:, None, :, None] * taps[None, :, None, :]).reshape(upscale**2, 1, size, size)


@network("Bicubic")
class Bicubic(RestorationNetwork):
    """Bicubic interpolation under the interface of a network; it has nothing to learn.

    Args:
        upscale: Output pixels per input pixel along each axis, 2 to 8.
        channels: Channels of the image, any number.
    """

    local = True

    def __init__(self, upscale: int = 2, channels: int = 3):
        super().__init__()
        self.scale = check_upscale(upscale, tuple(range(2, 9)), "bicubic interpolation")
        self.channels = channels

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, sH, sW)."""
        return bicubic(x, self.scale)


class PixelShuffleUp(nn.Sequential):
    """Sub-pixel convolution (arXiv 1609.05158): convolutions that make s^2 as many channels, rearranged into pixels.

    Factors 4 and 8 take one step of 2 after another, as in EDSR.

    Args:
        c: Channels of input and output.
        upscale: s: 2, 3, 4 or 8.
    """

    def __init__(self, c: int, upscale: int):
        steps = [3] if upscale == 3 else [2] * round(math.log2(upscale))
        layers: list[nn.Module] = []
        for s in steps:
            layers += [nn.Conv2d(c, c * s * s, 3, padding=1), nn.PixelShuffle(s)]
        super().__init__(*layers)
