"""ResNet with a deep stem and a dilated last stage: the encoder of DeepLabV3+, stride 16.

The stem is three 3x3 convolutions, which is variant "s" of timm (``resnet50s``, ImageNet weights of
``gluon_in1k`` fit as they are). Its max-pooling rounds up, so that 512 px give 129 cells at a quarter: cells 0 and 128
then lie on the borders of the image, where ``align_corners=True`` of the decoder puts them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from ultralytics.nn.modules import Conv

from rsdet.errors import ConfigError
from rsdet.nn.networks import check_counts
from rsdet.nn.resnet import BasicBlock

__all__ = ["Bottleneck", "DilatedResNet"]


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last four times as wide, and a shortcut; ReLU after the sum.

    Args:
        c1: Input channels.
        c2: Output channels, a multiple of 4.
        s: Stride of the 3x3 convolution.
        d: Its dilation.
    """

    def __init__(self, c1: int, c2: int, s: int = 1, d: int = 1):
        super().__init__()
        c, self.act = c2 // 4, nn.ReLU(inplace=True)
        self.cv1 = Conv(c1, c, 1, act=self.act)
        self.cv2 = Conv(c, c, 3, s, d=d, act=self.act)
        self.cv3 = Conv(c, c2, 1, act=False)
        self.shortcut = Conv(c1, c2, 1, s, act=False) if s != 1 or c1 != c2 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, ceil(H/s), ceil(W/s))."""
        return self.act(self.cv3(self.cv2(self.cv1(x))) + self.shortcut(x))


BLOCKS = {"bottleneck": (Bottleneck, 4), "basic": (BasicBlock, 1)}  # and their output channels by the width of a stage


class DilatedResNet(nn.Module):
    """Four maps of strides 4, 8, 16 and 16. The last stage dilates instead, by 2, 4, 8, 8, ... (multi-grid).

    Args:
        channels: Channels of the image.
        depths: Blocks of each stage.
        width: Channels of the stem; stage i = 0..3 is ``2^i`` times as wide, bottlenecks put out four times that.
        block: ``bottleneck`` (ResNet-50 and deeper) or ``basic`` (ResNet-18, with the shortcuts of variant "d").

    Attributes:
        out_channels: Channels of the four maps.

    Raises:
        ConfigError: Arguments out of range.
    """

    def __init__(
        self, channels: int = 3, depths: Sequence[int] = (3, 4, 6, 3), width: int = 64, block: str = "bottleneck"
    ):
        super().__init__()
        check_counts("ResNet", channels=channels, depths=depths, width=width)
        if len(depths) != 4 or block not in BLOCKS:
            raise ConfigError(
                f"a ResNet has four depths and block={'|'.join(BLOCKS)}, received depths={depths!r}, block={block!r}."
            )
        make, expansion = BLOCKS[block]
        act, c = nn.ReLU(inplace=True), 2 * width
        self.stem = nn.Sequential(
            Conv(channels, width, 3, 2, act=act), Conv(width, width, 3, act=act), Conv(width, c, 3, act=act)
        )
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.stages = nn.ModuleList()
        self.out_channels = tuple(width * expansion * 2**i for i in range(4))
        for i, (n, c2) in enumerate(zip(depths, self.out_channels, strict=True)):
            dilations = [2 ** min(j + 1, 3) if i == 3 else 1 for j in range(n)]
            strides = [2 if i in (1, 2) and j == 0 else 1 for j in range(n)]
            blocks = [make(c2 if j else c, c2, s, d=d) for j, (s, d) in enumerate(zip(strides, dilations, strict=True))]
            self.stages.append(nn.Sequential(*blocks))
            c = c2
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map (B, channels, H, W) to maps (B, C_i, H_i, W_i)."""
        x, maps = self.pool(self.stem(x)), []
        for stage in self.stages:
            maps.append(x := stage(x))
        return tuple(maps)
