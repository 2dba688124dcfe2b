"""The scene while it is being built: mean backscatter, scatterers, what is land, what is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from .radar import Radar

MARGIN_PX = 32  # drawn around the image and cut off: sidelobes come in from outside, nothing wraps around

Window = tuple[slice, slice]
ALL: Window = (slice(None), slice(None))


def from_db(value_db: float | np.ndarray) -> np.ndarray:
    """Power ratio of a number of decibels."""
    return np.power(10.0, np.asarray(value_db) / 10.0)


@dataclass
class Stage:
    """A padded scene under construction; coordinates are pixels of the padded canvas, x right and y down.

    Attributes:
        rng: Source of all randomness.
        radar: The sensor; its axes decide where layover and ghosts go.
        backscatter: `(H, W)` float32 mean backscatter (sigma nought, linear).
        sea: Mean backscatter of the open sea, linear.
        pixel_m: Ground distance of a pixel.
        land: `(H, W)` bool.
        taken: `(H, W)` bool, where no further ship fits.
        points_xy: Point scatterers, `(x, y)` each.
        points_power: Their peak intensities.
    """

    rng: np.random.Generator
    radar: Radar
    backscatter: np.ndarray
    sea: float
    pixel_m: float
    land: np.ndarray = field(init=False)
    taken: np.ndarray = field(init=False)
    points_xy: list[tuple[float, float]] = field(default_factory=list)
    points_power: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.land = np.zeros(self.shape, bool)
        self.taken = np.zeros(self.shape, bool)
        self._y, self._x = (np.arange(n, dtype=np.float32) for n in self.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the padded canvas."""
        return self.backscatter.shape

    def around(self, x: float, y: float, reach_px: float) -> Window:
        """The part of the canvas within a distance of (x, y), at least one pixel: small things are drawn in there."""
        h, w = self.shape
        y0, x0 = int(np.clip(y - reach_px, 0, h - 1)), int(np.clip(x - reach_px, 0, w - 1))
        y1, x1 = int(np.clip(y + reach_px + 1, y0 + 1, h)), int(np.clip(x + reach_px + 1, x0 + 1, w))
        return slice(y0, y1), slice(x0, x1)

    def frame(self, x: float, y: float, angle_deg: float, at: Window = ALL) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of the pixels of a window in a frame at (x, y): along a direction, and across it (clockwise)."""
        c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
        dx, dy = self._x[at[1]][None] - np.float32(x), self._y[at[0]][:, None] - np.float32(y)
        return dx * np.float32(c) + dy * np.float32(s), dy * np.float32(c) - dx * np.float32(s)

    def add_points(self, xy: np.ndarray, power: np.ndarray) -> None:
        """Add point scatterers: `(N, 2)` places and `(N,)` peak intensities."""
        self.points_xy.extend(map(tuple, np.asarray(xy, np.float64).reshape(-1, 2)))
        self.points_power.extend(np.asarray(power, np.float64).reshape(-1))

    def polygon(self, corners_xy: np.ndarray, at: Window = ALL) -> np.ndarray:
        """Float32 coverage, 0 to 1, of the pixels of a window by a polygon with smooth edges."""
        y0, y1, _ = at[0].indices(self.shape[0])
        x0, x1, _ = at[1].indices(self.shape[1])
        canvas = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fixed = np.round((np.asarray(corners_xy, np.float64) - (x0, y0)) * 256).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 255, lineType=cv2.LINE_AA, shift=8)
        return canvas.astype(np.float32) / 255
