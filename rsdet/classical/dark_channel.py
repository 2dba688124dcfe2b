"""Dehazing by the dark channel prior: no training, no weights, a baseline and a quick enhancer.

"Single Image Haze Removal Using Dark Channel Prior" (He, Sun, Tang, CVPR 2009). In a clear picture, most places hold a
pixel that is dark in some band; haze lifts it. With the haze model I = J t + A (1 - t)::

    dark(I) = min over a window and over bands                                  (5)
    t       = 1 - omega dark(I / A)                                            (12)
    J       = (I - A) / max(t, t_min) + A                                      (22)

A, the airlight, is the mean colour of the ``top`` share of pixels with the largest dark channel (the paper takes the
brightest one of them, which a single white roof decides). The transmission t is refined by a guided filter ("Guided
Image Filtering", He et al., ECCV 2010) that fits on a coarser grid ("Fast Guided Filter", He and Sun, arXiv 1505.00996)
in place of the paper's soft matting, which solves a linear system as large as the picture.

Haze is told by colour here, so what is white or grey by itself (cloud, snow, a grey roof wider than the window) is
taken for it and darkened: see ``t_min`` and ``omega``. A picture that is as bright as its airlight all
over (all black, all of one grey) comes back as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from functools import reduce
from typing import ClassVar

import cv2
import numpy as np

from rsdet.errors import ConfigError, DataError

__all__ = ["DarkChannelPrior", "dark_channel", "guided_filter"]

_LEAST_AIRLIGHT = 1e-3  # a black picture has none, and is divided by it


def dark_channel(image: np.ndarray, patch_px: int) -> np.ndarray:
    """Equation (5): the least value of each pixel's window over all bands.

    Args:
        image: (H, W, C) float.
        patch_px: Odd side of the window in pixels, cut at borders.

    Returns:
        (H, W), same dtype.
    """
    # Band by band: NumPy is eight times slower along a short last axis.
    lowest = reduce(np.minimum, np.moveaxis(image[..., 1:], 2, 0), np.ascontiguousarray(image[..., 0]))
    return cv2.erode(lowest, np.ones((patch_px, patch_px), np.uint8)) if patch_px > 1 else lowest


def guided_filter(guide: np.ndarray, x: np.ndarray, radius_px: int, eps: float, subsample: int = 1) -> np.ndarray:
    """Smooth a map, but not across the edges of a guide (He et al., ECCV 2010, equations 5, 6 and 8).

    In each window, x is fitted as a straight line of the guide; a pixel gets the mean of the lines of all windows that
    hold it. Windows are mirrored at the borders.

    Args:
        guide: (H, W) float32.
        x: (H, W) float32.
        radius_px: Windows have a side of ``2 radius_px + 1``.
        eps: Edges of the guide with a variance well above it are kept.
        subsample: Fit on a grid coarser by this factor, and enlarge the lines; 1 is exact.

    Returns:
        (H, W) float32.
    """
    h, w = guide.shape
    g, y, radius = guide, x, radius_px
    if subsample > 1:
        small = (-(-w // subsample), -(-h // subsample))
        g, y = (cv2.resize(m, small, interpolation=cv2.INTER_AREA) for m in (guide, x))
        radius = max(1, round(radius_px / subsample))
    # In float64: variances are differences of means of squares.
    g, y = g.astype(np.float64), y.astype(np.float64)

    def mean(m: np.ndarray) -> np.ndarray:
        return cv2.blur(m, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    mean_g, mean_y = mean(g), mean(y)
    slope = (mean(g * y) - mean_g * mean_y) / (np.maximum(mean(g * g) - mean_g**2, 0) + eps)
    offset = mean_y - slope * mean_g
    slope, offset = mean(slope).astype(np.float32), mean(offset).astype(np.float32)
    if subsample > 1:
        slope, offset = (cv2.resize(m, (w, h), interpolation=cv2.INTER_LINEAR) for m in (slope, offset))
    return slope * guide + offset


class DarkChannelPrior:
    """Dark channel prior as an enhancer: any size, any number of bands, any bit depth as float.

    Args:
        omega: Share of the haze that is taken for removable, from 0 (nothing is done) to 1.
        patch_px: Odd side of the dark channel's window in pixels; wider than what is grey by itself.
        t_min: Smallest transmission, above 0: contrast is stretched by at most 1 / t_min.
        radius_px: Radius of the guided filter.
        eps: Variance of the guide, in squared units of a picture in [0, 1], from which on edges are kept.
        top: Share of pixels of which the airlight is the mean, above 0.
        airlight: A, one value per band or one for all, in [0, 1], where it is known; else each picture's own. Tiles of
            one picture have that of the whole (:meth:`for_whole`).

    Raises:
        ConfigError: A value out of range.
    """

    name: ClassVar[str] = "DCP"
    kind: ClassVar[str] = "dehaze"
    scale: ClassVar[int] = 1
    channels: ClassVar[int | None] = None
    local: ClassVar[bool] = False
    min_px: ClassVar[int] = 1
    whole_px: ClassVar[int] = 2**27  # tiles would each find an airlight of their own, and need no less time

    def __init__(
        self,
        omega: float = 0.95,
        patch_px: int = 15,
        t_min: float = 0.1,
        radius_px: int = 40,
        eps: float = 1e-3,
        top: float = 1e-3,
        airlight: list[float] | float | None = None,
    ):
        for key, value, low, high in (("omega", omega, 0, 1), ("t_min", t_min, 1e-6, 1), ("top", top, 1e-9, 1)):
            if not low <= value <= high:
                raise ConfigError(f"{key}={value} of the dark channel prior must be from {low:g} to {high:g}.")
        if patch_px < 1 or patch_px % 2 == 0:
            raise ConfigError(f"patch_px={patch_px} must be the odd side of a window in pixels, such as 15.")
        if radius_px < 1 or not eps > 0:
            raise ConfigError(f"radius_px={radius_px} must be 1 or more and eps={eps} above 0.")
        given = None if airlight is None else np.atleast_1d(np.asarray(airlight, np.float32))
        if given is not None and not ((given > 0) & (given <= 1)).all():
            raise ConfigError(f"airlight={airlight} must be above 0 and at most 1 in every band.")
        self.omega, self.patch_px, self.t_min, self.top = omega, patch_px, t_min, top
        self.radius_px, self.eps, self.given = radius_px, eps, given

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Dehaze a picture.

        Args:
            image: (H, W, C) float in [0, 1].

        Returns:
            (H, W, C) float32 in [0, 1].

        Raises:
            DataError: No such picture.
        """
        x = _checked(image)
        airlight = self.airlight(x)
        t = np.maximum(self.transmission(x, airlight), self.t_min)[..., None]
        return np.clip((x - airlight) / t + airlight, 0, 1)

    def airlight(self, image: np.ndarray) -> np.ndarray:
        """Colour of the haze, (C,), at least 0.001 in every band.

        Raises:
            ConfigError: The ``airlight`` that was given has another number of bands.
        """
        bands = image.shape[2]
        if self.given is not None:
            if self.given.size not in (1, bands):
                raise ConfigError(f"airlight has {self.given.size} values, the picture {bands} bands; give one or all.")
            return np.broadcast_to(self.given, (bands,))
        dark = dark_channel(image, self.patch_px).ravel()
        count = max(1, math.floor(dark.size * self.top))
        haziest = np.argpartition(dark, dark.size - count)[dark.size - count :]
        return np.maximum(image.reshape(-1, bands)[haziest].mean(0), _LEAST_AIRLIGHT)

    def for_whole(self, whole: np.ndarray) -> DarkChannelPrior:
        """The same for tiles of a picture: with the airlight of all of it, of which each tile would find another.

        Args:
            whole: (H, W, C) float in [0, 1]; of a scene, a smaller version will do.
        """
        made = copy(self)
        made.given = self.airlight(_checked(whole))
        return made

    def transmission(self, image: np.ndarray, airlight: np.ndarray | Sequence[float]) -> np.ndarray:
        """Share of the light that came through, (H, W) float32, at most 1; ``t_min`` is not applied."""
        x = _checked(image)
        t = 1 - np.float32(self.omega) * dark_channel(x / np.asarray(airlight, np.float32), self.patch_px)
        subsample = max(1, min(4, self.radius_px // 4, min(t.shape) // 16))
        guide = x @ np.full(x.shape[2], 1 / x.shape[2], np.float32)
        return np.minimum(guided_filter(guide, t, self.radius_px, self.eps, subsample), 1)


def _checked(image: np.ndarray) -> np.ndarray:
    x = np.asarray(image)
    if x.ndim != 3 or not x.size or x.dtype.kind != "f":
        raise DataError(f"a picture of floats in [0, 1] is needed, (H, W, C); received {x.dtype} of shape {x.shape}.")
    if not np.isfinite(x).all():
        raise DataError("a picture holds values that are no finite numbers; fill its gaps first.")
    return x.astype(np.float32, copy=False)
