"""FC-Siam-diff and FC-Siam-conc: one encoder for both dates, joined on the way up; what everybody compares with.

Daudt, Le Saux, Boulch, "Fully convolutional Siamese networks for change detection" (ICIP 2018). At 3 bands and two
classes, as published: 1,350,146 parameters (diff) and 1,546,658 (conc); one logit takes fewer.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.biased_conv import BiasedConv
from rsdet.nn.change import ChangeNetwork
from rsdet.nn.networks import check_counts, network

__all__ = ["FCSiam"]

JOINS = ("diff", "conc")
CONVS = (2, 2, 3, 3)  # of the levels


@network("FCSiam")
class FCSiam(ChangeNetwork):
    """FC-Siam.

    Args:
        join: ``diff``: absolute differences of both dates at every level; ``conc``: both side by side.
        widths: Channels of the four levels.
        dropout: Share of the maps that are left out after each convolution while it learns.
        bands: Channels of one date.

    Raises:
        ConfigError: Arguments out of range.
    """

    multiple = 16

    def __init__(
        self, join: str = "diff", widths: Sequence[int] = (16, 32, 64, 128), dropout: float = 0.2, bands: int = 3
    ):
        super().__init__(bands)
        check_counts("FC-Siam", widths=widths)
        if join not in JOINS or len(widths) != len(CONVS) or not 0 <= dropout < 1:
            raise ConfigError(
                f"FC-Siam takes join of {list(JOINS)}, {len(CONVS)} widths and dropout from 0 to below 1; received "
                f"{join!r}, {list(widths)!r} and {dropout!r}."
            )
        self.join = join
        self.levels, c = nn.ModuleList(), bands
        for width, convs in zip(widths, CONVS, strict=True):
            self.levels.append(_convs([c, *[width] * convs], dropout))
            c = width
        self.pool = nn.MaxPool2d(2)
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        skips = len(JOINS) if join == "conc" else 1
        for i in reversed(range(len(widths))):
            width, after = widths[i], widths[max(i - 1, 0)]
            self.ups.append(nn.ConvTranspose2d(width, width, 3, 2, 1, 1))
            channels = [(1 + skips) * width, *[width] * (CONVS[i] - 1), after]
            last = channels.pop() if i == 0 else None  # the last convolution is the classifier
            self.blocks.append(_convs(channels, dropout))
            self.head = nn.Conv2d(width, 1, 3, padding=1) if last else None

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Joined maps of all levels, and last the deepest map of the later date at half its size."""
        before, after = self.dates(x)
        joined = []
        for level in self.levels:
            before, after = level(before), level(after)
            joined.append((before - after).abs() if self.join == "diff" else torch.cat((before, after), 1))
            before, after = self.pool(before), self.pool(after)
        return (*joined, after)

    def decode(self, features: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) from the joined maps."""
        *skips, y = features
        for up, block, skip in zip(self.ups, self.blocks, skips[::-1], strict=True):
            y = block(torch.cat((up(y), skip), 1))
        return self.head(y)


def _convs(channels: Sequence[int], dropout: float) -> nn.Sequential:
    """3x3 convolutions with batch norm and ReLU, maps left out after each."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(channels):
        layers += [BiasedConv(a, b), nn.Dropout2d(dropout)]
    return nn.Sequential(*layers)
