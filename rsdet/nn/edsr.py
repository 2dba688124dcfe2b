"""EDSR, the plain convolutional baseline of super-resolution.

"Enhanced Deep Residual Networks for Single Image Super-Resolution" (Lim et al., CVPRW 2017, arXiv 1707.02921): residual
blocks without normalisation, a long skip around them, sub-pixel convolution. The paper subtracts the mean colour of
its training set; here images come as they are, and the first convolution's bias does that.
"""

from __future__ import annotations

import torch
from torch import nn

from rsdet.nn.networks import network
from rsdet.nn.restoration import RestorationNetwork
from rsdet.nn.upsample import PixelShuffleUp, bicubic, check_upscale

__all__ = ["EDSR", "ResidualBlock"]


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, times a factor, plus the input (EDSR figure 2c).

    Args:
        c: Channels.
        factor: Residual scaling (EDSR section 3.3), which keeps wide networks stable.
    """

    def __init__(self, c: int, factor: float = 1.0):
        super().__init__()
        self.factor = factor
        self.body = nn.Sequential(nn.Conv2d(c, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        y = self.body(x)
        return x + (y if self.factor == 1 else y * self.factor)


@network("EDSR")
class EDSR(RestorationNetwork):
    """EDSR with any number and width of blocks.

    With 16 blocks of width 64 it is the "baseline" of the paper (1.37 M parameters for x2), with 32 blocks of width
    256 and a residual factor of 0.1 the large model (40.7 M).

    Args:
        upscale: Output pixels per input pixel along each axis: 2, 3, 4 or 8.
        width: Channels of the blocks.
        blocks: Number of residual blocks.
        residual: Factor of the residual branches.
        bicubic_skip: Add the bicubically enlarged input, so that the network learns only what bicubic lacks. It starts
            from bicubic quality then, which matters where training is short. Not in the paper.
        channels: Channels of the image.
    """

    local = True

    def __init__(
        self,
        upscale: int = 2,
        width: int = 64,
        blocks: int = 16,
        residual: float = 1.0,
        bicubic_skip: bool = False,
        channels: int = 3,
    ):
        super().__init__()
        self.scale = check_upscale(upscale, (2, 3, 4, 8), "EDSR")
        self.channels, self.bicubic_skip = channels, bicubic_skip
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.body = nn.Sequential(
            *(ResidualBlock(width, residual) for _ in range(blocks)), nn.Conv2d(width, width, 3, padding=1)
        )
        self.upsample = PixelShuffleUp(width, self.scale)
        self.tail = nn.Conv2d(width, channels, 3, padding=1)
        if bicubic_skip:
            nn.init.zeros_(self.tail.weight)
            nn.init.zeros_(self.tail.bias)

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, sH, sW)."""
        f = self.head(x)
        y = self.tail(self.upsample(self.body(f) + f))
        return y + bicubic(x, self.scale) if self.bicubic_skip else y
