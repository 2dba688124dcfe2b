"""TinyCD: the first layers of EfficientNet-B4 for both dates, channels mixed in pairs, masks that weigh the way up.

Codegoni, Lombardi, Ferrari, "TinyCD: a (not so) deep learning model for change detection" (2022). 285,128 parameters;
the paper counts 285,803.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import DataError
from rsdet.nn.change import ChangeNetwork
from rsdet.nn.networks import network

__all__ = ["MixingBlock", "TinyCD"]


class MixingBlock(nn.Module):
    """Joins two maps: channel i of both goes through a 3x3 convolution of its own.

    Args:
        channels: Of each map and of the output.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, channels, 3, padding=1, groups=channels)
        self.act = nn.PReLU()
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Two maps (B, C, H, W) to one."""
        pairs = torch.stack((before, after), 2).flatten(1, 2)
        return self.norm(self.act(self.conv(pairs)))


class _Pixelwise(nn.Sequential):
    """1x1 convolutions with PReLU; the last one without where asked for."""

    def __init__(self, widths: Sequence[int], last_act: bool = True):
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv2d(a, b, 1), nn.PReLU()]
        super().__init__(*layers[: None if last_act else -1])


class _Mask(nn.Module):
    """One map that says where two differ."""

    def __init__(self, channels: int, widths: Sequence[int]):
        super().__init__()
        self.mix, self.linear = MixingBlock(channels), _Pixelwise([channels, *widths, 1])

    def forward(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        return self.linear(self.mix(before, after))


class _Up(nn.Module):
    """Twice the size, weighed by a mask, then a depthwise and a 1x1 convolution."""

    def __init__(self, c1: int, c2: int):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(c1, c1, 3, padding=1, groups=c1), nn.PReLU(), nn.InstanceNorm2d(c1), nn.Conv2d(c1, c2, 1),
            nn.PReLU(), nn.InstanceNorm2d(c2),
        )  # fmt: skip

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        y = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        return self.convs(y * mask)


class _SqueezeExcite(nn.Module):
    """Channels weighed by two 1x1 convolutions of their means."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.fc2(F.silu(self.fc1(x.mean((2, 3), keepdim=True)))))


class _MBConv(nn.Module):
    """Inverted residual block of EfficientNet, its layers in the order of torchvision's."""

    def __init__(self, c1: int, c2: int, k: int, stride: int, expand: int):
        super().__init__()
        wide = c1 * expand
        layers = [_conv(c1, wide, 1)] if expand > 1 else []
        layers += [_conv(wide, wide, k, stride, wide), _SqueezeExcite(wide, max(1, c1 // 4)), _conv(wide, c2, 1)[:2]]
        self.block, self.residual = nn.Sequential(*layers), stride == 1 and c1 == c2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block(x)
        return x + y if self.residual else y


def _conv(c1: int, c2: int, k: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c1, c2, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(c2), nn.SiLU(inplace=True)
    )


@network("TinyCD")
class TinyCD(ChangeNetwork):
    """TinyCD.

    Args:
        weights: ``imagenet``: start the encoder from torchvision's EfficientNet-B4, downloaded when a training starts.
        bands: Channels of one date.

    Raises:
        ConfigError: Arguments out of range.
    """

    multiple = 8

    def __init__(self, weights: str | None = None, bands: int = 3):
        super().__init__(bands)
        self.weights = weights
        self.stages = nn.ModuleList([
            _conv(bands, 48, 3, 2),
            nn.Sequential(_MBConv(48, 24, 3, 1, 1), _MBConv(24, 24, 3, 1, 1)),
            nn.Sequential(_MBConv(24, 32, 3, 2, 6), *(_MBConv(32, 32, 3, 1, 6) for _ in range(3))),
            nn.Sequential(_MBConv(32, 56, 5, 2, 6), *(_MBConv(56, 56, 5, 1, 6) for _ in range(3))),
        ])  # fmt: skip
        self.masks = nn.ModuleList([_Mask(bands, [10, 5]), _Mask(24, [12, 6]), _Mask(32, [16, 8])])
        self.mix = MixingBlock(56)
        self.ups = nn.ModuleList([_Up(56, 64), _Up(64, 64), _Up(64, 32)])
        self.head = _Pixelwise([32, 16, 8, 1], last_act=False)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Masks of full, half and quarter size, and the mixed map of an eighth."""
        before, after = self.dates(x)
        found = [self.masks[0](before, after)]
        for i, stage in enumerate(self.stages):
            before, after = stage(before), stage(after)
            if 0 < i < 3:
                found.append(self.masks[i](before, after))
        return (*found, self.mix(before, after))

    def decode(self, features: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) from masks and map."""
        *masks, y = features
        for up, mask in zip(self.ups, masks[::-1], strict=True):
            y = up(y, mask)
        return self.head(y)

    def load_pretrained(self) -> str | None:
        """Start the encoder from torchvision's weights.

        Raises:
            DataError: They cannot be fetched, or the date has not three bands.
        """
        if self.weights is None:
            return None
        if self.bands != 3:
            raise DataError(f"weights={self.weights} of TinyCD are for three bands, received {self.bands}.")
        from torchvision.models import EfficientNet_B4_Weights, efficientnet_b4

        try:
            source = efficientnet_b4(weights=EfficientNet_B4_Weights.IMAGENET1K_V1).features[: len(self.stages)]
        except (OSError, RuntimeError) as e:
            raise DataError(f"weights of EfficientNet-B4 cannot be fetched ({e}); leave weights= out.") from e
        self.take(source.state_dict())
        return "encoder EfficientNet-B4 from imagenet"

    def take(self, weights: dict[str, torch.Tensor]) -> None:
        """Take the weights of EfficientNet-B4's first four stages, whose layers come in the same order."""
        own = self.stages.state_dict()
        self.stages.load_state_dict(dict(zip(own, weights.values(), strict=True)))
