"""Ways to halve a feature map, as compared in table 9 of the VMC-DETR paper.

Every layer is called ``cls(c1, c2)`` and maps (B, c1, H, W) to (B, c2, about H/2, about W/2). ADown, of YOLOv9, and the
stride-2 convolution are stock Ultralytics layers; the two without a strided convolution are here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import ADown, Conv

from rsdet.errors import ConfigError, nearest
from rsdet.registry import register

__all__ = ["DOWNSAMPLERS", "AvgPoolDown", "InterpDown", "make_downsampler"]


@register("AvgPoolDown", like="Conv")
class AvgPoolDown(nn.Module):
    """2x2 average pooling, then a 1x1 convolution. An odd last row or column is averaged on its own.

    Args:
        c1: Input channels.
        c2: Output channels.
    """

    def __init__(self, c1: int, c2: int):
        super().__init__()
        self.pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        self.cv = Conv(c1, c2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, ceil(H/2), ceil(W/2))."""
        return self.cv(self.pool(x))


@register("InterpDown", like="Conv")
class InterpDown(nn.Module):
    """Bilinear interpolation to half size, then a 1x1 convolution.

    At exactly half size that is the mean of 2x2 cells, so it differs from :class:`AvgPoolDown` at odd sizes only.

    Args:
        c1: Input channels.
        c2: Output channels.
    """

    def __init__(self, c1: int, c2: int):
        super().__init__()
        self.cv = Conv(c1, c2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, H//2, W//2); H and W at least 2."""
        return self.cv(F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False))


DOWNSAMPLERS: dict[str, Callable[[int, int], nn.Module]] = {
    "ADown": ADown,
    "conv": lambda c1, c2: Conv(c1, c2, 3, 2),
    "avgpool": AvgPoolDown,
    "interp": InterpDown,
}


def make_downsampler(name: str, c1: int, c2: int) -> nn.Module:
    """Build the layer called ``name`` in :data:`DOWNSAMPLERS`.

    Args:
        name: ``"ADown"``, ``"conv"``, ``"avgpool"`` or ``"interp"``.
        c1: Input channels.
        c2: Output channels.

    Raises:
        ConfigError: There is no such name, or ADown is asked to split an odd number of channels.
    """
    if name not in DOWNSAMPLERS:
        raise ConfigError(
            f"down={name!r} received; must be one of {', '.join(DOWNSAMPLERS)}.{nearest(name, DOWNSAMPLERS)}"
        )
    if name == "ADown" and (c1 % 2 or c2 % 2):
        raise ConfigError(f"ADown received {c1} -> {c2} channels; both must be even; use another width or down=conv.")
    return DOWNSAMPLERS[name](c1, c2)
