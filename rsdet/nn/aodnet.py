"""AOD-Net, the smallest dehazing network: 1,761 parameters, 1,746 multiply-adds per pixel.

"AOD-Net: All-in-One Dehazing Network" (Li et al., ICCV 2017). The haze model I = J t + A (1 - t), solved for the clear
picture J, is ``J = K I - K + b`` with one map K that holds both t and A; five convolutions estimate K.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.nn.networks import network
from rsdet.nn.restoration import RestorationNetwork

__all__ = ["AODNet"]


@network("AODNet")
class AODNet(RestorationNetwork):
    """AOD-Net (figure 3): kernels of 1, 3, 5, 7 and 3 px, each layer fed by earlier ones; ``relu(K x - K + b)``.

    The paper starts all weights from a normal distribution of deviation 0.02, so that K starts near 0 and the result
    near white; where the last ReLU is shut at the start it never opens. Here the last bias starts at 1: K is near 1,
    and the result near the input.

    Args:
        b: The constant b; the paper has 1.
        channels: Channels of the picture.
    """

    local = True  # 7 px in each direction

    def __init__(self, b: float = 1.0, channels: int = 3):
        super().__init__()
        self.b, self.channels, c = float(b), channels, channels
        self.conv1 = nn.Conv2d(c, c, 1)
        self.conv2 = nn.Conv2d(c, c, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * c, c, 5, padding=2)
        self.conv4 = nn.Conv2d(2 * c, c, 7, padding=3)
        self.conv5 = nn.Conv2d(4 * c, c, 3, padding=1)
        nn.init.normal_(self.conv5.weight, std=0.02)
        nn.init.constant_(self.conv5.bias, 1.0)

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        x1 = F.relu(self.conv1(x))
        x2 = F.relu(self.conv2(x1))
        x3 = F.relu(self.conv3(torch.cat((x1, x2), 1)))
        x4 = F.relu(self.conv4(torch.cat((x2, x3), 1)))
        k = F.relu(self.conv5(torch.cat((x1, x2, x3, x4), 1)))
        return F.relu(k * x - k + self.b)
