"""DWTMA-Net: dehazing in the wavelet and Fourier domains, and the blocks that it is made of.

"DWTMA-Net: Discrete Wavelet Transform and Multi-Dimensional Attention Network for Remote Sensing Image Dehazing"
(Remote Sens. 2025). A U-shape of five levels; each level is a run of FFEB, a wavelet block (DWB) and then an attention
block (MAB). The paper prints neither all layers nor code. What it leaves open is taken from the works that it builds on
(MixDehazeNet's skeleton, FFA-Net's attention, StarNet's block, gUNet's SK fusion) such that the published counts are
met: 684 parameters and 170.66 M multiply-adds for SAOD on a picture of 512 px (exactly), 8.37 M and 188.73 G for the
whole (published: 8.34 M, 188.72 G).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.fourier import FAM
from rsdet.nn.networks import network
from rsdet.nn.restoration import RestorationNetwork
from rsdet.nn.wavelet import WDM, haar_dwt, haar_idwt

__all__ = ["DWB", "FFEB", "MAB", "SAOD", "DWTMANet", "DilatedResidual", "SKFusion", "StarBlock"]

HEADS = ("soft", "residual")


class SAOD(nn.Module):
    """Small AOD block (DWTMA-Net equations 5-7): ``K f - K + b``, the haze model of AOD-Net on features.

    K comes from three 3x3 convolutions, b from the mean by two 1x1 convolutions; both lie between 0 and 1. Convolutions
    have no bias.

    Args:
        c: Channels of input and output.
    """

    def __init__(self, c: int):
        super().__init__()
        self.to_k = nn.Sequential(
            nn.Conv2d(c, 2 * c, 3, padding=1, bias=False),
            nn.Conv2d(2 * c, 2 * c, 3, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * c, c, 3, padding=1, bias=False),
        )
        self.to_b = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(c, 2 * c, 1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * c, c, 1, bias=False),
        )

    def parameters_of_haze(self, f: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """K (B, C, H, W) and b (B, C, 1, 1), both between 0 and 1."""
        return self.to_k(f).sigmoid(), self.to_b(f).sigmoid()

    def forward(self, f: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        k, b = self.parameters_of_haze(f)
        return k * (f - 1) + b


class DilatedResidual(nn.Module):
    """Three 3x3 convolutions of dilation 1, 2, 1 with ReLU between them, plus the input (DWTMA-Net section 3.2).

    Args:
        c: Channels of input and output.
    """

    def __init__(self, c: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c, c, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(c, c, 3, padding=2, dilation=2, bias=False),
            nn.ReLU(),
            nn.Conv2d(c, c, 3, padding=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return x + self.body(x)


class DWB(nn.Module):
    """Discrete wavelet block (DWTMA-Net equations 3-8): SAOD on LL, one dilated block on cH, cV and cD, and back.

    The three details share the weights of the dilated block; with weights of their own the network would have 2.6 M
    parameters too many.

    Args:
        c: Channels of input and output.
    """

    def __init__(self, c: int):
        super().__init__()
        self.saod = SAOD(c)
        self.details = DilatedResidual(c)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        ll, *details = haar_dwt(x)
        details = self.details(torch.cat(details)).chunk(3)
        h, w = int(x.shape[-2]), int(x.shape[-1])
        y = haar_idwt(self.saod(ll), *details)
        return y[..., :h, :w] if h % 2 or w % 2 else y


class MAB(nn.Module):
    """Multi-dimensional attention block (DWTMA-Net equations 9-11).

    ::

        z   = Conv3(ReLU(BN Conv1(y) + BN Conv3(y))),   y = BN DWConv(x)     twice the channels
        x_a = PA(z) + CA(z)                                                  pixel and channel attention of FFA-Net
        out = x + DWConv(BN Conv1(x_a * sigmoid(FAM(z))))

    Args:
        c: Channels of input and output.
        ratio: Channels inside relative to ``c``.
        ca: Have the channel attention; without both attentions, x_a = z.
        pa: Have the pixel attention.
        fam: Have the frequency attention.
    """

    def __init__(self, c: int, ratio: int = 2, ca: bool = True, pa: bool = True, fam: bool = True):
        super().__init__()
        e = c * ratio
        squeezed = max(e // 8, 1)
        self.dw1 = nn.Conv2d(c, c, 3, padding=1, groups=c)
        self.bn1 = nn.BatchNorm2d(c)
        self.point, self.bn_point = nn.Conv2d(c, e, 1), nn.BatchNorm2d(e)
        self.cross, self.bn_cross = nn.Conv2d(c, e, 3, padding=1), nn.BatchNorm2d(e)
        self.mix = nn.Conv2d(e, e, 3, padding=1)
        self.ca = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_gate(e, squeezed, e)) if ca else None
        self.pa = _gate(e, squeezed, 1) if pa else None
        self.fam = FAM(e) if fam else None
        self.out, self.bn_out = nn.Conv2d(e, c, 1), nn.BatchNorm2d(c)
        self.dw2 = nn.Conv2d(c, c, 3, padding=1, groups=c)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        y = self.bn1(self.dw1(x))
        wide = self.bn_cross(self.cross(y))
        if self.point is not None:
            wide = wide + self.bn_point(self.point(y))
        z = self.mix(F.relu(wide))
        a = z
        if self.pa is not None and self.ca is not None:
            a = z * (self.pa(z) + self.ca(z))  # = PA(z) + CA(z)
        elif self.pa is not None:
            a = z * self.pa(z)
        elif self.ca is not None:
            a = z * self.ca(z)
        if self.fam is not None:
            a = a * self.fam(z).sigmoid()
        return x + self.dw2(self.bn_out(self.out(a)))

    @torch.no_grad()
    def fuse(self) -> MAB:
        """Fold the batch norms into the convolutions, and the 1x1 branch into the centre of the 3x3 branch. Once."""
        if self.point is not None:
            self.dw1, self.bn1 = _folded(self.dw1, self.bn1), nn.Identity()
            self.out, self.bn_out = _folded(self.out, self.bn_out), nn.Identity()
            point, cross = _folded(self.point, self.bn_point), _folded(self.cross, self.bn_cross)
            cross.weight[..., 1, 1] += point.weight[..., 0, 0]
            cross.bias += point.bias
            self.cross, self.bn_cross, self.point, self.bn_point = cross, nn.Identity(), None, None
        return self


class StarBlock(nn.Module):
    """Block of StarNet (Ma et al., CVPR 2024, arXiv 2403.19967), what MAB replaces in the paper's ablation.

    ``x + DWConv(BN Conv1(ReLU6(Conv1 y) * Conv1 y))`` with ``y = BN DWConv(x)``; depthwise 3x3 as in MAB.

    Args:
        c: Channels of input and output.
        ratio: Channels inside relative to ``c``.
    """

    def __init__(self, c: int, ratio: int = 2):
        super().__init__()
        self.dw1, self.bn1 = nn.Conv2d(c, c, 3, padding=1, groups=c), nn.BatchNorm2d(c)
        self.both = nn.Conv2d(c, 2 * ratio * c, 1)
        self.out, self.bn_out = nn.Conv2d(ratio * c, c, 1), nn.BatchNorm2d(c)
        self.dw2 = nn.Conv2d(c, c, 3, padding=1, groups=c)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        a, b = self.both(self.bn1(self.dw1(x))).chunk(2, 1)
        return x + self.dw2(self.bn_out(self.out(F.relu6(a) * b)))

    def fuse(self) -> StarBlock:
        """Fold the batch norms into the convolutions. Once."""
        if not isinstance(self.bn1, nn.Identity):
            self.dw1, self.bn1 = _folded(self.dw1, self.bn1), nn.Identity()
            self.out, self.bn_out = _folded(self.out, self.bn_out), nn.Identity()
        return self


class FFEB(nn.Module):
    """Frequency feature extraction block (DWTMA-Net figure 1): DWB, then MAB.

    Args:
        c: Channels of input and output.
        dwb: Have the wavelet block.
        mab: Have MAB; a :class:`StarBlock` otherwise.
        **attention: ``ca``, ``pa`` and ``fam`` of MAB.
    """

    def __init__(self, c: int, dwb: bool = True, mab: bool = True, **attention: bool):
        super().__init__()
        self.dwb = DWB(c) if dwb else nn.Identity()
        self.mab = MAB(c, **attention) if mab else StarBlock(c)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return self.mab(self.dwb(x))


class SKFusion(nn.Module):
    """Weighted sum of two maps whose weights, per channel, sum to 1 (SKNet's selection as gUNet uses it).

    From the mean of the sum: 1x1 convolution to C / 8 channels (4 at least), ReLU, 1x1 convolution, softmax over both.

    Args:
        c: Channels of both maps.
    """

    def __init__(self, c: int):
        super().__init__()
        squeezed = max(c // 8, 4)
        self.to_weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(c, squeezed, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(squeezed, 2 * c, 1, bias=False),
        )

    def weights(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Weight of ``u`` and of ``v``: (B, 2, C, 1, 1)."""
        return self.to_weights(u + v).unflatten(1, (2, -1)).softmax(1)

    def forward(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Fuse two maps (B, C, H, W)."""
        w = self.weights(u, v)
        return w[:, 0] * u + w[:, 1] * v


@network("DWTMANet")
class DWTMANet(RestorationNetwork):
    """DWTMA-Net, an enhancer of hazy RGB pictures. Its last layer gives K and B, the result is ``K x - B + x``.

    ====  ======================================  =======================
    L1    stem 3x3, FFEB x n1                     C, H
    L2    WDM, FFEB x n2                          2 C, H / 2
    L3    WDM, FFEB x n3                          4 C, H / 4
    L4    up, fused with L2, FFEB x n4            2 C, H / 2
    L5    up, fused with L1, FFEB x n5, head 3x3  C, H
    ====  ======================================  =======================

    "Up" is a 1x1 convolution and PixelShuffle; "fused" is :class:`SKFusion` plus the upper map. With C = 24 and the
    blocks of the paper: 8.37 M parameters, 0.72 kMAC per pixel, some 2.1 GB of memory per megapixel in float32.

    Args:
        width: C.
        blocks: FFEB of each level.
        head: ``soft`` as above (one K for all channels), or ``residual``: the last layer gives what is added to x.
        wdm: Downsample with wavelets; strided convolution alone otherwise. This and the following make the rows of the
            paper's Tables 5 and 6.
        dwb: Have the wavelet blocks.
        mab: Have the attention blocks; StarNet's otherwise.
        ca: Have channel attention in MAB.
        pa: Have pixel attention in MAB.
        fam: Have frequency attention in MAB.
        identity_start: Start from a last layer of zeros, that is from the input as it is. Not in the paper; it helps
            short trainings.
        channels: Channels of the picture.

    Raises:
        ConfigError: Arguments out of range.
    """

    multiple = 8
    min_px = 16

    def __init__(
        self,
        width: int = 24,
        blocks: Sequence[int] = (2, 2, 4, 2, 2),
        head: str = "soft",
        wdm: bool = True,
        dwb: bool = True,
        mab: bool = True,
        ca: bool = True,
        pa: bool = True,
        fam: bool = True,
        identity_start: bool = False,
        channels: int = 3,
    ):
        super().__init__()
        _check(width, blocks, head)
        self.channels, self.soft = channels, head == "soft"
        c = width
        attention = {"ca": ca, "pa": pa, "fam": fam} if mab else {}

        def level(i: int, c: int) -> nn.Sequential:
            return nn.Sequential(*(FFEB(c, dwb, mab, **attention) for _ in range(blocks[i])))

        self.stem = nn.Conv2d(channels, c, 3, padding=1, padding_mode="reflect")
        self.level1, self.down1 = level(0, c), WDM(c, 2 * c, wdm)
        self.level2, self.down2 = level(1, 2 * c), WDM(2 * c, 4 * c, wdm)
        self.level3, self.up1, self.fuse1 = level(2, 4 * c), _up(4 * c), SKFusion(2 * c)
        self.level4, self.up2, self.fuse2 = level(3, 2 * c), _up(2 * c), SKFusion(c)
        self.level5 = level(4, c)
        self.head = nn.Conv2d(c, channels + self.soft, 3, padding=1, padding_mode="reflect")
        if identity_start:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, H, W), H and W multiples of 8."""
        a = self.level1(self.stem(x))
        b = self.level2(self.down1(a))
        u = self.up1(self.level3(self.down2(b)))
        u = self.up2(self.level4(self.fuse1(u, b) + u))
        y = self.head(self.level5(self.fuse2(u, a) + u))
        if not self.soft:
            return x + y
        k, shift = y[:, :1], y[:, 1:]
        return k * x - shift + x

    def fuse(self) -> DWTMANet:
        """Fold all batch norms; for inference only, in place. The state dict has other names afterwards."""
        for block in self.modules():
            if isinstance(block, (MAB, StarBlock)):
                block.fuse()
        return self


def _gate(c1: int, squeezed: int, c2: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c1, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, c2, 1), nn.Sigmoid())


def _up(c: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c, 2 * c, 1), nn.PixelShuffle(2))


def _folded(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    return nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), bn.eval())


def _check(width: Any, blocks: Any, head: Any) -> None:
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise ConfigError(f"width of DWTMA-Net must be a number of channels, 1 or more, received {width!r}.")
    whole = isinstance(blocks, (list, tuple)) and all(isinstance(n, int) and n >= 0 for n in blocks)
    if not whole or len(blocks) != 5:
        raise ConfigError(f"blocks of DWTMA-Net must be five numbers of blocks, received {blocks!r}.")
    if head not in HEADS:
        raise ConfigError(f"head of DWTMA-Net must be one of {list(HEADS)}, received {head!r}.")
