"""The image estimator G_x: an untrained hourglass whose structure is the prior (deep image prior), with MA-MoE.

Five levels down and up, joined by narrow skip connections; fixed noise goes in, the picture comes out. BatchNorm always
uses the statistics of the picture at hand, also outside training: the network only ever sees this one picture.

Source: Ulyanov et al., Deep Image Prior, CVPR 2018 (the ``skip`` network); non-local blocks as in Wang et al.,
Non-local Neural Networks, CVPR 2018 (dot product, divided by the number of positions), at levels 3 to 5 as in DDSR;
Zhao et al., HAC-MoE, arXiv 2511.20045, Fig. 4: MA-MoE, here after the last activation of each level on the way up (the
place is not printed). 2,357,345 parameters for gray pictures without MA-MoE, 2,609,045 with it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.blind.spectral_moe import MAMoE

MULTIPLE = 32  # five halvings
MIN_PX = 64  # the lowest level must keep 2 x 2 for its reflected borders and its statistics


class BatchStatNorm(nn.BatchNorm2d):
    """BatchNorm that never uses running statistics, whatever the mode."""

    def __init__(self, channels: int):
        super().__init__(channels, track_running_stats=False)


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        c_in, c_out, kernel, stride, padding=kernel // 2, padding_mode="reflect" if kernel > 1 else "zeros"
    )


def _norm_act(channels: int) -> list[nn.Module]:
    return [BatchStatNorm(channels), nn.LeakyReLU(0.2)]


class NonLocal(nn.Module):
    """Each position gets a sum over all positions, weighted by the dot product of their embeddings; plus the input.

    Memory grows with the square of the number of positions: (HW)^2 / 4 floats.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(channels // 2, 1)
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = nn.Sequential(nn.Conv2d(inner, channels, 1), BatchStatNorm(channels))
        nn.init.zeros_(self.out[1].weight)  # the identity at first
        nn.init.zeros_(self.out[1].bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W), even H and W, to the same shape."""
        theta = self.theta(x).flatten(2)
        phi, g = (F.max_pool2d(f(x), 2).flatten(2) for f in (self.phi, self.g))
        weights = theta.transpose(1, 2) @ phi / phi.shape[-1]
        y = (weights @ g.transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[-2:])
        return x + self.out(y)


class Level(nn.Module):
    """One level of the hourglass; what lies below it is inside."""

    def __init__(self, c_in: int, channels: int, skip: int, below: nn.Module | None, non_local: bool, experts: int):
        super().__init__()
        self.skip = nn.Sequential(_conv(c_in, skip, 1), *_norm_act(skip))
        down: list[nn.Module] = [_conv(c_in, channels, 3, 2), *_norm_act(channels)]
        down += [NonLocal(channels)] if non_local else []
        self.down = nn.Sequential(*down, _conv(channels, channels, 3), *_norm_act(channels))
        self.below = below if below is not None else nn.Identity()
        up: list[nn.Module] = [
            BatchStatNorm(skip + channels),
            _conv(skip + channels, channels, 3),
            *_norm_act(channels),
        ]
        up += [_conv(channels, channels, 1), *_norm_act(channels)]
        self.up = nn.Sequential(*up, *([MAMoE(channels, experts)] if experts else []))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, c_in, H, W), even H and W, to (B, channels, H, W)."""
        deep = F.interpolate(self.below(self.down(x)), scale_factor=2, mode="bilinear", align_corners=False)
        return self.up(torch.cat((self.skip(x), deep), dim=1))


class SkipNet(nn.Module):
    """Fixed noise (B, c, H, W) to a picture (B, c, H, W) in (0, 1); H and W are multiples of 32, at least 64.

    Args:
        image_channels: c.
        channels: Width of all levels; 128 in the paper.
        skip: Channels of the skip connections.
        levels: Number of levels; 5 in the paper.
        experts: Experts of each MA-MoE; 0 builds the network without them.
        non_local_from: First level, counted from 1, that has a non-local block; above ``levels``: none.
    """

    def __init__(
        self,
        image_channels: int = 1,
        channels: int = 128,
        skip: int = 16,
        levels: int = 5,
        experts: int = 4,
        non_local_from: int = 3,
    ):
        super().__init__()
        block: nn.Module | None = None
        for level in range(levels, 0, -1):
            c_in = image_channels if level == 1 else channels
            block = Level(c_in, channels, skip, block, level >= non_local_from, experts)
        self.body = block
        self.last = nn.Conv2d(channels, image_channels, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Noise to picture."""
        return torch.sigmoid(self.last(self.body(z)))


def inner_size(height: int, width: int) -> tuple[int, int]:
    """The size that the network works at for a picture of this size: multiples of 32, at least 64."""
    up = [max(-(-n // MULTIPLE) * MULTIPLE, MIN_PX) for n in (height, width)]
    return up[0], up[1]
