"""SSA-Net: two encoders, absolute differences, a decoder; light convolutions whose better half weighs itself.

"Building change detection in the Qinling mountains" (Remote Sens. 2025, 17, 2249), on the layout of USSFC-Net (TGRS
2023). 3,543,617 parameters; by the rules of the thop tool 6.650 G multiply-adds at 256 px, in truth 4.88 G.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.biased_conv import BiasedConv
from rsdet.nn.change import ChangeNetwork
from rsdet.nn.networks import check_counts, network

__all__ = ["SSIF", "CSHConv", "SSANet"]

EPS = 1e-6


class SSIF(nn.Module):
    """Spatial-spectral importance: every value is weighed by how far it lies from the means of its map and its pixel.

    S = (X - Q1)^2 / (2 v1) + (X - Q2)^2 / (2 v2) with mean and variance over the map (1) and over the channels (2);
    the output is X sigmoid(S + 1/2) (equations 5 to 7). It emphasises, never suppresses: the weight is from
    sigmoid(1/2) = 0.622 to 1. Squares and quotients are of float32 at any precision around.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weigh (B, C, H, W)."""
        y = x.float()
        score = torch.zeros_like(y)
        for axes in ((2, 3), (1,)):
            square = (y - y.mean(axes, keepdim=True)) ** 2
            score = score + square / (2 * square.mean(axes, keepdim=True) + EPS)
        return x * torch.sigmoid(score + 0.5).to(x.dtype)


class CSHConv(nn.Module):
    """Half of the channels by a 1x1 convolution; of these the other half by a 3x3 in groups and a 1x1, weighed by SSIF.

    Args:
        c1: Input channels.
        c2: Output channels, twice a multiple of ``groups``.
        groups: Of the 3x3 convolution.

    Raises:
        ConfigError: Channels that cannot be divided so.
    """

    def __init__(self, c1: int, c2: int, groups: int = 2):
        super().__init__()
        half = c2 // 2
        if c2 % 2 or half % groups:
            raise ConfigError(f"CSHConv: {c2} output channels are not twice a multiple of groups={groups}.")
        self.reduce = nn.Sequential(nn.Conv2d(c1, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True))
        self.grouped = nn.Conv2d(half, half, 3, padding=1, groups=groups, bias=False)
        self.point = nn.Conv2d(half, half, 1, bias=False)
        self.act = nn.Sequential(nn.BatchNorm2d(half), nn.ReLU())
        self.ssif = SSIF()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, H, W), the weighed half first."""
        first = self.reduce(x)
        return torch.cat((self.ssif(self.act(self.grouped(first) + self.point(first))), first), 1)


class _Block(nn.Sequential):
    """Two light convolutions, each with batch norm and ReLU."""

    def __init__(self, c1: int, c2: int, groups: int):
        layers = []
        for c in (c1, c2):
            layers += [CSHConv(c, c2, groups), nn.BatchNorm2d(c2), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class Encoder(nn.ModuleList):
    """Five levels, each after the first at half the size of the one before.

    Args:
        bands: Channels of a date.
        widths: Channels of the levels.
        groups: See :class:`CSHConv`.
    """

    def __init__(self, bands: int, widths: list[int], groups: int):
        plain = nn.Sequential(BiasedConv(bands, widths[0]), BiasedConv(widths[0], widths[0]))
        deeper = [nn.Sequential(nn.MaxPool2d(2), _Block(a, b, groups)) for a, b in itertools.pairwise(widths)]
        super().__init__([plain, *deeper])

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Maps of all levels of a date."""
        maps = []
        for level in self:
            maps.append(x := level(x))
        return maps


@network("SSANet")
class SSANet(ChangeNetwork):
    """SSA-Net.

    Args:
        width: Channels of the first level; each further one has twice as many.
        groups: See :class:`CSHConv`; 2 is the paper.
        tied: One encoder for both dates: fewer weights, and the order of the dates does not matter.
        bands: Channels of one date.

    Raises:
        ConfigError: Arguments out of range.
    """

    multiple = 16

    def __init__(self, width: int = 32, groups: int = 2, tied: bool = False, bands: int = 3):
        super().__init__(bands)
        check_counts("SSA-Net", width=width, groups=groups)
        widths = [width << i for i in range(5)]
        self.before = Encoder(bands, widths, groups)
        self.after = self.before if tied else Encoder(bands, widths, groups)
        down = widths[::-1]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in itertools.pairwise(down))
        self.blocks = nn.ModuleList(_Block(a, b, groups) for a, b in itertools.pairwise(down))
        self.head = nn.Conv2d(width, 1, 1)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Absolute differences of the levels of both dates."""
        before, after = self.dates(x)
        return tuple((a - b).abs() for a, b in zip(self.before(before), self.after(after), strict=True))

    def decode(self, features: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) from the differences."""
        *skips, y = features
        for up, block, skip in zip(self.ups, self.blocks, skips[::-1], strict=True):
            y = block(torch.cat((skip, up(y)), 1))
        return self.head(y)
