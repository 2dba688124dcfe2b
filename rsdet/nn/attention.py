"""The attentions that the SAR ship paper compares shuffle attention with (its tables 6 and 7), as rows of model YAMLs.

SE, CBAM, ECA and coordinate attention are timm's, imported when one is built (the extra ``attention``). SimAM
has no parameters and is in no library that we know, so it is here.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from rsdet.errors import MissingDependencyError, install
from rsdet.registry import register


def _timm(module: str, name: str, *args: Any, **kwargs: Any) -> nn.Module:
    try:
        layers = importlib.import_module(f"timm.layers.{module}")
    except ModuleNotFoundError as e:
        raise MissingDependencyError(
            f"this attention is a layer of timm, which is not installed; {install('attention')}, or use "
            "ShuffleAttention or SimAM."
        ) from e
    return getattr(layers, name)(*args, **kwargs)


class _FromTimm(nn.Module):
    """A layer of timm under a name of ours; what it computes is timm's."""

    inner: nn.Module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale (B, C, H, W)."""
        return self.inner(x)


@register("SE", like="same")
class SE(_FromTimm):
    """Squeeze and excitation (Hu et al., CVPR 2018).

    Args:
        c1: Channels of the map.
        ratio: Width of the bottleneck relative to the channels.

    Shapes:
        (B, C, H, W) to (B, C, H, W).
    """

    def __init__(self, c1: int, ratio: float = 1 / 16):
        super().__init__()
        self.inner = _timm("squeeze_excite", "SEModule", c1, rd_ratio=ratio)


@register("CBAM", like="same")
class CBAM(_FromTimm):
    """Convolutional block attention: channels, then places (Woo et al., ECCV 2018).

    Args:
        c1: Channels of the map.
        ratio: Width of the bottleneck relative to the channels.
        kernel: Side of the spatial kernel in pixels, odd.

    Shapes:
        (B, C, H, W) to (B, C, H, W).
    """

    def __init__(self, c1: int, ratio: float = 1 / 16, kernel: int = 7):
        super().__init__()
        self.inner = _timm("cbam", "CbamModule", c1, rd_ratio=ratio, spatial_kernel_size=kernel)


@register("ECA", like="same")
class ECA(_FromTimm):
    """Efficient channel attention (Wang et al., CVPR 2020); the kernel follows from the channels.

    Args:
        c1: Channels of the map.

    Shapes:
        (B, C, H, W) to (B, C, H, W).
    """

    def __init__(self, c1: int):
        super().__init__()
        self.inner = _timm("eca", "EcaModule", c1)


@register("CoordAttention", like="same")
class CoordAttention(_FromTimm):
    """Coordinate attention: one gate along each axis (Hou et al., CVPR 2021).

    Args:
        c1: Channels of the map.
        ratio: Width of the bottleneck relative to the channels; timm takes two thirds of it, rounded to eights.

    Shapes:
        (B, C, H, W) to (B, C, H, W).
    """

    def __init__(self, c1: int, ratio: float = 1 / 16):
        super().__init__()
        self.inner = _timm("coord_attn", "CoordAttn", c1, rd_ratio=ratio)


@register("SimAM", like="same")
class SimAM(nn.Module):
    """Parameter-free attention by the energy of each value (Yang et al., ICML 2021, equation 5 and its sigmoid).

    Args:
        c1: Channels of the map; not needed, taken for likeness.
        lam: The lambda of the paper, added to the variance.

    Shapes:
        (B, C, H, W) to (B, C, H, W).
    """

    def __init__(self, c1: int, lam: float = 1e-4):
        super().__init__()
        self.lam = lam

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale (B, C, H, W)."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # squares of half precision overflow
        n = x.shape[2] * x.shape[3] - 1
        n = n if torch.jit.is_tracing() else max(n, 1)  # max() would make a number of it in a graph of free size
        squared = (wide - wide.mean((2, 3), keepdim=True)).square()
        inverse_energy = squared / (4 * (squared.sum((2, 3), keepdim=True) / n + self.lam)) + 0.5
        return x * torch.sigmoid(inverse_energy).to(x.dtype)
