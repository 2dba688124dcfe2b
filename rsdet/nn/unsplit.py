"""C2f without its split, for inference.

C2f makes two halves by one 1x1 convolution and cuts its output. Two convolutions of half the width give the same maps
without copies, and a backend with a layout of its own need not leave it in between.
"""

from __future__ import annotations

import torch
from torch import nn
from ultralytics.nn.modules import C2f, Conv

from rsdet.nn.heat import VHeatC2f


def halves(cv: Conv) -> tuple[nn.Sequential, nn.Sequential]:
    """Two layers that give the first and the second half of the output channels of one.

    Args:
        cv: Convolution of one group, its batch norm folded.
    """
    return _part(cv, 0), _part(cv, 1)


def _part(cv: Conv, i: int) -> nn.Sequential:
    old, c = cv.conv, cv.conv.out_channels // 2
    new = nn.Conv2d(old.in_channels, c, old.kernel_size, old.stride, old.padding, old.dilation)
    new = new.to(old.weight.device, old.weight.dtype).requires_grad_(False)
    new.weight.copy_(old.weight.detach()[i * c : (i + 1) * c])
    new.bias.copy_(old.bias.detach()[i * c : (i + 1) * c])
    return nn.Sequential(new, cv.act)


class UnsplitC2f(nn.Module):
    """What a C2f or a :class:`VHeatC2f` computes.

    Args:
        block: The layer, batch norms folded.

    Shapes:
        (B, c1, H, W) to (B, c2, H, W).
    """

    def __init__(self, block: C2f | VHeatC2f):
        super().__init__()
        self.first, self.second = halves(block.cv1)
        self.m, self.cv2 = block.m, block.cv2
        self.fve = getattr(block, "fve", None)  # the frequency embedding that heat blocks share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the layer."""
        y = [self.first(x), self.second(x)]
        for block in self.m:
            y.append(block(y[-1]) if self.fve is None else block(y[-1], self.fve))
        return self.cv2(torch.cat(y, 1))
