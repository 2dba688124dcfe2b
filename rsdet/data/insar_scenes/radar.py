"""What a side-looking radar measures of moving ground, and where it measures nothing.

Velocities are those along the line of sight, positive towards the radar, in mm/y. Directions are those of Sentinel-1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rsdet.data.insar_scenes.terrain import Terrain
from rsdet.data.sar_scenes.clutter import gaussian_field

HEADINGS_DEG = {"ascending": 348.0, "descending": 192.0}  # it looks to the right of them
USABLE = 0.35  # coherence below which a pixel has no velocity
NOISE_MM_Y = 2.0  # of a pixel of coherence 0.7


@dataclass(frozen=True)
class LineOfSight:
    """Where the radar stands.

    Attributes:
        orbit: ``ascending`` or ``descending``.
        incidence_deg: Angle of its rays against the vertical.
    """

    orbit: str
    incidence_deg: float

    @property
    def towards(self) -> np.ndarray:
        """(3,) unit vector east, north, up from the ground to the radar."""
        azimuth, angle = math.radians(HEADINGS_DEG[self.orbit] + 90), math.radians(self.incidence_deg)
        flat = -math.sin(angle)
        return np.array([flat * math.sin(azimuth), flat * math.cos(azimuth), math.cos(angle)], np.float32)

    def project(self, velocity: np.ndarray) -> np.ndarray:
        """(H, W), of a field (3, H, W) what lies along the line of sight."""
        return np.tensordot(self.towards, velocity, 1)

    def hidden(self, ground: Terrain) -> np.ndarray:
        """(H, W) bool: slopes that lean towards the radar more than its rays (layover) or lie in shadow."""
        e, n, _ = self.towards
        flat = np.hypot(e, n)
        normal = ground.normal
        lean = np.degrees(np.arctan2((normal[0] * e + normal[1] * n) / flat, normal[2]))  # towards the radar
        return (lean >= self.incidence_deg) | (lean <= self.incidence_deg - 90)


def draw_coherence(ground: Terrain, hidden: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32, 0 to 1: low in forests and on water, where the ground is hidden lowest."""
    shape = ground.height_m.shape
    forest = gaussian_field(shape, rng.uniform(15, 40), rng) + 0.5 * gaussian_field(shape, 5, rng)
    level = 0.82 - rng.uniform(0.35, 0.65) / (1 + np.exp(-3 * (forest - rng.uniform(0.0, 1.4))))
    water = (ground.slope_deg < 6) & (ground.height_m <= np.percentile(ground.height_m, rng.uniform(0, 6)))
    level = np.where(water | hidden, 0.12, level)
    return np.clip(level + 0.06 * gaussian_field(shape, 1.5, rng), 0.02, 0.98).astype(np.float32)


def draw_noise(ground: Terrain, coherence: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 in mm/y: decorrelation, and what is left of orbits and of air, some of it along the height."""
    shape = coherence.shape
    grain = np.sqrt(1 - coherence**2) / coherence * (NOISE_MM_Y / (math.sqrt(1 - 0.7**2) / 0.7))
    air = rng.uniform(1, 3) * gaussian_field(shape, rng.uniform(30, 90), rng)
    height = (ground.height_m - ground.height_m.mean()) / max(float(ground.height_m.std()), 1e-6)
    rows, cols = np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])[None]
    plane = rng.normal(0, 1.5) * rows + rng.normal(0, 1.5) * cols
    pixels = grain * gaussian_field(shape, 1.0, rng)
    return (pixels + air + rng.normal(0, 1.5) * height + plane).astype(np.float32)
