"""Land: coasts, harbours with quays and piers, buildings with layover; and the berths where ships lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .clutter import gamma_texture, gaussian_field
from .stage import Stage, from_db

LAND_ABOVE_SEA_DB = 4.0  # at least, or no coast would be seen


@dataclass(frozen=True)
class Berth:
    """A place along a quay: a point on its edge, the direction along it, and the side on which the water is.

    Attributes:
        x, y: Middle of the quay's edge in pixels of the canvas.
        angle_deg: Direction of the edge.
        water_deg: Direction from the edge to the water.
        length_px: Length of the edge.
    """

    x: float
    y: float
    angle_deg: float
    water_deg: float
    length_px: float


def rough(stage: Stage, scale_px: float) -> np.ndarray:
    """`(H, W)` float32 fractal field of variance about 1, its largest features `scale_px` wide."""
    total = np.zeros(stage.shape, np.float32)
    for octave in range(5):
        total += gaussian_field(stage.shape, scale_px / 2**octave, stage.rng) * 0.55**octave
    return total / float(total.std())


def natural_coast(stage: Stage) -> list[Berth]:
    """Land on one side of a wandering line. Returns no berths: ships anchor before it."""
    rng, (h, w) = stage.rng, stage.shape
    _, inland = _shore(stage, reach=0.32)
    wander = rough(stage, rng.uniform(0.3, 0.8) * max(h, w)) * rng.uniform(0.02, 0.09) * max(h, w)
    stage.land |= inland + wander > 0
    return []


def channel(stage: Stage) -> list[Berth]:
    """A river or a strait between two shores."""
    rng, (h, w) = stage.rng, stage.shape
    _, across = _shore(stage, reach=0.15)
    bend = rough(stage, 0.7 * max(h, w)) * 0.05 * max(h, w)
    half = rng.uniform(0.1, 0.24) * min(h, w)
    stage.land |= np.abs(across + bend) > half + rough(stage, 30) * 2
    return []


def harbour(stage: Stage) -> list[Berth]:
    """A built shore: straight quays, piers into the water, basins cut into the land, perhaps a breakwater."""
    rng, size = stage.rng, max(stage.shape)
    x, y, angle = _shore_line(stage, reach=0.26)
    s, t = stage.frame(x, y, angle)  # t > 0 inland
    land = t + rough(stage, 60) * rng.choice([0.0, 0.6]) > 0
    berths: list[Berth] = []

    def place(at_s: float, at_t: float) -> tuple[float, float]:
        c, d = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        return x + at_s * c - at_t * d, y + at_s * d + at_t * c

    at = -0.75 * size
    while at < 0.75 * size:
        step = rng.uniform(30, 80)
        kind = rng.choice(["quay", "pier", "pier", "basin"])
        if kind == "pier":
            width, length = rng.uniform(3, 9), rng.uniform(25, 90)
            land |= (np.abs(s - at) < width / 2) & (t < 1) & (t > -length)
            for side in (-1, 1):
                px, py = place(at + side * width / 2, -length * 0.5)
                berths.append(Berth(px, py, angle + 90, angle if side > 0 else angle + 180, length))
        elif kind == "basin":
            width, depth = rng.uniform(24, 60), rng.uniform(30, 100)
            land &= ~((np.abs(s - at) < width / 2) & (t < depth))
            for side in (-1, 1):
                px, py = place(at + side * width / 2, depth * 0.5)
                berths.append(Berth(px, py, angle + 90, angle + 180 if side > 0 else angle, depth))
            step = max(step, width + 14)
        else:
            px, py = place(at, 0)
            berths.append(Berth(px, py, angle, angle - 90, step))
        at += step
    if rng.random() < 0.45:
        land |= _breakwater(stage, place)
    stage.land |= land
    return berths


LANDS = {"natural": (0.4, natural_coast), "harbour": (0.42, harbour), "channel": (0.18, channel)}


def add_land(stage: Stage) -> list[Berth]:
    """Draw one kind of coast with everything on it; returns the berths along it."""
    names = list(LANDS)
    kind = names[stage.rng.choice(len(names), p=[LANDS[n][0] for n in names])]
    berths = LANDS[kind][1](stage)
    built = {"natural": 0.25, "harbour": 1.0, "channel": 0.5}[kind]
    _cover(stage)
    if stage.rng.random() < built:
        _town(stage)
    if berths:
        _quayside(stage, berths)
    return berths


def add_rocks(stage: Stage, count: int) -> None:
    """Draw islets of 4 to 12 px: bright and rough, no ships."""
    rng, (h, w) = stage.rng, stage.shape
    for _ in range(count):
        x, y, size = rng.uniform(0.1, 0.9) * w, rng.uniform(0.1, 0.9) * h, rng.uniform(2, 6)
        angles = np.linspace(0, 2 * math.pi, 14, endpoint=False)
        radius = size * rng.uniform(0.5, 1.3, 14)
        stretched = radius * rng.uniform(0.8, 1.6)
        shape = stage.polygon(np.stack([x + stretched * np.cos(angles), y + radius * np.sin(angles)], 1))
        spiky = gamma_texture(stage.shape, 0.8, rng, correlation_px=1.5)
        level = max(float(from_db(rng.uniform(-12, -5))), stage.sea * 6)
        stage.backscatter = (stage.backscatter * (1 - shape) + shape * level * spiky).astype(np.float32)
        stage.land |= shape > 0.5
        stage.taken |= stage.polygon(np.stack([x + 12 * np.cos(angles), y + 12 * np.sin(angles)], 1)) > 0


def _shore_line(stage: Stage, reach: float) -> tuple[float, float, float]:
    """A point near the middle of the image and a direction; land will lie on the right of it."""
    rng, (h, w) = stage.rng, stage.shape
    return w * (0.5 + rng.uniform(-reach, reach)), h * (0.5 + rng.uniform(-reach, reach)), rng.uniform(0, 360)


def _shore(stage: Stage, reach: float) -> tuple[np.ndarray, np.ndarray]:
    return stage.frame(*_shore_line(stage, reach))


def _breakwater(stage: Stage, place: Callable[[float, float], tuple[float, float]]) -> np.ndarray:
    rng = stage.rng
    start, out, length = rng.uniform(-120, 120), rng.uniform(50, 120), rng.uniform(60, 200)
    bend = rng.choice([-1, 1])
    line = np.array([place(start, 0), place(start + bend * 8, -out), place(start + bend * length, -out - 10)])
    canvas = np.zeros(stage.shape, np.uint8)
    cv2.polylines(canvas, [np.round(line * 256).astype(np.int32)], False, 255, 3, cv2.LINE_AA, 8)
    return canvas > 100


def _cover(stage: Stage) -> None:
    """Fill the land: parcels of different level, roads, rough texture, a bright rim towards the radar."""
    rng, (h, w) = stage.rng, stage.shape
    level_db = max(rng.uniform(-14, -7), 10 * math.log10(stage.sea) + LAND_ABOVE_SEA_DB)
    seeds = np.ones((h, w), np.uint8)  # parcels: each pixel belongs to the nearest of a few seeds
    n = int(rng.integers(10, 50))
    seeds[rng.integers(0, h, n), rng.integers(0, w, n)] = 0
    nearest = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    parcel_db = rng.normal(0, rng.uniform(0.5, 2.5), int(nearest.max()) + 1).astype(np.float32)
    db = level_db + parcel_db[nearest] + 0.8 * rough(stage, 50)
    for _ in range(int(rng.integers(0, 6))):  # roads and ditches are smooth, hence dark
        along, across = stage.frame(rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0, 360))
        bend = across + rng.uniform(-12, 12) * np.sin(along / rng.uniform(60, 150))
        db = db - rng.uniform(3, 7) * np.exp(-((bend / rng.uniform(1.0, 2.2)) ** 2))
    texture = gamma_texture(stage.shape, rng.uniform(1.2, 6), rng, correlation_px=rng.uniform(1, 2.5))
    rx, ry = stage.radar.range_xy
    soft = cv2.GaussianBlur(stage.land.astype(np.float32), (0, 0), 1.0)
    facing = np.clip(cv2.Sobel(soft, cv2.CV_32F, 1, 0) * rx + cv2.Sobel(soft, cv2.CV_32F, 0, 1) * ry, 0, None)
    ground = from_db(db + rng.uniform(2, 8) * facing / max(float(facing.max()), 1e-6)) * texture
    ground = np.maximum(ground, 0.3 * stage.sea)
    stage.backscatter = np.where(stage.land, ground, stage.backscatter).astype(np.float32)


def _town(stage: Stage) -> None:
    """Buildings in blocks: a bright wall towards the radar, a row of corners along it, a shadow behind."""
    rng, (h, w) = stage.rng, stage.shape
    grid = rng.uniform(0, 90)
    grain = gamma_texture(stage.shape, 1.0, rng, correlation_px=1.2)
    rx, ry = stage.radar.range_xy
    for _ in range(int(rng.integers(2, 7))):
        cx, cy, spread = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(20, 70)
        for _ in range(int(rng.integers(10, 70))):
            x, y = cx + rng.normal(0, spread), cy + rng.normal(0, spread)
            if not (3 < x < w - 4 and 3 < y < h - 4) or not stage.land[int(y), int(x)]:
                continue
            angle = math.radians(grid + rng.choice([0, 90]) + rng.normal(0, 3))
            a, b = 1.2 + rng.exponential(2.2), rng.uniform(1, 2.5)
            along = np.array([math.cos(angle), math.sin(angle)])
            across = np.array([-along[1], along[0]])
            corners = [(x, y) + i * a * along + j * b * across for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            at = stage.around(x, y, a + b + 4)
            roof = stage.polygon(corners, at) * stage.land[at]
            shade = stage.polygon(np.add(corners, (3 * rx, 3 * ry)), at) * (1 - roof) * stage.land[at]
            height = rng.normal(0, 4)
            stage.backscatter[at] *= 1 - 0.75 * shade
            stage.backscatter[at] += roof * np.float32(from_db(-7 + height)) * grain[at]
            # The wall that faces the radar most squarely returns as a row of corners, shifted towards the radar.
            sign = -1 if across[0] * rx + across[1] * ry > 0 else 1
            n = max(2, int(a * 0.8))
            wall = (x, y) + sign * b * across + np.linspace(-a, a, n)[:, None] * along - (rx, ry)
            square = abs(across[0] * rx + across[1] * ry) ** 4
            stage.add_points(wall, from_db(rng.normal(2, 5, n) + 9 * square + height))


def _quayside(stage: Stage, berths: list[Berth]) -> None:
    """Cranes, stacks and sheds along the quays: the clutter that is hardest to tell from moored ships."""
    rng, (h, w) = stage.rng, stage.shape
    spiky = gamma_texture(stage.shape, 0.7, rng, correlation_px=1.5)
    for berth in berths:
        if rng.random() < 0.35:
            continue
        along = np.array([math.cos(math.radians(berth.angle_deg)), math.sin(math.radians(berth.angle_deg))])
        inland = -np.array([math.cos(math.radians(berth.water_deg)), math.sin(math.radians(berth.water_deg))])
        edge = np.array([berth.x, berth.y])
        if rng.random() < 0.4:  # a yard full of stacks
            first, last = np.sort(rng.uniform(-0.5, 0.5, 2)) * berth.length_px
            deep = rng.uniform(4, 16)
            corners = [edge + u * along + v * inland for u, v in ((first, 1), (last, 1), (last, deep), (first, deep))]
            at = stage.around(*edge, berth.length_px + deep)
            stage.backscatter[at] += (
                stage.polygon(corners, at) * stage.land[at] * spiky[at] * np.float32(from_db(rng.uniform(-8, 0)))
            )
        n = int(berth.length_px * rng.uniform(0.05, 0.6))
        u, v = rng.uniform(-0.5, 0.5, n) * berth.length_px, rng.uniform(1.0, 8.0, n)
        xy = edge + u[:, None] * along + v[:, None] * inland
        ok = [3 < px < w - 4 and 3 < py < h - 4 and bool(stage.land[int(py), int(px)]) for px, py in xy]
        stage.add_points(xy[ok], from_db(rng.normal(6, 5, int(np.sum(ok)))))
