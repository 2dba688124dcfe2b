"""Hybrid-SegUFormer: strided convolutions and Transformer blocks down, a U-Net decoder up, a head that sees all levels.

"Hybrid-SegUFormer" (Remote Sens. 2025, 17, 3514), landslides in maps of InSAR velocity. The text leaves depths, widths
of the decoder and its last skip open. Layout "B", the default, meets both published counts: 12,554,049 parameters and,
by the rules of the thop tool and with the head's 1x1 convolutions after the resizing, 32.53 G multiply-adds at 256 px.
Layout "A" (hybrid-seguformer-a.yaml) is what the text about the head says: 12,549,313 parameters, 40.05 G.

Those rules leave the products of the attention out, which are most of the work: all in all, layout B takes 107.0 G
multiply-adds at 256 px, 78.8 G of them for attention. ``sr_ratio=[8, 4, 2, 1]`` brings it to 30.0 G. PyTorch keeps no
matrix of scores, but an exported graph does: ONNX Runtime takes 2.2 GB more at 256 px and 16 times that at 512; with
the reduction 0.2 and 0.6 GB.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.biased_conv import BiasedConv
from rsdet.nn.networks import check_counts, network
from rsdet.nn.reduced_attention import TransformerStage
from rsdet.nn.segmentation import SegmentationNetwork

__all__ = ["HybridSegUFormer", "MultiScaleHead", "UpBlock"]

SKIPS = ("image", "f1")


class UpBlock(nn.Module):
    """Transposed 2x2 convolution of stride 2, concatenation with a skip, then 3x3 convolutions with BN and ReLU.

    Args:
        c1: Channels from below.
        skip: Channels of the skip.
        c2: Channels after the transposed convolution, and of the output.
        double: Two convolutions instead of one.
    """

    def __init__(self, c1: int, skip: int, c2: int, double: bool = True):
        super().__init__()
        self.up = nn.ConvTranspose2d(c1, c2, 2, 2)
        self.convs = nn.Sequential(BiasedConv(c2 + skip, c2), *([BiasedConv(c2, c2)] if double else []))

    def forward(self, below: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) and a skip, resized where it has another size, to (B, c2, 2 H, 2 W)."""
        y = self.up(below)
        return self.convs(torch.cat((y, resized(skip, y)), 1))


class MultiScaleHead(nn.Module):
    """MSD: each map reduced by a 1x1 convolution and resized, concatenated, then 3x3 with BN and ReLU, then 1x1.

    The reduction comes before the resizing: the same function for less work.

    Args:
        channels: Channels of the maps.
        nc: Number of classes.
        width: Channels that each map is reduced to.
    """

    def __init__(self, channels: Sequence[int], nc: int, width: int = 64):
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.mix = BiasedConv(len(channels) * width, width)
        self.classifier = nn.Conv2d(width, nc, 1)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map (B, C_i, H_i, W_i), the last of full size, to (B, nc, H, W)."""
        same = [resized(conv(m), maps[-1]) for conv, m in zip(self.reduce, maps, strict=True)]
        return self.classifier(self.mix(torch.cat(same, 1)))


@network("HybridSegUFormer")
class HybridSegUFormer(SegmentationNetwork):
    """Hybrid-SegUFormer.

    =======  =================================  ===============
    F1 - F4  :class:`TransformerStage`          H / 2 to H / 16
    D4       F4 up, with F3                     H / 8
    D3       D4 up, with F2                     H / 4
    D2       D3 up, with F1                     H / 2
    D1       D2 up, with the image or F1        H
    logits   :class:`MultiScaleHead` of D4 - 1  H
    =======  =================================  ===============

    Args:
        widths: Channels of F1 to F4, multiples of ``head_dim``.
        depths: Transformer blocks of each stage.
        head_dim: Channels of a head of the attention.
        sr_ratio: Reduction of keys and values in each stage, divisors of 8, 4, 2 and 1 (a cell of F4 has
            as many of F1 to F4 along each axis); 1 is the paper.
        decoder_channels: Channels of D4 to D1.
        double_conv: Two convolutions in each step of the decoder.
        d1_skip: ``image`` or ``f1``.
        msd: Have the multi-scale head; a 1x1 convolution on D1 otherwise (row "w/o MSD" of the paper).
        msd_width: Channels of each map in that head.
        channels: Channels of the image.
        nc: Number of classes.

    Raises:
        ConfigError: Arguments out of range.
    """

    multiple = 16

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 320, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        head_dim: int = 64,
        sr_ratio: Sequence[int] = (1, 1, 1, 1),
        decoder_channels: Sequence[int] = (320, 128, 64, 64),
        double_conv: bool = True,
        d1_skip: str = "image",
        msd: bool = True,
        msd_width: int = 64,
        channels: int = 3,
        nc: int = 1,
    ):
        super().__init__(channels, nc)
        _check(head_dim, d1_skip, widths=widths, depths=depths, sr_ratio=sr_ratio, decoder_channels=decoder_channels)
        check_counts("Hybrid-SegUFormer", msd_width=msd_width)
        self.d1_skip = d1_skip
        self.stages, c = nn.ModuleList(), channels
        for width, depth, ratio in zip(widths, depths, sr_ratio, strict=True):
            self.stages.append(TransformerStage(c, width, depth, width // head_dim, ratio))
            c = width
        self.ups = nn.ModuleList()
        skips = (widths[2], widths[1], widths[0], channels if d1_skip == "image" else widths[0])
        for skip, c2 in zip(skips, decoder_channels, strict=True):
            self.ups.append(UpBlock(c, skip, c2, double_conv))
            c = c2
        self.head = MultiScaleHead(decoder_channels, nc, msd_width) if msd else nn.Conv2d(c, nc, 1)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """F1 to F4."""
        maps = []
        for stage in self.stages:
            maps.append(x := stage(x))
        return tuple(maps)

    def decode(self, features: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        """(B, nc, H, W) of an image (B, C, H, W)."""
        *skips, y = features
        maps = []
        for up, skip in zip(self.ups, (*skips[::-1], x if self.d1_skip == "image" else skips[0]), strict=True):
            maps.append(y := up(y, skip))
        return self.head(maps if isinstance(self.head, MultiScaleHead) else y)


def resized(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Resize bilinearly to the size of another map; nothing is done where it has that already."""
    size = like.shape[2:]
    return x if x.shape[2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)


def _check(head_dim: int, d1_skip: str, **lists: Sequence[int]) -> None:
    what = "Hybrid-SegUFormer"
    check_counts(what, 0, depths=lists["depths"])
    check_counts(what, head_dim=head_dim, **{k: v for k, v in lists.items() if k != "depths"})
    for name, value in lists.items():
        if not isinstance(value, (list, tuple)) or len(value) != 4:
            raise ConfigError(f"{name} of {what} must be four numbers, received {value!r}.")
    if any(c % head_dim for c in lists["widths"]):
        raise ConfigError(f"widths of {what} must be multiples of head_dim={head_dim}, received {lists['widths']!r}.")
    if any(most % ratio for ratio, most in zip(lists["sr_ratio"], (8, 4, 2, 1), strict=True)):
        raise ConfigError(
            f"sr_ratio of {what} must divide 8, 4, 2 and 1, each its own, received {lists['sr_ratio']!r}."
        )
    if d1_skip not in SKIPS:
        raise ConfigError(f"d1_skip of {what} must be one of {list(SKIPS)}, received {d1_skip!r}.")
