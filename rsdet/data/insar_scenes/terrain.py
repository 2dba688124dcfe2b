"""Mountains: a fractal surface with valleys, its slope and the direction downhill."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

ROUGHNESS = 2.2  # exponent of the amplitude spectrum; below 2 the ground is too rough for a grid of 20 m


@dataclass(frozen=True)
class Terrain:
    """Ground on a grid whose rows run south and whose columns run east.

    Attributes:
        height_m: (H, W) float32.
        slope_deg: (H, W) float32.
        downhill: (3, H, W) float32, unit vector east, north, up along the steepest descent; level ground points east.
        pixel_m: Side of a pixel.
    """

    height_m: np.ndarray
    slope_deg: np.ndarray
    downhill: np.ndarray
    pixel_m: float

    def smoothed(self, sigma_px: float) -> Terrain:
        """The ground without what is small: a landslide moves as a whole."""
        return terrain_of(cv2.GaussianBlur(self.height_m, (0, 0), sigma_px), self.pixel_m)

    @property
    def normal(self) -> np.ndarray:
        """(3, H, W) unit vector that stands on the ground."""
        south, east = np.gradient(self.height_m, self.pixel_m)
        return np.stack([-east, south, np.ones_like(east)]) / np.sqrt(1 + east**2 + south**2)


def draw_terrain(size: int, pixel_m: float, rng: np.random.Generator) -> Terrain:
    """Draw mountains whose steepest quarter leans by more than 20 to 38 degrees, whichever is drawn.

    Args:
        size: Side in pixels.
        pixel_m: Side of a pixel.
        rng: Source of all randomness.
    """
    side = 2 * size  # the field repeats itself; half of it does not
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    longest = size * rng.uniform(0.5, 1.0)
    gain = (fx**2 + fy**2 + longest**-2.0) ** (-ROUGHNESS / 2)
    gain[0, 0] = 0
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * gain, s=(side, side))[:size, :size]
    field = (field - field.min()) / np.ptp(field)
    field = field ** rng.uniform(1.0, 1.6)  # broad valleys
    south, east = np.gradient(field, pixel_m)
    steep = float(np.percentile(np.hypot(east, south), 75))
    height = field * math.tan(math.radians(rng.uniform(20, 38))) / steep
    return terrain_of(height.astype(np.float32), pixel_m)


def terrain_of(height_m: np.ndarray, pixel_m: float) -> Terrain:
    """Slope and descent of a surface (H, W) in metres."""
    south, east = np.gradient(height_m, pixel_m)
    tangent = np.hypot(east, south)
    with np.errstate(invalid="ignore", divide="ignore"):
        direction = np.where(tangent > 1e-6, np.stack([-east, south]) / tangent, np.array([1.0, 0.0])[:, None, None])
    level = 1 / np.sqrt(1 + tangent**2)
    downhill = np.stack([direction[0] * level, direction[1] * level, -tangent * level])
    slope = np.degrees(np.arctan(tangent))
    return Terrain(height_m, slope.astype(np.float32), downhill.astype(np.float32), pixel_m)
