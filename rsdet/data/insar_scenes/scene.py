"""One call from a seed to an annotated velocity map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from rsdet.data.insar_scenes.motion import LEVEL_DEG, SLOPES_DEG, Motion, draw_landslide, draw_subsidence
from rsdet.data.insar_scenes.radar import HEADINGS_DEG, USABLE, LineOfSight, draw_coherence, draw_noise
from rsdet.data.insar_scenes.terrain import Terrain, draw_terrain
from rsdet.data.sar_scenes.scene import check_size
from rsdet.errors import ConfigError

VISIBLE_MM_Y = 10.0  # velocity along the line of sight that an annotator would outline
PEAK_MM_Y = 20.0  # what a body must reach somewhere, to be drawn at all
MIN_PX = 30  # of an outlined zone
SMOOTH_PX = 3.0  # ground finer than this moves along with what is around it
EMPTY_SHARE = 0.15
PIXEL_M = 20.0
IGNORE = 255
_TRIES = 60  # places that are tried for a scene's bodies


@dataclass(frozen=True)
class InsarScene:
    """A simulated velocity map.

    Attributes:
        velocity: (H, W) float32, mm/y along the line of sight, positive towards the radar; NaN where there is none.
        coherence: (H, W) float32, 0 to 1.
        mask: (H, W) uint8: 1 where the ground moves visibly, 0 where not, 255 without velocity.
        truth: (H, W) float32, the velocity without noise and gaps.
        kinds: (H, W) uint8: 1 landslide, 2 subsidence, within the mask; they look alike in one velocity map, and
            differ in their slope.
        ground: The terrain.
        sight: Where the radar stands.
    """

    velocity: np.ndarray
    coherence: np.ndarray
    mask: np.ndarray
    truth: np.ndarray
    kinds: np.ndarray
    ground: Terrain
    sight: LineOfSight


def render_insar_scene(seed: int, size: int = 256) -> InsarScene:
    """Simulate one velocity map with its annotation.

    Args:
        seed: The same seed and size give the same scene.
        size: Side of the square map in pixels of 20 m, 64 to 4096.

    Raises:
        ConfigError: A seed or a size that cannot be rendered.
    """
    check_size(size)
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"seed={seed!r} received; expected a whole number of 0 or more; choose another number")
    rng = np.random.default_rng(seed)
    ground = draw_terrain(size, PIXEL_M, rng)
    sight = LineOfSight(str(rng.choice(list(HEADINGS_DEG))), float(rng.uniform(32, 44)))
    hidden = sight.hidden(ground)
    coherence = draw_coherence(ground, hidden, rng)
    truth, kinds = np.zeros((size, size), np.float32), np.zeros((size, size), np.uint8)
    for motion in _bodies(ground.smoothed(SMOOTH_PX), sight, rng):
        along = sight.project(motion.velocity)
        seen = motion.body & (np.abs(along) >= VISIBLE_MM_Y)
        truth += along
        kinds[seen] = 1 if motion.kind == "landslide" else 2
    noise = draw_noise(ground, coherence, rng)
    valid = coherence >= USABLE
    kinds = _without_specks(kinds * valid)
    mask = np.where(valid, (kinds > 0).astype(np.uint8), IGNORE).astype(np.uint8)
    velocity = np.where(valid, truth + noise, np.nan).astype(np.float32)
    return InsarScene(velocity, coherence, mask, truth, kinds, ground, sight)


def _bodies(ground: Terrain, sight: LineOfSight, rng: np.random.Generator) -> Iterator[Motion]:
    """Bodies that do not touch, each fast enough along the line of sight to be seen."""
    size = len(ground.height_m)
    if rng.random() < EMPTY_SHARE:
        return
    area = (size / 256) ** 2
    left = {"landslide": 1 + rng.poisson(4 * area), "subsidence": rng.poisson(0.4 * area)}
    taken = np.zeros(ground.height_m.shape, bool)
    for _ in range(int(_TRIES * max(area, 1))):
        kind = "landslide" if left["landslide"] and (not left["subsidence"] or rng.random() < 0.8) else "subsidence"
        y, x = (int(v) for v in rng.integers(0, size, 2))
        slope = float(ground.slope_deg[y, x])
        fits = SLOPES_DEG[0] <= slope <= SLOPES_DEG[1] if kind == "landslide" else slope < LEVEL_DEG
        if not left[kind] or not fits:
            continue
        motion = (draw_landslide if kind == "landslide" else draw_subsidence)(ground, (y, x), rng)
        near = cv2.dilate(motion.body.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
        if (near & taken).any() or np.abs(sight.project(motion.velocity)).max() < PEAK_MM_Y:
            continue
        taken |= motion.body
        left[kind] -= 1
        yield motion


def _without_specks(kinds: np.ndarray) -> np.ndarray:
    """Zones of less than 30 px are left out: nobody would outline them."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats((kinds > 0).astype(np.uint8), connectivity=8)
    return np.where((stats[:, cv2.CC_STAT_AREA] >= MIN_PX)[numbers], kinds, 0).astype(np.uint8)
