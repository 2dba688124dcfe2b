"""The trunk of HAT: channel attention block, hybrid attention block, residual hybrid attention group.

"Activating More Pixels in Image Super-Resolution Transformer" (Chen et al., CVPR 2023, arXiv 2205.04437), sections 3.2
and 3.3; MFG-HMoE stacks six of its groups. Maps are channel-last, (B, H, W, C).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from rsdet.nn.window_attention import MLP, OCAB, WindowAttention

__all__ = ["CAB", "HAB", "RHAG", "DropPath", "conv_last_axis", "init_linear"]


def conv_last_axis(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a convolution on channel-last maps; to PyTorch that is a memory format, so that nothing is moved."""
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def init_linear(m: nn.Module) -> None:
    """Initialisation of HAT for ``module.apply``: linear layers normal with 0.02, cut off, and without bias."""
    if isinstance(m, nn.Linear):
        nn.init.trunc_normal_(m.weight, std=0.02)
        nn.init.zeros_(m.bias)


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training, drop the branch of a whole image with a probability.

    Args:
        p: Probability of being dropped, 0 to below 1; what is kept is divided by ``1 - p``.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Branch (B, ...) to branch (B, ...)."""
        if not self.training or self.p == 0:
            return x
        kept = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), device=x.device).bernoulli_(1 - self.p)
        return x * (kept / (1 - self.p)).to(x.dtype)

    def extra_repr(self) -> str:
        """Probability."""
        return f"p={self.p:.3f}"


class CAB(nn.Module):
    """Channel attention block: two 3x3 convolutions around a bottleneck, then one gain per channel.

    Args:
        dim: Channels of input and output.
        compress: Divisor of ``dim`` for the bottleneck between the convolutions.
        squeeze: Divisor of ``dim`` for the bottleneck of the channel attention, which is never below 4 channels.
    """

    def __init__(self, dim: int, compress: int = 3, squeeze: int = 30):
        super().__init__()
        inner, narrow = max(dim // compress, 1), max(dim // squeeze, 4)
        self.body = nn.Sequential(nn.Conv2d(dim, inner, 3, padding=1), nn.GELU(), nn.Conv2d(inner, dim, 3, padding=1))
        self.gain = nn.Sequential(nn.Conv2d(dim, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, dim, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H, W, C) to (B, H, W, C)."""
        y = conv_last_axis(self.body, x)
        # The mean over an image in float32: a sum of thousands of half-precision numbers would lose its last digits.
        mean = y.mean((1, 2), keepdim=True, dtype=torch.promote_types(y.dtype, torch.float32)).to(y.dtype)
        return y * conv_last_axis(self.gain, mean)


class HAB(nn.Module):
    """Hybrid attention block (HAT equation 3).

    With n the normed input::

        n = LN(x)
        x = x + drop((S)W-MSA(n)) + alpha CAB(n)
        x = x + drop(MLP(LN(x)))

    Args:
        dim: Channels.
        window: Side of a window in pixels.
        heads: Attention heads.
        shift: Shift of the windows in pixels.
        mlp_ratio: Width of the MLP relative to ``dim``.
        drop: Probability of stochastic depth.
        alpha: Weight of the channel attention block.
    """

    def __init__(
        self,
        dim: int,
        window: int,
        heads: int,
        shift: int = 0,
        mlp_ratio: float = 2.0,
        drop: float = 0.0,
        alpha: float = 0.01,
    ):
        super().__init__()
        self.alpha = alpha
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, window, heads, shift)
        self.cab = CAB(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, mlp_ratio)
        self.drop = DropPath(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H, W, C) to (B, H, W, C); H and W are multiples of the window."""
        n = self.norm1(x)
        x = x + self.drop(self.attn(n)) + self.alpha * self.cab(n)
        return x + self.drop(self.mlp(self.norm2(x)))


class RHAG(nn.Module):
    """Residual hybrid attention group: HABs with every second one shifted, an OCAB, a convolution, and the input.

    Args:
        dim: Channels.
        window: Side of a window in pixels; shifted blocks are shifted by half of it.
        heads: Attention heads.
        drop: Probability of stochastic depth of each HAB; its length is the number of HABs.
        mlp_ratio: Width of the MLPs relative to ``dim``.
    """

    def __init__(self, dim: int, window: int, heads: int, drop: Sequence[float], mlp_ratio: float = 2.0):
        super().__init__()
        self.blocks = nn.Sequential(
            *(HAB(dim, window, heads, window // 2 * (i % 2), mlp_ratio, p) for i, p in enumerate(drop)),
            OCAB(dim, window, heads, mlp_ratio=mlp_ratio),
        )
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H, W, C) to (B, H, W, C); H and W are multiples of the window."""
        return conv_last_axis(self.conv, self.blocks(x)) + x
