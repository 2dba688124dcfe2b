"""Shuffle attention: channel and spatial attention side by side on groups of channels, then a channel shuffle.

Paper: Zhang and Yang, "SA-Net: Shuffle Attention for Deep Convolutional Neural Networks", ICASSP 2021
(arXiv:2102.00039); used on P5 by the SAR ship detector of Tang et al. (2024), section 2.2, equations 1 to 3.
Different from the papers: their group norm has as many groups as channels, which is an instance norm; it is computed as
one over all channels at once, so no batch folding is needed and every exporter can take it.
"""

from __future__ import annotations

import torch
from torch import nn

from rsdet.registry import register


@register("ShuffleAttention", like="same")
class ShuffleAttention(nn.Module):
    """Attention of 6 C / (2 G) parameters on a map of C channels.

    Each of the G groups is halved. One half is scaled by ``sigmoid(w1 * mean + b1)`` (equation 2), the other by
    ``sigmoid(w2 * norm(x) + b2)`` (equation 3), with weights shared by the groups. Finally the two halves of all
    channels are interleaved.

    Args:
        c1: Channels C of the map, even.
        groups: Groups G. Halved until C is divisible by 2 G, so that narrow maps work too.

    Shapes:
        (B, C, H, W) to (B, C, H, W).

    Raises:
        ValueError: C is odd.
    """

    def __init__(self, c1: int, groups: int = 64):
        super().__init__()
        if c1 < 2 or c1 % 2 or groups < 1:
            raise ValueError(f"ShuffleAttention takes an even number of channels and groups >= 1, got {c1}, {groups}")
        while c1 % (2 * groups):
            groups //= 2
        self.groups, d = groups, c1 // (2 * groups)
        self.channel_weight = nn.Parameter(torch.zeros(d))  # w1; zeros and ones at the start, as SA-Net's
        self.channel_bias = nn.Parameter(torch.ones(d))  # b1
        self.spatial_weight = nn.Parameter(torch.zeros(d))  # w2
        self.spatial_bias = nn.Parameter(torch.ones(d))  # b2
        self.norm_weight = nn.Parameter(torch.ones(d))  # affine of the norm
        self.norm_bias = nn.Parameter(torch.zeros(d))
        self.norm = nn.InstanceNorm2d(c1 // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale and shuffle (B, C, H, W)."""
        b, _, h, w = x.shape
        d = len(self.channel_weight)
        c = 2 * d * self.groups  # a number, not a size of the map: the channels stay known in a graph of free size
        halves = x.view(b, self.groups, 2, d, h, w)
        a, s = (halves[:, :, i].reshape(b, c // 2, h, w) for i in (0, 1))

        def each(p: torch.Tensor) -> torch.Tensor:
            return p.repeat(self.groups).view(1, -1, 1, 1)

        a = a * torch.sigmoid(each(self.channel_weight) * a.mean((2, 3), keepdim=True) + each(self.channel_bias))
        norm = self._norm(s, each(self.norm_weight), each(self.norm_bias))
        s = s * torch.sigmoid(each(self.spatial_weight) * norm + each(self.spatial_bias))
        halves = torch.stack([t.view(b, self.groups, d, h, w) for t in (a, s)], 2).reshape(b, 2, c // 2, h, w)
        return halves.transpose(1, 2).reshape(b, c, h, w)

    def _norm(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        if x.shape[2] * x.shape[3] == 1:  # one pixel has no deviation, and instance norm refuses it in training
            return bias.expand_as(x)
        # Sums over a map overflow in half precision and lose digits in bfloat16: the statistics are FP32, or wider.
        return self.norm(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype) * weight + bias
