"""What covers the ground, at twice the resolution of the sensor: fields, woods, a river, roads and houses on hills."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rsdet.data.insar_scenes.terrain import Terrain, draw_terrain

FINE = 2  # pixels of the ground along each side of one of the sensor
PIXEL_M = 2.0  # of the sensor
_FIELDS = ("grass", "grass", "stubble", "stubble", "bare soil", "trees")
_RELIEF = 0.35  # of the mountains that the terrain draws: hills


@dataclass(frozen=True)
class Ground:
    """A drawn landscape on the fine grid.

    Attributes:
        material: (H, W) int, place in the materials.
        patch: (H, W) int, number of the field, wood, road or roof: what is alike in itself.
        above_m: (H, W) float32, height of roofs and crowns above the terrain.
        terrain: The ground below.
    """

    material: np.ndarray
    patch: np.ndarray
    above_m: np.ndarray
    terrain: Terrain


def draw_ground(size: int, names: list[str], rng: np.random.Generator) -> Ground:
    """Draw a landscape.

    Args:
        size: Side in pixels of the sensor.
        names: Of the materials.
        rng: Source of all randomness.
    """
    side = size * FINE
    rough = draw_terrain(side, PIXEL_M / FINE, rng)
    height = (_RELIEF * rough.height_m).astype(np.float32)
    patch, material = _fields(side, names, rng)
    above = np.zeros((side, side), np.float32)
    crowns = cv2.GaussianBlur(rng.standard_normal((side, side)).astype(np.float32), (0, 0), 1.6)
    number = int(patch.max()) + 1

    def lay(mask: np.ndarray, name: str, high: float = 0.0) -> None:
        nonlocal number
        material[mask], patch[mask], above[mask] = names.index(name), number, high
        number += 1

    for part, name in _river_and_roads(side, rng):
        lay(part, name)
    for mask, name, high in _houses(side, material, names, rng):
        lay(mask, name, high)
    wood = material == names.index("trees")
    above[wood] = (9 + 4 * crowns / crowns.std())[wood].clip(2, 22)
    height[material == names.index("water")] = np.percentile(height, 2)
    return Ground(material, patch, above, Terrain(height, rough.slope_deg, rough.downhill, rough.pixel_m))


def _fields(side: int, names: list[str], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cells around scattered points, each of one cover; all kinds of fields occur, some concrete yards among them."""
    count = max(14, side * side // 1400)
    points = rng.uniform(0, side, (count, 2)).astype(np.float32)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    bend = (
        5 * cv2.GaussianBlur(rng.standard_normal((2, side, side)).astype(np.float32).transpose(1, 2, 0), (0, 0), 7) * 7
    )
    place = np.stack([rows + bend[..., 0], columns + bend[..., 1]], -1)
    patch = np.zeros((side, side), np.int64)
    nearest = np.full((side, side), np.inf, np.float32)
    for k, point in enumerate(points):
        far = ((place - point) ** 2).sum(-1)
        patch[far < nearest] = k
        np.minimum(nearest, far, out=nearest)
    kinds = [*_FIELDS, "concrete"]
    cover = np.array([names.index(kinds[k % len(kinds)]) for k in range(count)])
    return patch, cover[rng.permutation(count)][patch]


def _river_and_roads(side: int, rng: np.random.Generator) -> list[tuple[np.ndarray, str]]:
    parts = []
    for name, width, bend in (("water", 0.07 * side, 0.12), ("asphalt", 9.0, 0.03), ("asphalt", 7.0, 0.05)):
        canvas = np.zeros((side, side), np.uint8)
        t = np.linspace(-0.05, 1.05, 64)
        across = rng.uniform(0.25, 0.75) + rng.uniform(-0.25, 0.25) * t + bend * np.sin(2 * np.pi * (t + rng.uniform()))
        line = np.stack([t, across] if rng.uniform() < 0.5 else [across, t], 1) * side
        cv2.polylines(canvas, [np.int32(line)], False, 1, max(2, round(width)))
        parts.append((canvas > 0, name))
    return parts


def _houses(
    side: int, material: np.ndarray, names: list[str], rng: np.random.Generator
) -> list[tuple[np.ndarray, str, float]]:
    """Roofs on grass, soil and concrete, turned as they like; none in water or on a road."""
    open_ground = np.isin(material, [names.index(n) for n in ("grass", "bare soil", "concrete", "stubble")])
    out = []
    for k in range(max(12, side * side // 2200)):
        centre = rng.uniform(0.04, 0.96, 2) * side
        length, width = rng.uniform(14, 34), rng.uniform(12, 22)
        box = cv2.boxPoints(((float(centre[0]), float(centre[1])), (length, width), rng.uniform(0, 90)))
        canvas = np.zeros((side, side), np.uint8)
        cv2.fillPoly(canvas, [np.int32(box)], 1)
        mask = canvas > 0
        if mask.any() and open_ground[mask].all():
            open_ground &= cv2.dilate(canvas, np.ones((9, 9), np.uint8)) == 0
            out.append((mask, ("tile roof", "bitumen roof")[k % 2], rng.uniform(3.5, 11)))
    return out
