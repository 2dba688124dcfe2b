"""Ground that moves: landslides that creep downhill, and flat ground that sinks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rsdet.data.insar_scenes.terrain import Terrain
from rsdet.data.sar_scenes.clutter import gaussian_field

SLOPES_DEG = (15.0, 50.0)  # where landslides are put
LEVEL_DEG = 8.0  # where ground sinks


@dataclass(frozen=True)
class Motion:
    """One body of moving ground.

    Attributes:
        kind: ``landslide`` or ``subsidence``.
        velocity: (3, H, W) float32, east, north, up in mm/y.
        body: (H, W) bool, where it moves.
    """

    kind: str
    velocity: np.ndarray
    body: np.ndarray


def draw_landslide(ground: Terrain, place: tuple[int, int], rng: np.random.Generator) -> Motion:
    """A slope of smooth ground that creeps: long downhill, fastest in its middle, with a ragged rim."""
    y, x = place
    e, n = ground.downhill[:2, y, x] / max(float(np.hypot(*ground.downhill[:2, y, x])), 1e-6)
    length = float(np.exp(rng.uniform(*np.log((6, 45)))))  # half of it, in pixels
    width = length / rng.uniform(1.3, 3.0)
    rows, cols = np.mgrid[: ground.height_m.shape[0], : ground.height_m.shape[1]].astype(np.float32)
    along, across = (cols - x) * e - (rows - y) * n, (cols - x) * n + (rows - y) * e
    ragged = 1 + rng.uniform(0.1, 0.3) * gaussian_field(rows.shape, max(length / 3, 2.0), rng)
    profile = _bowl(np.hypot(along / length, across / width) * ragged, flat=rng.uniform(2, 4))
    steep = np.clip((ground.slope_deg - 5) / 10, 0, 1)  # it comes to rest at the foot
    return Motion("landslide", (speed(rng, 25, 170) * profile * steep) * ground.downhill, profile * steep > 0)


def draw_subsidence(ground: Terrain, place: tuple[int, int], rng: np.random.Generator) -> Motion:
    """Flat ground that sinks, in a round bowl: a mine, or a town that pumps."""
    y, x = place
    rows, cols = np.mgrid[: ground.height_m.shape[0], : ground.height_m.shape[1]].astype(np.float32)
    angle, radius = rng.uniform(0, math.pi), rng.uniform(5, 16)
    c, s = math.cos(angle), math.sin(angle)
    along, across = (cols - x) * c + (rows - y) * s, (rows - y) * c - (cols - x) * s
    profile = _bowl(np.hypot(along, across * rng.uniform(1, 1.6)) / radius, flat=2.0)
    velocity = np.zeros((3, *profile.shape), np.float32)
    velocity[2] = -speed(rng, 20, 80) * profile
    return Motion("subsidence", velocity, profile > 0)


def speed(rng: np.random.Generator, low: float, high: float) -> float:
    """mm/y, slow ones more often than fast ones."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _bowl(radius: np.ndarray, flat: float) -> np.ndarray:
    """1 in the middle, 0 from a radius of 1 on, without an edge."""
    return ((1 - np.clip(radius, 0, 1) ** flat) ** 1.5).astype(np.float32)
