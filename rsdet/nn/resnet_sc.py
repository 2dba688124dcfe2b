"""The classic ResNet (7x7 stem, stride in the 3x3 convolution) with a place for SCConv in every block.

Parts have the names of torchvision's ResNet, so that its ImageNet weights load by key, with SCConv besides or without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from rsdet.errors import CheckpointError, ConfigError
from rsdet.nn.networks import check_counts
from rsdet.nn.scconv import SCConv

__all__ = ["ClassicResNet"]

Insert = Callable[[int], nn.Module]  # from channels to what comes after a 3x3 convolution


class ClassicBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions; the inserted layer stands between the 3x3 and its batch norm.

    Args:
        c1: Input channels.
        c: Channels inside; the output has four times as many.
        s: Stride of the 3x3 convolution.
        insert: Makes the inserted layer.
    """

    expansion = 4

    def __init__(self, c1: int, c: int, s: int, insert: Insert):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c1, c, 1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.dre = nn.Conv2d(c, c, 3, s, 1, bias=False), insert(c)
        self.bn2 = nn.BatchNorm2d(c)
        self.conv3, self.bn3 = nn.Conv2d(c, 4 * c, 1, bias=False), nn.BatchNorm2d(4 * c)
        self.downsample = shortcut(c1, 4 * c, s)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, 4 c, ceil(H/s), ceil(W/s))."""
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.dre(self.conv2(y))).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


class ClassicBasic(nn.Module):
    """Two 3x3 convolutions; the inserted layer stands between the first and its batch norm.

    The arguments are those of :class:`ClassicBottleneck`; the output has ``c`` channels.
    """

    expansion = 1

    def __init__(self, c1: int, c: int, s: int, insert: Insert):
        super().__init__()
        self.conv1, self.dre = nn.Conv2d(c1, c, 3, s, 1, bias=False), insert(c)
        self.bn1 = nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)
        self.downsample = shortcut(c1, c, s)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c, ceil(H/s), ceil(W/s))."""
        y = self.bn1(self.dre(self.conv1(x))).relu()
        return (self.bn2(self.conv2(y)) + self.downsample(x)).relu()


def shortcut(c1: int, c2: int, s: int) -> nn.Module:
    """A 1x1 convolution and batch norm where shape or stride change."""
    if s == 1 and c1 == c2:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(c1, c2, 1, s, bias=False), nn.BatchNorm2d(c2))


BLOCKS = {"bottleneck": ClassicBottleneck, "basic": ClassicBasic}
PUBLISHED = {("bottleneck", (3, 4, 6, 3), 64): "ResNet50", ("basic", (2, 2, 2, 2), 64): "ResNet18"}


class ClassicResNet(nn.Module):
    """(B, channels, H, W) to the last map alone, (B, out_channels, H / stride, W / stride).

    Args:
        channels: Channels of the image.
        depths: Blocks of each of the four stages.
        width: Channels of the stem; stage i = 0..3 is ``2^i`` times as wide, bottlenecks put out four times that.
        block: ``bottleneck`` (ResNet-50 and deeper) or ``basic`` (ResNet-18 and 34).
        stride: 32, or 16: the last stage keeps the size.
        dre: Put :class:`SCConv` after a 3x3 convolution of every block.
        gate: See :class:`SCConv`.
        identity: See :class:`SCConv`.

    Attributes:
        out_channels: Channels of the map.
        published: Name of the network whose ImageNet weights fit; None where there are none.

    Raises:
        ConfigError: Arguments out of range.
    """

    def __init__(
        self,
        channels: int = 3,
        depths: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        block: str = "bottleneck",
        stride: int = 32,
        dre: bool = True,
        gate: str = "soft",
        identity: bool = False,
    ):
        super().__init__()
        check_counts("ResNet", channels=channels, depths=depths, width=width)
        if not isinstance(depths, (list, tuple)) or len(depths) != 4 or block not in BLOCKS or stride not in (16, 32):
            raise ConfigError(
                f"a ResNet has four depths, block={'|'.join(BLOCKS)} and stride=16|32, received depths={depths!r}, "
                f"block={block!r}, stride={stride!r}."
            )
        make, c = BLOCKS[block], width
        insert: Insert = (lambda c: SCConv(c, gate, identity)) if dre else lambda c: nn.Identity()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for i, (n, s) in enumerate(zip(depths, (1, 2, 2, stride // 16), strict=True)):
            inside = width * 2**i
            blocks = [make(c if j == 0 else inside * make.expansion, inside, 1 if j else s, insert) for j in range(n)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            c = inside * make.expansion
        self.out_channels = c
        self.published = PUBLISHED.get((block, tuple(depths), width))
        for name, m in self.named_modules():
            if isinstance(m, nn.Conv2d) and ".dre." not in name:
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def load_classic(self, state: dict[str, torch.Tensor]) -> None:
        """Load the state dict of torchvision's network of this shape; SCConv stays as it is.

        A first convolution of three channels is repeated over others, and weighed to keep the size of its output.

        Raises:
            CheckpointError: It is that of another network.
        """
        state = {k: v for k, v in state.items() if not k.startswith("fc.")}
        channels, first = self.conv1.in_channels, state.get("conv1.weight")
        if first is not None and first.shape[1] == 3 != channels:
            first = first.sum(1, keepdim=True) / 3 if channels == 1 else first
            state["conv1.weight"] = torch.cat([first] * channels, 1)[:, :channels] * (3 / channels)
        own = {k: v for k, v in self.state_dict().items() if ".dre." not in k}
        wrong = own.keys() ^ state.keys() or [k for k, v in own.items() if v.shape != state[k].shape]
        if wrong:
            raise CheckpointError(f"these weights are of another ResNet, {sorted(wrong)[0]} does not fit; use its own.")
        self.load_state_dict(state, strict=False)
