"""The ResNet-18 of RT-DETR: variant "d" with basic blocks.

Ultralytics' ResNetLayer knows bottleneck blocks only. Two things differ from the classic ResNet-18: the stem is three
3x3 convolutions instead of one 7x7, and a block that halves the map does so in its shortcut by average pooling before
the 1x1 convolution, which then sees every pixel.
"""

from __future__ import annotations

import torch
from torch import nn
from ultralytics.nn.modules import Conv

from rsdet.registry import register

__all__ = ["BasicBlock", "BasicLayer", "ConvStem"]


@register("ConvStem", like="Conv")
class ConvStem(nn.Module):
    """Three 3x3 convolutions (widths c2/2, c2/2, c2; the first has stride 2) and a 3x3 max-pooling of stride 2.

    Args:
        c1: Channels of the image.
        c2: Output channels.
    """

    def __init__(self, c1: int, c2: int):
        super().__init__()
        act, half = nn.ReLU(inplace=True), c2 // 2
        self.conv = nn.Sequential(
            Conv(c1, half, 3, 2, act=act), Conv(half, half, 3, 1, act=act), Conv(half, c2, 3, 1, act=act)
        )
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, H/4, W/4)."""
        return self.pool(self.conv(x))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, ReLU after the sum.

    Args:
        c1: Input channels.
        c2: Output channels.
        s: Stride, 1 or 2.
        project: Put a 1x1 convolution into the shortcut; always there when shape or stride change.
        d: Dilation of both convolutions.
    """

    def __init__(self, c1: int, c2: int, s: int = 1, project: bool = False, d: int = 1):
        super().__init__()
        self.cv1 = Conv(c1, c2, 3, s, d=d, act=nn.ReLU(inplace=True))
        self.cv2 = Conv(c2, c2, 3, 1, d=d, act=False)
        self.act = nn.ReLU(inplace=True)
        self.shortcut = nn.Identity()
        if project or s != 1 or c1 != c2:
            # Ceiling, as the convolution of the main path rounds an odd size up.
            pool = nn.AvgPool2d(s, ceil_mode=True, count_include_pad=False) if s > 1 else nn.Identity()
            self.shortcut = nn.Sequential(pool, Conv(c1, c2, 1, act=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, ceil(H/s), ceil(W/s))."""
        return self.act(self.cv2(self.cv1(x)) + self.shortcut(x))


@register("BasicLayer", like="C2f")
class BasicLayer(nn.Sequential):
    """One stage: ``n`` basic blocks, the first with stride ``s`` and a projected shortcut.

    Args:
        c1: Input channels.
        c2: Output channels.
        n: Number of blocks.
        s: Stride of the stage.
    """

    def __init__(self, c1: int, c2: int, n: int = 2, s: int = 1):
        super().__init__(BasicBlock(c1, c2, s, project=True), *(BasicBlock(c2, c2) for _ in range(n - 1)))
