"""MFG-HMoE: super-resolution by a HAT trunk and pixel-wise chosen upsampling experts.

"Heterogeneous Mixture of Experts for Remote Sensing Image Super-Resolution" (Chen et al., IEEE GRSL 2025)::

    X^i'  = LeakyReLU(Conv(X^i))  after each group i of the trunk        (2)
    X_agg = LeakyReLU(Conv(LN(sum_i X^i')))                              (3)
    I_SR  = Conv(DR-HMoE(features, guide = X_agg))                       (1, 4-7; rsdet.nn.hmoe)

Where the printed paper and the authors' released code differ, this follows the code, since that made the numbers:

- (2) is two convolutions with a LeakyReLU between them, through as many channels as the features have.
- The trunk itself passes through the LayerNorm that comes before (2); ``trunk_norm=False`` gives the trunk of HAT.
- The LayerNorm of (3) is the one at the end of the trunk.
- One upsampling step whatever the factor: experts put out ``64 s^2`` channels.

The routers learn here (``gate="ste"``), unlike those of the released code (``gate="hard"``); see :mod:`rsdet.nn.hmoe`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.hat import RHAG, conv_last_axis, init_linear
from rsdet.nn.hmoe import DRHMoE
from rsdet.nn.networks import network, pad_reflect
from rsdet.nn.restoration import RestorationNetwork
from rsdet.nn.upsample import bicubic, check_upscale

__all__ = ["MFA", "MFGHMoE"]

WHOLE_BYTES = 2e9  # memory that an image may take before it is cut into tiles


class MFA(nn.Module):
    """Multi-level feature aggregation, equations (2) and (3).

    Args:
        dim: Channels of the trunk.
        features: Channels of the guide.
        levels: Number of groups of the trunk.
    """

    def __init__(self, dim: int, features: int, levels: int):
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(dim, features, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(features, dim, 3, padding=1)
            )
            for _ in range(levels)
        )
        self.aggregate = nn.Sequential(nn.Conv2d(dim, features, 3, padding=1), nn.LeakyReLU())

    def forward(self, maps: Sequence[torch.Tensor], norm: nn.Module) -> torch.Tensor:
        """Trunk maps (B, H, W, dim) of each level, and the trunk's last norm, to the guide (B, features, H, W)."""
        total = sum(conv_last_axis(level, x) for level, x in zip(self.levels, maps, strict=True))
        return self.aggregate(norm(total).permute(0, 3, 1, 2))


