"""Similarity of gradients at several scales: what SDENet compares a cube and its background by, eq. (11) to (14)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError

_TINY = 1e-12  # the slope of a square root at zero is infinite: flat areas would give NaN


class GMSLoss(nn.Module):
    """Mean over scales and pixels of 1 - GMS, of cubes averaged over their bands.

    Of a pair of gradients G and G', 1 - GMS is computed as (G - G')^2 / (G^2 + G'^2 + c), which is eq. (12) without the
    difference of two numbers near 1: values lie between 1e-4 and 1e-7, where single precision would drown in rounding.

    Args:
        scales: Number of scales, each half the size of the one before; fewer where a side would be less than 3 px.
        c: Constant of eq. (12).
        reduce: ``sum`` of the squares of the four gradients (eq. 13), or their ``mean``, as AETNet has it.

    Raises:
        ConfigError: Arguments out of range.
    """

    kernels: torch.Tensor

    def __init__(self, scales: int = 5, c: float = 0.1, reduce: str = "sum"):
        super().__init__()
        if reduce not in ("sum", "mean") or not (type(scales) is int and scales > 0) or not c > 0:
            raise ConfigError(
                f"GMS takes scales of 1 or more, c above 0, sum or mean; received {scales}, {c}, {reduce}."
            )
        self.scales, self.c, self.share = scales, c, 1.0 if reduce == "sum" else 0.25
        x = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
        diagonal = torch.tensor([[2.0, 1, 0], [1, 0, -1], [0, -1, -2]])
        kernels = torch.stack([x, x.T, diagonal, diagonal.flip(1)])[:, None] / 4
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Loss of two cubes (B, C, H, W), in [0, 1); 0 for equal ones, and the same in both orders."""
        with torch.autocast(a.device.type, enabled=False):
            a, b = (x.float().mean(1, keepdim=True) for x in (a, b))
            losses = []
            for _ in range(self.scales):
                ga, gb = self._gradient(a), self._gradient(b)
                losses.append(((ga - gb) ** 2 / (ga**2 + gb**2 + self.c)).mean())
                a, b = (F.avg_pool2d(x, 2) for x in (a, b))
                if min(a.shape[-2:]) < 3:
                    break
            return torch.stack(losses).mean()

    def _gradient(self, x: torch.Tensor) -> torch.Tensor:
        squares = F.conv2d(x, self.kernels.to(x)).square().sum(1, keepdim=True)
        return (squares * self.share + _TINY).sqrt()
