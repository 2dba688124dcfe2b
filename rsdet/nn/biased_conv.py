"""Ultralytics' Conv with a bias, for networks whose published count has one; Ultralytics folds it like its own."""

from __future__ import annotations

from torch import nn
from ultralytics.nn.modules import Conv

__all__ = ["BiasedConv"]


class BiasedConv(Conv):
    """Convolution with a bias, batch norm and ReLU.

    Args:
        c1: Input channels.
        c2: Output channels.
        k: Side of the kernel, odd.
    """

    def __init__(self, c1: int, c2: int, k: int = 3):
        super().__init__(c1, c2, k, act=nn.ReLU(inplace=True))
        self.conv = nn.Conv2d(c1, c2, k, padding=k // 2)