@network("MFGHMoE")
class MFGHMoE(RestorationNetwork):
    """MFG-HMoE. The defaults are those of the paper: 23.1 M parameters for x2, 27.1 M for x4.

    Args:
        upscale: Output pixels per input pixel along each axis, 2 to 8.
        dim: Channels of the trunk, a multiple of ``heads``.
        groups: Number of residual hybrid attention groups.
        depth: Hybrid attention blocks per group.
        heads: Attention heads.
        window: Side of the attention windows in pixels: 4, 8 or 16; images are padded to a multiple of it.
        mlp_ratio: Width of the MLPs relative to ``dim``.
        features: Channels at the upsampler.
        kernels: Side of the kernel of each group of experts.
        experts: Number of experts of each group.
        k: Experts per pixel.
        gate: Factor on the chosen experts: ``ste``, ``hard``, ``paper``, ``joint`` or ``random``.
        dispatch: ``auto``, ``sparse`` or ``dense``.
        mfa: Route by aggregated features (MFA); otherwise by the features that are upsampled.
        trunk_norm: Norm the trunk after each group.
        drop_path: Stochastic depth of the last block; it grows linearly from 0.
        bicubic_skip: Add the bicubically enlarged input, see :class:`rsdet.nn.edsr.EDSR`. Not in the paper.
        channels: Channels of the image.
    """

    def __init__(
        self,
        upscale: int = 2,
        dim: int = 180,
        groups: int = 6,
        depth: int = 6,
        heads: int = 6,
        window: int = 16,
        mlp_ratio: float = 2.0,
        features: int = 64,
        kernels: Sequence[int] = (1, 3),
        experts: Sequence[int] = (8, 8),
        k: int = 1,
        gate: str = "ste",
        dispatch: str = "auto",
        mfa: bool = True,
        trunk_norm: bool = True,
        drop_path: float = 0.1,
        bicubic_skip: bool = False,
        channels: int = 3,
    ):
        super().__init__()
        self.scale = check_upscale(upscale, tuple(range(2, 9)), "MFG-HMoE")
        if not 0 <= drop_path < 1:
            raise ConfigError(f"drop_path={drop_path} must be at least 0 and below 1; change it.")
        self.multiple, self.channels, self.bicubic_skip = window, channels, bicubic_skip
        self.conv_first = nn.Conv2d(channels, dim, 3, padding=1)
        self.norm_first = nn.LayerNorm(dim)
        drops = [drop_path * i / max(groups * depth - 1, 1) for i in range(groups * depth)]
        self.groups = nn.ModuleList(
            RHAG(dim, window, heads, drops[i * depth : (i + 1) * depth], mlp_ratio) for i in range(groups)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) if trunk_norm else nn.Identity() for _ in range(groups))
        self.norm = nn.LayerNorm(dim)
        self.conv_body = nn.Conv2d(dim, dim, 3, padding=1)
        self.mfa = MFA(dim, features, groups) if mfa else None
        self.to_features = nn.Sequential(nn.Conv2d(dim, features, 3, padding=1), nn.LeakyReLU())
        self.upsample = DRHMoE(features, self.scale, kernels, experts, k, gate, dispatch)
        self.conv_last = nn.Conv2d(features, channels, 3, padding=1)
        self.groups.apply(init_linear)
        # Of an image with 180 channels of attention and 1024 of experts, a pixel takes 15 to 26 kB in float32.
        self.whole_px = int(WHOLE_BYTES / (4 * (3 * features * self.scale**2 + 20 * dim)))
        if bicubic_skip:
            nn.init.zeros_(self.conv_last.weight)
            nn.init.zeros_(self.conv_last.bias)

    def features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is upsampled, and the guide that routes it.

        Args:
            x: (B, C, H, W), H and W multiples of the window.

        Returns:
            Features and guide, each (B, F, H, W).
        """
        first = self.conv_first(x).permute(0, 2, 3, 1)
        t, maps = self.norm_first(first), []
        for group, norm in zip(self.groups, self.norms, strict=True):
            t = norm(group(t))
            maps.append(t)
        body = conv_last_axis(self.conv_body, self.norm(t)) + first
        f = self.to_features(body.permute(0, 3, 1, 2))
        return f, f if self.mfa is None else self.mfa(maps, self.norm)

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, sH, sW); H and W are multiples of the window."""
        y = self.conv_last(self.upsample(*self.features(x)))
        return y + bicubic(x, self.scale) if self.bicubic_skip else y

    def routes(self, x: torch.Tensor) -> torch.Tensor:
        """The expert that each pixel of the input is given to.

        Args:
            x: (B, C, H, W) of any size, float in [0, 1].

        Returns:
            (B, H, W) integers: experts numbered through all groups, in the order of ``experts``; with K > 1 the best.
        """
        h, w = int(x.shape[-2]), int(x.shape[-1])
        right, down = -w % self.multiple, -h % self.multiple
        _, guide = self.features(pad_reflect(x, right, down) if right or down else x)
        return self.upsample.router(guide).expert[:, :h, :w, 0]

    def expert_names(self) -> list[str]:
        """Names of the experts in the order of :meth:`routes`, such as ``3x3 #2``."""
        pairs = zip(self.upsample.kernels, self.upsample.sizes, strict=True)
        return [f"{side}x{side} #{j + 1}" for side, m in pairs for j in range(m)]

    def training_notes(self) -> list[str]:
        """Warnings about routes that have collapsed, of all steps since the last call."""
        return self.upsample.usage_notes()

    def extra_losses(self) -> dict[str, torch.Tensor]:
        """The balance loss of the last training step, once; empty where the gate lets no router learn."""
        balance, self.upsample.balance = self.upsample.balance, None
        return {} if balance is None else {"balance": balance}
