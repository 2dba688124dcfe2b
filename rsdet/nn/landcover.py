"""What every network for land cover has in common: a patch of raw bands in, logits of its pixel out.

Scaling and principal components are part of the network, so that weights and exported files take the numbers that
stand in the files of a scene.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError, DataError
from rsdet.nn.networks import Network, check_counts


class SpectralReduction(nn.Module):
    """Scale bands by their smallest and largest value, and project them onto principal components.

    ``y = W ((x - low) / (high - low) - mean)``, components of most variance first, not whitened. Nothing of it is
    learnt by gradients: :meth:`fit` sets it once, from training pixels, and it is stored with the weights. A band that
    is constant there becomes 0.

    Args:
        bands: Bands of the cube.
        components: Principal components that are kept; the bands themselves, scaled, where 0.
    """

    low: torch.Tensor
    factor: torch.Tensor
    mean: torch.Tensor
    axes: torch.Tensor

    def __init__(self, bands: int, components: int = 0):
        super().__init__()
        self.components = components
        self.register_buffer("low", torch.zeros(bands))
        self.register_buffer("factor", torch.ones(bands))
        if components:
            self.register_buffer("mean", torch.zeros(bands))
            self.register_buffer("axes", torch.eye(components, bands))

    def fit(self, pixels: np.ndarray) -> float:
        """Set all of it from pixels (n, bands), in float64.

        Returns:
            Part of the variance of the scaled bands that is kept, 0 to 1.

        Raises:
            DataError: Fewer pixels or bands than components, or values that are not finite.
        """
        x = np.asarray(pixels, np.float64)
        least = min(len(x), x.shape[1])
        if least < self.components:
            raise DataError(
                f"{self.components} components cannot be had from {len(x)} training pixels of {x.shape[1]} bands; give "
                f"components={least} or fewer."
            )
        if not np.isfinite(x).all():
            raise DataError("pixels to fit the scaling to are not all finite; leave pixels without data out.")
        low, high = x.min(0), x.max(0)
        factor = np.divide(1.0, high - low, out=np.zeros_like(low), where=high > low)
        _set(self.low, low)
        _set(self.factor, factor)
        if not self.components:
            return 1.0
        scaled = (x - low) * factor
        mean = scaled.mean(0)
        values, vectors = np.linalg.eigh(np.cov(scaled, rowvar=False, bias=True).reshape(x.shape[1], -1))
        axes = vectors[:, ::-1][:, : self.components].T
        axes *= np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1))  # else a sign is up to LAPACK
        _set(self.mean, mean)
        _set(self.axes, axes)
        total = values.clip(0).sum()
        return float(values[::-1][: self.components].clip(0).sum() / total) if total > 0 else 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, bands, h, w) to (N, components, h, w), or to (N, bands, h, w) without components."""
        x = (x - self.low.view(-1, 1, 1)) * self.factor.view(-1, 1, 1)
        if not self.components:
            return x
        return F.conv2d(x - self.mean.view(-1, 1, 1), self.axes[..., None, None])


class LandCoverNetwork(Network):
    """Base of all networks for land cover: a patch around a pixel, (N, bands + rasters, p, p), to logits (N, nc).

    The bands of the cube come first, rasters on its grid (LiDAR) after them, all as they are in the files. A subclass
    implements :meth:`classify`. Patches without the rasters, (N, bands, p, p), are classified by the cube alone where
    :attr:`does_without` says so.

    Args:
        bands: Bands of the cube.
        rasters: Rasters of LiDAR; 0 for the cube alone.
        components: Principal components of the cube that the layers get.
        patch: Side of a patch in pixels; the pixel is at row and column ``patch // 2``.
        nc: Number of classes.

    Attributes:
        does_without: Whether the rasters may be missing where there should be some.
        fill: (bands + rasters,) means of the training, which stand for what a scene has no data of.

    Raises:
        ConfigError: Arguments out of range.
    """

    does_without: ClassVar[bool] = False
    fill: torch.Tensor
    min_px: ClassVar[int] = 1

    def __init__(self, bands: int, rasters: int, components: int, patch: int, nc: int):
        super().__init__()
        name = type(self).__name__
        check_counts(name, bands=bands, components=components, patch=patch, nc=nc)
        check_counts(name, 0, rasters=rasters)
        if components > bands:
            raise ConfigError(f"components={components} of {bands} bands; give components={bands} or fewer.")
        self.bands, self.rasters, self.components, self.patch, self.nc = bands, rasters, components, patch, nc
        self.channels = bands + rasters
        self.reduction = SpectralReduction(bands, components)
        self.scaling = SpectralReduction(rasters) if rasters else None
        self.register_buffer("fill", torch.zeros(bands + rasters))

    def fit(self, pixels: np.ndarray) -> float:
        """Fit scaling, principal components and :attr:`fill` to training pixels (n, bands + rasters).

        Rasters, unlike bands, may be NaN in some of them.

        Returns:
            Part of the variance of the scaled bands that is kept, 0 to 1.

        Raises:
            DataError: See :meth:`SpectralReduction.fit`.
        """
        pixels = np.asarray(pixels, np.float64)
        known = np.isfinite(pixels)
        if not known.any(0).all():
            raise DataError("no training pixel has data of one of the bands or rasters; leave it out, or add pixels.")
        fill = np.where(known, pixels, 0).sum(0) / known.sum(0)
        _set(self.fill, fill)
        if self.scaling is not None:
            rasters = slice(self.bands, None)
            self.scaling.fit(np.where(known[:, rasters], pixels[:, rasters], fill[rasters]))
        return self.reduction.fit(pixels[:, : self.bands])

    def classify(self, hsi: torch.Tensor, lidar: torch.Tensor | None) -> torch.Tensor:
        """Logits (N, nc) of components (N, K, p, p) and scaled rasters (N, R, p, p), None without them."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of patches of raw numbers; see the class."""
        there = x.shape[1] > self.bands
        lidar = self.scaling(x[:, self.bands :]) if self.scaling is not None and there else None
        return self.classify(self.reduction(x[:, : self.bands]), lidar)


def _set(buffer: torch.Tensor, values: np.ndarray) -> None:
    buffer.copy_(torch.from_numpy(np.ascontiguousarray(values)))
