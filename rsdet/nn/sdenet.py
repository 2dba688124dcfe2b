"""SDENet: backgrounds of hyperspectral cubes, rebuilt by a small U-Net with cross-shaped windows (Remote Sens. 2024).

Source: Remote Sens. 2024, 16(23), 4518, equations (3) to (10). What it leaves open follows AETNet (Li et al., IEEE TGRS
2023), of which it is a variant: the numbers of parameters and operations that the paper prints come out exactly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.networks import Network, check_counts, network

RIM_PX = 4  # reflected around the input, so that its border is not the border of the network
_LOG_STD = (-10.0, 5.0)  # exp of it is a standard deviation, which must neither vanish nor overflow


def stripe_width(size: int) -> int:
    """Width in pixels of the stripes across an axis of ``size``: its largest divisor that is at most an eighth."""
    most = max(1, size // 8)
    return next(n for n in range(most, 0, -1) if size % n == 0)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, H, W)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise each pixel."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class StripeAttention(nn.Module):
    """Attention among the pixels of a stripe, eq. (4) and (5), with a depthwise convolution of the values (LePE).

    Args:
        channels: Of queries, keys and values.
        heads: Number of heads.
        vertical: Stripes run from top to bottom; else from left to right.
    """

    def __init__(self, channels: int, heads: int, vertical: bool):
        super().__init__()
        self.heads, self.vertical = heads, vertical
        self.lepe = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, qkv: torch.Tensor) -> torch.Tensor:
        """(B, 3, C, H, W) to (B, C, H, W)."""
        if not self.vertical:
            return self._down(qkv.transpose(3, 4)).transpose(2, 3)
        return self._down(qkv)

    def _down(self, qkv: torch.Tensor) -> torch.Tensor:
        b, _, c, h, w = (int(n) for n in qkv.shape)
        width, depth, n = stripe_width(w), c // self.heads, w // stripe_width(w)
        # Channels last and contiguous: fused kernels take nothing else.
        rows = qkv.reshape(b, 3, self.heads, depth, h, n, width).permute(1, 0, 5, 2, 4, 6, 3).contiguous()
        q, k, v = rows.reshape(3, b * n, self.heads, h * width, depth).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(-1, c, h, width)
        values = qkv[:, 2].reshape(b, c, h, n, width).permute(0, 3, 1, 2, 4).reshape(-1, c, h, width)
        # A stripe that is transposed has a kernel that is: weights do not depend on how this is computed.
        kernel = self.lepe.weight if self.vertical else self.lepe.weight.transpose(2, 3)
        out = out + F.conv2d(values, kernel, self.lepe.bias, padding=1, groups=c)
        return out.reshape(b, n, c, h, width).permute(0, 2, 3, 1, 4).reshape(b, c, h, w)


class CSWinBlock(nn.Module):
    """Cross-shaped window block, eq. (6) to (8): half of the channels in vertical, half in horizontal stripes.

    Args:
        channels: In and out.
        heads: An even number; half of them for each direction.
        printed: Add the input once more inside the attention, as eq. (7) is printed; without it, the usual residual.
    """

    def __init__(self, channels: int, heads: int, printed: bool = False):
        super().__init__()
        half, self.printed = channels // 2, printed
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.vertical = StripeAttention(half, heads // 2, vertical=True)
        self.horizontal = StripeAttention(half, heads // 2, vertical=False)
        self.proj = nn.Conv2d(channels, channels, 1)
        self.mlp = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.GELU(), nn.Conv2d(2 * channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same."""
        b, c, h, w = (int(n) for n in x.shape)
        y = self.norm1(x)
        qkv = self.qkv(y + x if self.printed else y).reshape(b, 3, c, h, w)
        crossed = torch.cat([self.vertical(qkv[:, :, : c // 2]), self.horizontal(qkv[:, :, c // 2 :])], 1)
        x = x + self.proj(crossed)
        return x + self.mlp(self.norm2(x))


class VariationalMapping(nn.Module):
    """Mean and spread of each feature; a sample of them in training, the mean else, eq. (9) and (10).

    Args:
        channels: In and out.
        latent: Number of distributions of a pixel, L.
    """

    def __init__(self, channels: int, latent: int):
        super().__init__()
        self.mean, self.log_std = nn.Conv2d(channels, latent, 1), nn.Conv2d(channels, latent, 1)
        self.back = nn.Conv2d(latent, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same; the layer of the spread is in no exported graph."""
        z = self.mean(x)
        if self.training:
            z = z + self.log_std(x).clamp(*_LOG_STD).exp() * torch.randn_like(z)
        return self.back(z)


class BackgroundNetwork(Network):
    """Base of the networks that rebuild backgrounds: cubes (B, channels, H, W) in [-0.1, 0.1] to the same shape."""


@network("SDENet")
class SDENet(BackgroundNetwork):
    """Spectrum Difference Enhanced Network: (B, bands, H, W) to the background of the same size.

    Args:
        channels: Bands of the cube.
        width: Channels at full resolution, a multiple of 4; twice and four times as many below.
        latent: Number of distributions in the bottleneck, L.
        bottleneck: ``vm``, or ``cswin`` for the paper's variant without the variational mapping.
        eq7: ``residual``, or ``printed`` for eq. (7) to the letter.
        global_skip: Add the input to the output, as AETNet does.

    Raises:
        ConfigError: Arguments out of range.
    """

    multiple = 4
    min_px = 8

    def __init__(
        self,
        channels: int = 50,
        width: int = 32,
        latent: int = 32,
        bottleneck: str = "vm",
        eq7: str = "residual",
        global_skip: bool = True,
    ):
        super().__init__()
        check_counts("SDENet", channels=channels, width=width, latent=latent)
        for name, value, known in (("bottleneck", bottleneck, ("vm", "cswin")), ("eq7", eq7, ("residual", "printed"))):
            if value not in known:
                raise ConfigError(f"{name} of SDENet must be {known[0]} or {known[1]}, received {value!r}.")
        if width % 4 or not isinstance(global_skip, bool):
            raise ConfigError(
                f"width={width} of SDENet must be a multiple of 4, global_skip={global_skip} a yes or no."
            )
        self.channels, self.global_skip, printed = channels, global_skip, eq7 == "printed"
        d, wide, deep = width, 2 * width, 4 * width
        self.embed = nn.Conv2d(channels, d, 3, padding=1, bias=False)
        self.encode1 = CSWinBlock(d, 2, printed)
        self.down1 = nn.Conv2d(d, wide, 4, stride=2, padding=1, bias=False)
        self.encode2 = CSWinBlock(wide, 4, printed)
        self.down2 = nn.Conv2d(wide, deep, 4, stride=2, padding=1, bias=False)
        self.middle = VariationalMapping(deep, latent) if bottleneck == "vm" else CSWinBlock(deep, 8, printed)
        self.up2 = nn.ConvTranspose2d(deep, wide, 2, stride=2)
        self.join2 = nn.Conv2d(deep, wide, 1, bias=False)
        self.decode2 = CSWinBlock(wide, 4, printed)
        self.up1 = nn.ConvTranspose2d(wide, d, 2, stride=2)
        self.join1 = nn.Conv2d(wide, d, 1, bias=False)
        self.decode1 = CSWinBlock(d, 2, printed)
        self.out = nn.Conv2d(d, channels, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rebuild the background.

        Args:
            x: (B, bands, H, W), scaled to [-0.1, 0.1]; sides of :attr:`min_px` or more.
        """
        height, width = int(x.shape[-2]), int(x.shape[-1])
        x = self.padded(F.pad(x, (RIM_PX,) * 4, mode="reflect"))
        a = self.encode1(self.embed(x))
        b = self.encode2(self.down1(a))
        y = self.middle(self.down2(b))
        y = self.decode2(self.join2(torch.cat([self.up2(y), b], 1)))
        y = self.out(self.decode1(self.join1(torch.cat([self.up1(y), a], 1))))
        y = y + x if self.global_skip else y
        return y[..., RIM_PX : RIM_PX + height, RIM_PX : RIM_PX + width]
