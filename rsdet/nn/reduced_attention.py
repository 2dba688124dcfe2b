"""Transformer blocks on the cells of a map, all with all, and the strided stage that Hybrid-SegUFormer makes of them.

Attention among the cells of a map of H x W costs (H W)^2: at 128 x 128, one matrix of scores is 1 GB. The products go
through ``scaled_dot_product_attention``, which never holds it, and keys and values may come from a coarser map, as in
SegFormer (Xie et al., NeurIPS 2021, arXiv 2105.15203).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import Conv

__all__ = ["ReducedAttention", "TransformerBlock", "TransformerStage"]


class ReducedAttention(nn.Module):
    """Multi-head attention of all cells of a map.

    Args:
        c: Channels.
        heads: Number of heads.
        sr_ratio: Cells along each axis that share a key and a value: a strided convolution and LayerNorm come before
            those. 1: each cell has its own.
    """

    def __init__(self, c: int, heads: int, sr_ratio: int = 1):
        super().__init__()
        self.heads, self.sr_ratio = heads, sr_ratio
        self.q, self.k, self.v, self.out = (nn.Linear(c, c) for _ in range(4))
        if sr_ratio > 1:
            self.reduce, self.norm = nn.Conv2d(c, c, sr_ratio, sr_ratio), nn.LayerNorm(c)

    def forward(self, z: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Map (B, height * width, C), rows first, to the same; sides are multiples of the ratio."""
        source = z
        if self.sr_ratio > 1:
            source = self.reduce(z.transpose(1, 2).reshape(z.shape[0], z.shape[2], height, width))
            source = self.norm(source.flatten(2).transpose(1, 2))
        q, k, v = (
            layer(s).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, s in ((self.q, z), (self.k, source), (self.v, source))
        )
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """``z + MHSA(LN z)``, then ``z + FFN(LN z)``, the FFN twice as wide with GELU; it knows no positions.

    Args:
        c: Channels.
        heads: Heads of the attention.
        sr_ratio: See :class:`ReducedAttention`.
    """

    def __init__(self, c: int, heads: int, sr_ratio: int = 1):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(c), ReducedAttention(c, heads, sr_ratio)
        self.norm2, self.ffn = nn.LayerNorm(c), nn.Sequential(nn.Linear(c, 2 * c), nn.GELU(), nn.Linear(2 * c, c))

    def forward(self, z: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Map (B, height * width, C), rows first, to the same."""
        z = z + self.attn(self.norm1(z), height, width)
        return z + self.ffn(self.norm2(z))


class TransformerStage(nn.Module):
    """3x3 convolution of stride 2, BN and GELU (Hybrid-SegUFormer equation 1), then Transformer blocks on the cells.

    Args:
        c1: Input channels.
        c2: Output channels.
        depth: Number of blocks.
        heads: Heads of each.
        sr_ratio: See :class:`ReducedAttention`.
    """

    def __init__(self, c1: int, c2: int, depth: int, heads: int, sr_ratio: int = 1):
        super().__init__()
        self.down = Conv(c1, c2, 3, 2, act=nn.GELU())
        self.blocks = nn.ModuleList(TransformerBlock(c2, heads, sr_ratio) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, ceil(H / 2), ceil(W / 2))."""
        x = self.down(x)
        height, width = x.shape[2:]
        z = x.flatten(2).transpose(1, 2)
        for block in self.blocks:
            z = block(z, height, width)
        return z.transpose(1, 2).reshape(x.shape)
