"""Plain convolutional networks for land cover, what others are measured against: of two dimensions and of three.

Their defaults cost as many multiply-adds a patch as CAB-HL at 20 components and patches of 8 px, 139 million.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rsdet.nn.landcover import LandCoverNetwork
from rsdet.nn.networks import check_counts, network


class _PatchCNN(LandCoverNetwork):
    """Convolutions of 3 px with BatchNorm and ReLU, a mean over the patch, and one layer on top.

    Args:
        bands: Bands of the cube.
        rasters: Rasters of LiDAR, which the first layer gets beside the components; 0 for the cube alone.
        components: Principal components.
        patch: Side of a patch in pixels.
        nc: Number of classes.
        width: Channels.
        depth: Convolutions.
    """

    conv: type[nn.Module]
    norm: type[nn.Module]

    def __init__(self, bands: int, rasters: int, components: int, patch: int, nc: int, width: int, depth: int):
        super().__init__(bands, rasters, components, patch, nc)
        check_counts(type(self).__name__, width=width, depth=depth)
        layers: list[nn.Module] = []
        for c1 in (self.first_channels(), *[width] * (depth - 1)):
            layers += [self.conv(c1, width, 3, padding=1, bias=False), self.norm(width), nn.ReLU(inplace=True)]
        self.layers, self.out = nn.Sequential(*layers), nn.Linear(width, nc)

    def first_channels(self) -> int:
        """Channels of the first layer's input."""
        raise NotImplementedError


@network("PatchCNN2D")
class PatchCNN2D(_PatchCNN):
    """Components and rasters as channels of one picture; arguments are those of :class:`_PatchCNN`."""

    conv, norm = nn.Conv2d, nn.BatchNorm2d

    def __init__(self, bands: int = 144, rasters: int = 1, components: int = 20, patch: int = 8, nc: int = 15,
                 width: int = 242, depth: int = 5):  # fmt: skip
        super().__init__(bands, rasters, components, patch, nc, width, depth)

    def first_channels(self) -> int:
        """Components and rasters."""
        return self.components + self.rasters

    def classify(self, hsi: torch.Tensor, lidar: torch.Tensor | None) -> torch.Tensor:
        """Logits (N, nc)."""
        x = hsi if lidar is None else torch.cat([hsi, lidar], 1)
        return self.out(self.layers(x).mean((2, 3)))


@network("PatchCNN3D")
class PatchCNN3D(_PatchCNN):
    """Components as the depth of a volume, with each raster as one more channel, the same at every depth."""

    conv, norm = nn.Conv3d, nn.BatchNorm3d

    def __init__(self, bands: int = 144, rasters: int = 1, components: int = 20, patch: int = 8, nc: int = 15,
                 width: int = 36, depth: int = 4):  # fmt: skip
        super().__init__(bands, rasters, components, patch, nc, width, depth)

    def first_channels(self) -> int:
        """The volume and the rasters."""
        return 1 + self.rasters

    def classify(self, hsi: torch.Tensor, lidar: torch.Tensor | None) -> torch.Tensor:
        """Logits (N, nc)."""
        x: Any = hsi[:, None]
        if lidar is not None:
            x = torch.cat([x, lidar[:, :, None].expand(-1, -1, self.components, -1, -1)], 1)
        return self.out(self.layers(x).mean((2, 3, 4)))
