"""DeepLabV3+: a dilated ResNet, atrous spatial pyramid pooling, and a decoder that looks back at stride 4.

"Encoder-Decoder with Atrous Separable Convolution" (Chen et al., ECCV 2018, arXiv 1802.02611) in the form in which
semi-supervised segmentation compares methods (deep stem, plain convolutions, output stride 16 with multi-grid), S5Mars
(TGRS 2024) among them. With ResNet-50 and 9 classes: 40,472,921 parameters, and at 512 px 79.25 G multiply-adds, 79.59
G by the rules of the thop tool.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import Conv

from rsdet.errors import ConfigError, MissingDependencyError, install
from rsdet.nn.biased_conv import BiasedConv
from rsdet.nn.dilated_resnet import DilatedResNet
from rsdet.nn.networks import check_counts, network
from rsdet.nn.segmentation import SegmentationNetwork

__all__ = ["ASPP", "DeepLabV3Plus", "ImagePooling"]


class ImagePooling(nn.Module):
    """Mean of the map, 1x1 convolution, batch norm and ReLU, spread over the map again.

    A batch of one picture has no statistics of its own here; in training it is normalised by the running ones.

    Args:
        c1: Input channels.
        c2: Output channels.
    """

    def __init__(self, c1: int, c2: int):
        super().__init__()
        self.cv = Conv(c1, c2, 1, act=nn.ReLU(inplace=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, H, W)."""
        y = x.mean((2, 3), keepdim=True)  # ReduceMean and Expand in a graph, which every engine has
        if self.training and len(y) == 1:
            bn = self.cv.bn
            y = F.batch_norm(self.cv.conv(y), bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
            y = self.cv.act(y)
        else:
            y = self.cv(y)
        return y.expand(-1, -1, *x.shape[2:])


class ASPP(nn.Module):
    """Image pooling, a 1x1 and dilated 3x3 convolutions side by side, concatenated and mixed by a 1x1 convolution.

    Args:
        c1: Input channels.
        c2: Channels of each branch and of the output.
        rates: Dilations of the 3x3 convolutions.
    """

    def __init__(self, c1: int, c2: int = 256, rates: Sequence[int] = (6, 12, 18)):
        super().__init__()
        act = nn.ReLU(inplace=True)
        self.branches = nn.ModuleList([ImagePooling(c1, c2), Conv(c1, c2, 1, act=act)])
        self.branches += [Conv(c1, c2, 3, d=d, act=act) for d in rates]
        self.mix = Conv(len(self.branches) * c2, c2, 1, act=act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, H, W)."""
        return self.mix(torch.cat([branch(x) for branch in self.branches], 1))


@network("DeepLabV3Plus")
class DeepLabV3Plus(SegmentationNetwork):
    """DeepLabV3+ with plain convolutions, from ResNet-50 down to what a CPU trains.

    Args:
        depths: Blocks of the stages of the encoder.
        width: Channels of its stem, see :class:`DilatedResNet`.
        block: ``bottleneck`` or ``basic``.
        decoder: Channels of ASPP and decoder.
        low: Channels that the map of stride 4 is reduced to.
        rates: Dilations of ASPP.
        weights: ``imagenet``: start the encoder from timm's ``resnet50s.gluon_in1k``, which is downloaded when a
            training starts (ResNet-50 alone).
        channels: Channels of the image.
        nc: Number of classes.

    Raises:
        ConfigError: Arguments out of range.
    """

    multiple = 16

    def __init__(
        self,
        depths: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        block: str = "bottleneck",
        decoder: int = 256,
        low: int = 48,
        rates: Sequence[int] = (6, 12, 18),
        weights: str | None = None,
        channels: int = 3,
        nc: int = 9,
    ):
        super().__init__(channels, nc)
        check_counts("DeepLabV3+", decoder=decoder, low=low, rates=rates)
        if weights not in (None, "imagenet") or (weights and (list(depths), width, block) != RESNET50):
            raise ConfigError(f"weights={weights!r}; a ResNet-50 has weights=imagenet, others have none; leave it out.")
        self.weights, act = weights, nn.ReLU(inplace=True)
        self.encoder = DilatedResNet(channels, depths, width, block)
        self.aspp = ASPP(self.encoder.out_channels[-1], decoder, rates)
        self.low = BiasedConv(self.encoder.out_channels[0], low, 1)
        self.fuse_maps = nn.Sequential(Conv(decoder + low, decoder, 3, act=act), Conv(decoder, decoder, 3, act=act))
        self.classifier = nn.Conv2d(decoder, nc, 1)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Maps of stride 4 and 16."""
        maps = self.encoder(x)
        return maps[0], maps[-1]

    def decode(self, features: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        """(B, nc, H, W) of an image (B, C, H, W)."""
        fine, coarse = self.low(features[0]), _resize(self.aspp(features[1]), features[0])
        return _resize(self.classifier(self.fuse_maps(torch.cat((coarse, fine), 1))), x)

    def load_pretrained(self) -> str | None:
        """Load ImageNet weights into the encoder.

        Raises:
            MissingDependencyError: timm is not installed.
        """
        if self.weights is None:
            return None
        try:
            import timm
        except ModuleNotFoundError as e:
            raise MissingDependencyError(f"weights=imagenet needs timm; {install('segment')}.") from e
        name = "resnet50s.gluon_in1k"
        self.load_resnet(timm.create_model(name, pretrained=True, in_chans=self.channels).state_dict())
        return f"encoder from timm's {name}"

    def load_resnet(self, state: dict[str, torch.Tensor]) -> None:
        """Load the encoder from the state dict of a ``resnet50s`` of timm."""
        theirs = (v for k, v in state.items() if not k.startswith("fc."))
        self.encoder.load_state_dict(dict(zip(self.encoder.state_dict(), theirs, strict=True)))  # in the same order


RESNET50 = ([3, 4, 6, 3], 64, "bottleneck")


def _resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)
