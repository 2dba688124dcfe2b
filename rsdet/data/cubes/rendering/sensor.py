"""From ground to cube: spectra of every field, sub-pixel targets, sun and shadow, mixing in the pixel, noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rsdet.data.cubes.rendering.ground import FINE, PIXEL_M, draw_ground
from rsdet.data.cubes.rendering.spectra import BANDS, GOOD, MATERIALS, WAVELENGTHS_NM, paint

NAMES = tuple(MATERIALS)
_PURE = 0.6  # part of a pixel that the class of its label covers
_SUN_UP_DEG, _SUN_FROM_DEG = 52.0, 140.0
_SHADOW_STEPS = 40
_SIGNAL_TO_NOISE = 60.0  # at a reflectance of 0.3, in good bands
_PSF_PX = 0.45  # standard deviation of the optics, pixels of the sensor
_CHUNK = 16  # bands that are rendered at once


@dataclass(frozen=True)
class CubeScene:
    """A rendered scene.

    Attributes:
        cube: (H, W, B) float32 reflectance.
        lidar: (H, W, 2) float32: height of the surface in metres, and intensity at 1064 nm from 0 to 1.
        labels: (H, W) uint8, 0 where no class covers enough of the pixel, else its place in ``NAMES`` + 1.
        targets: (H, W) float32, part of the pixel that a target covers.
    """

    cube: np.ndarray
    lidar: np.ndarray
    labels: np.ndarray
    targets: np.ndarray


def render_cube_scene(seed: int, size: int = 160, targets: int = 14) -> CubeScene:
    """Render a scene.

    Args:
        seed: Decides everything.
        size: Side in pixels.
        targets: Painted objects, of a tenth of a pixel to three pixels; none for a background.
    """
    rng = np.random.default_rng([seed, 77])
    ground = draw_ground(size, list(NAMES), rng)
    surface = ground.terrain.height_m + ground.above_m
    light, shade = _light(surface, ground.terrain.normal)
    covered, hue = _targets(ground.above_m.shape[0], ground.above_m, targets, rng)
    patches = int(ground.patch.max()) + 1
    kinds = np.zeros(patches, int)
    kinds[ground.patch.ravel()] = ground.material.ravel()
    spectra = np.stack([MATERIALS[NAMES[k]](v) for k, v in zip(kinds, rng.beta(0.9, 0.9, patches), strict=True)])
    spectra *= _bent(patches, rng)
    texture = cv2.GaussianBlur(rng.standard_normal(surface.shape).astype(np.float32), (0, 0), 0.8)
    texture = 1 + 0.06 * texture / texture.std()
    paints = np.stack([paint(h) for h in np.linspace(0, 1, 9)])
    cube = np.empty((size, size, BANDS), np.float32)
    for first in range(0, BANDS, _CHUNK):
        part = slice(first, min(first + _CHUNK, BANDS))
        sky = 0.25 * (550 / WAVELENGTHS_NM[part]) ** 2  # of the light comes from the sky, most of it blue
        fine = spectra[:, part][ground.patch] * texture[..., None]
        fine += covered[..., None] * (paints[:, part][hue] - fine)
        fine *= (light * ~shade)[..., None] * (1 - sky) + sky
        cube[..., part] = _seen(fine, size)
    noise = np.where(GOOD, 0.3 / _SIGNAL_TO_NOISE * (1 + 0.6 * rng.random(BANDS)), 0.12).astype(np.float32)
    noise = noise * np.sqrt(0.3 + 0.7 * cube.clip(0) / 0.3)
    cube += noise * rng.standard_normal(cube.shape, np.float32)
    at_laser = int(np.argmin(abs(WAVELENGTHS_NM - 1064)))
    returned = spectra[:, at_laser][ground.patch].astype(np.float32) * texture
    lidar = np.stack([_mean(surface, size), _mean(returned, size)], -1)
    lidar += np.float32([0.12, 0.015]) * rng.standard_normal(lidar.shape, np.float32)
    parts = np.stack([_mean((ground.material == k).astype(np.float32), size) for k in range(len(NAMES))], -1)
    target_part = _mean(covered, size)
    labels = np.where((parts.max(-1) >= _PURE) & (target_part < 0.02), parts.argmax(-1) + 1, 0).astype(np.uint8)
    return CubeScene(cube, lidar.astype(np.float32), labels, target_part)


def _bent(patches: int, rng: np.random.Generator) -> np.ndarray:
    """(patches, B) factors: no two fields of a class are alike, in brightness or in slope and bend of the spectrum."""
    x = (WAVELENGTHS_NM - WAVELENGTHS_NM.mean()) / np.ptp(WAVELENGTHS_NM) * 2
    bend = rng.normal(0, [[0.16], [0.12], [0.07]], (3, patches))
    return np.exp(bend[0][:, None] + bend[1][:, None] * x + bend[2][:, None] * (x**2 - 1 / 3))


def _light(surface: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Direct light of the sun relative to level ground, and whether something stands in its way; both (H, W)."""
    up, azimuth = np.radians(_SUN_UP_DEG), np.radians(_SUN_FROM_DEG)
    sun = np.array([np.sin(azimuth) * np.cos(up), np.cos(azimuth) * np.cos(up), np.sin(up)])
    lit = (np.tensordot(sun, normal, 1) / np.sin(up)).clip(0.05, 1.6)
    side, shade = len(surface), np.zeros(surface.shape, bool)
    rows, columns = np.mgrid[:side, :side]
    step_m = PIXEL_M / FINE
    for k in range(1, _SHADOW_STEPS):
        r = np.clip(rows - round(k * np.cos(azimuth)), 0, side - 1)
        c = np.clip(columns + round(k * np.sin(azimuth)), 0, side - 1)
        shade |= surface[r, c] > surface + k * step_m * np.tan(up)
    return lit.astype(np.float32), shade


def _targets(side: int, above_m: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Part of each fine pixel under a target, (H, W) float32, and which paint it has, (H, W) int."""
    covered, hue = np.zeros((side, side), np.float32), np.zeros((side, side), int)
    taken = cv2.dilate((above_m > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    placed = 0
    for _ in range(count * 60):
        if placed == count:
            break
        sides = np.exp(rng.uniform(np.log(0.6), np.log(5.0), 2)) if placed % 3 else rng.uniform(0.6, 1.1, 2)
        top, left = rng.integers(4, side - 12, 2)
        where = slice(top, top + int(np.ceil(sides[0]))), slice(left, left + int(np.ceil(sides[1])))
        around = slice(max(top - 10, 0), top + 16), slice(max(left - 10, 0), left + 16)
        if taken[where].any() or covered[around].any():
            continue
        edges = [np.clip(n - np.arange(int(np.ceil(n))), 0, 1) for n in sides]
        covered[where], hue[where] = np.outer(*edges), int(rng.integers(9))
        placed += 1
    return covered, hue


def _seen(fine: np.ndarray, size: int) -> np.ndarray:
    """(size, size, b) of what the optics blur and a pixel adds up."""
    blurred = cv2.GaussianBlur(np.ascontiguousarray(fine, np.float32), (0, 0), _PSF_PX * FINE)
    return _mean(blurred.reshape(*fine.shape), size)


def _mean(fine: np.ndarray, size: int) -> np.ndarray:
    return fine.reshape(size, FINE, size, FINE, *fine.shape[2:]).mean((1, 3)).astype(np.float32)
