"""The Haar wavelet transform of feature maps, its inverse, and a downsampling layer that reads its bands (DWTMA-Net).

For each channel and each 2 x 2 cell ``[[a, b], [c, d]]``::

    LL = (a + b + c + d) / 2     cH = (a + b - c - d) / 2
    cV = (a - b + c - d) / 2     cD = (a - b - c + d) / 2

in the order and with the signs of PyWavelets' ``dwt2(x, "haar")``: approximation, horizontal, vertical and diagonal
detail. The transform is orthonormal: it keeps the energy, and its inverse is its transpose. Papers name the details HL,
LH and HH, in either order.

It is computed as two steps of sums and differences, first of rows and then of columns, on views of the map: half as
many additions as the formulas, no convolution, nothing but reshapes and sums in an exported graph.
"""

from __future__ import annotations

import torch
from torch import nn

from rsdet.registry import register

__all__ = ["WDM", "HaarDWT", "HaarIDWT", "haar_dwt", "haar_idwt"]

Bands = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def haar_dwt(x: torch.Tensor) -> Bands:
    """One level of the transform.

    Args:
        x: Maps (B, C, H, W). The last row or column of an odd size is repeated once, as PyWavelets does.

    Returns:
        LL, cH, cV, cD, each (B, C, ceil(H / 2), ceil(W / 2)).
    """
    h, w = int(x.shape[-2]), int(x.shape[-1])
    if h % 2 or w % 2:
        x = nn.functional.pad(x, (0, w % 2, 0, h % 2), mode="replicate")
        h, w = h + h % 2, w + w % 2
    x = x * 0.5
    top, bottom = x.reshape(x.shape[0], x.shape[1], h // 2, 2, w // 2, 2).unbind(3)
    sum_left, sum_right = (top + bottom).unbind(-1)
    diff_left, diff_right = (top - bottom).unbind(-1)
    return sum_left + sum_right, diff_left + diff_right, sum_left - sum_right, diff_left - diff_right


def haar_idwt(ll: torch.Tensor, ch: torch.Tensor, cv: torch.Tensor, cd: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`haar_dwt`.

    Args:
        ll: (B, C, h, w).
        ch: Likewise, and so are the others.
        cv: Vertical details.
        cd: Diagonal details.

    Returns:
        Maps (B, C, 2 h, 2 w).
    """
    b, c, h, w = ll.shape
    sums, diffs = torch.stack((ll + cv, ll - cv), -1) * 0.5, torch.stack((ch + cd, ch - cd), -1) * 0.5
    return torch.stack((sums + diffs, sums - diffs), 3).reshape(b, c, 2 * h, 2 * w)


class HaarDWT(nn.Module):
    """:func:`haar_dwt` with the bands side by side: (B, C, H, W) to (B, 4 C, H / 2, W / 2), all LL first, then cH..."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform; odd sizes are rounded up."""
        return torch.cat(haar_dwt(x), 1)


class HaarIDWT(nn.Module):
    """The inverse of :class:`HaarDWT`: (B, 4 C, h, w) to (B, C, 2 h, 2 w)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform back."""
        return haar_idwt(*x.chunk(4, 1))


@register("WDM", like="Conv")
class WDM(nn.Module):
    """Wavelet downsampling module (DWTMA-Net section 3.1, equation 2): ``Conv(x) + Conv(DWT(x))``.

    A 3x3 convolution of stride 2, and a 3x3 convolution of the four bands of the Haar transform.

    Args:
        c1: Input channels.
        c2: Output channels.
        wavelet: Have the second branch; without it, this is the plain downsampling of the paper's ablation.
    """

    def __init__(self, c1: int, c2: int, wavelet: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, 3, 2, 1)
        self.bands = nn.Conv2d(4 * c1, c2, 3, padding=1) if wavelet else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, ceil(H / 2), ceil(W / 2))."""
        y = self.conv(x)
        return y if self.bands is None else y + self.bands(torch.cat(haar_dwt(x), 1))
