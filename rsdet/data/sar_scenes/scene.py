"""One call from a seed to an annotated SAR scene."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from rsdet.data.outlines import rectangle
from rsdet.errors import ConfigError

from . import coast, ships
from .clutter import gamma_texture, gaussian_field
from .radar import Radar
from .stage import MARGIN_PX, Stage, from_db

CALIBRATION = 1000.0  # digital number = CALIBRATION * sqrt(sigma nought): 60 dB
NOISE_FLOOR_DB = -31.0  # thermal noise of the receiver, as sigma nought
PIXEL_M = (2.0, 7.0)
INSHORE_SHARE = 0.4
EMPTY_SHARE = 0.125  # of offshore scenes, on purpose without a ship
INSHORE_LAND = 0.03  # smallest share of land in an inshore scene; offshore scenes have at most a third of it (islets)


@dataclass
class SarScene:
    """A simulated SAR scene.

    Attributes:
        amplitude: `(H, W)` uint16, `1000 * sqrt(intensity)` clipped to 1..65535.
        intensity: `(H, W)` float32 sigma nought, linear, not clipped.
        boxes_xyxy: `(N, 4)` float32 in pixels, tight to the bright bodies of ships without their sidelobes.
        corners_xy: `(N, 4, 2)` float64 in pixels, rectangles around the same bodies: along the hull, or the
            smallest where the edge of the image cuts a ship. Corners may lie outside the image.
        inshore: Whether a coast is in the image.
        land: `(H, W)` bool, islets included.
        looks: Number of looks.
        nu: Shape of the sea's texture; `inf` for a sea without.
        sea_db: Mean backscatter of the open sea, sigma nought in dB.
        pixel_m: Ground distance of a pixel.
    """

    amplitude: np.ndarray
    intensity: np.ndarray
    boxes_xyxy: np.ndarray
    corners_xy: np.ndarray
    inshore: bool
    land: np.ndarray
    looks: int
    nu: float
    sea_db: float
    pixel_m: float

    @property
    def classes(self) -> np.ndarray:
        """`(N,)` int64 class of every box: always 0, ship."""
        return np.zeros(len(self.boxes_xyxy), np.int64)


def render_sar_scene(seed: int, size: int = 320, inshore: bool | None = None) -> SarScene:
    """Simulate one SAR scene with its annotation.

    Args:
        seed: The same seed and arguments give the same scene.
        size: Side of the square image in pixels, 64 to 4096. A larger image shows more ground at the same resolution.
        inshore: A scene with a coast, or of the open sea; chosen by the seed when None (four in ten are inshore).

    Raises:
        ConfigError: A seed or a size that cannot be rendered.
    """
    check_size(size)
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"seed={seed!r} received; expected a whole number of 0 or more; choose another number")
    rng = np.random.default_rng(seed)
    drawn = bool(rng.random() < INSHORE_SHARE)
    inshore = drawn if inshore is None else bool(inshore)
    # A coast may miss the corner of the world that the image shows: another draw of the same generator then.
    while True:
        stage, nu, boxes, corners = _build(rng, size, inshore)
        cut = slice(MARGIN_PX, MARGIN_PX + size)
        share = float(stage.land[cut, cut].mean())
        if INSHORE_LAND <= share <= 0.85 if inshore else share <= INSHORE_LAND / 3:
            break
    points_xy, power = np.array(stage.points_xy).reshape(-1, 2), np.array(stage.points_power)
    noise = np.float32(from_db(NOISE_FLOOR_DB))
    intensity = stage.radar.image(stage.backscatter + noise, points_xy, power, rng)[cut, cut].copy()
    amplitude = np.clip(np.rint(CALIBRATION * np.sqrt(intensity)), 1, 65535).astype(np.uint16)
    return SarScene(
        amplitude, intensity, boxes, corners, inshore, stage.land[cut, cut].copy(), stage.radar.looks, nu,
        10 * math.log10(stage.sea), stage.pixel_m,
    )  # fmt: skip


def check_size(size: int) -> None:
    """Raise `ConfigError` unless a scene of this side in pixels can be rendered."""
    if not isinstance(size, int | np.integer) or isinstance(size, bool) or not 64 <= size <= 4096:
        raise ConfigError(f"size={size!r} received; expected a whole number from 64 to 4096 pixels; change size")


def _radar(rng: np.random.Generator) -> Radar:
    return Radar(
        looks=int(rng.choice([1, 2, 3, 4], p=[0.5, 0.2, 0.15, 0.15])),
        bandwidth=tuple(rng.uniform(0.72, 0.98, 2)),
        weighting=tuple(rng.uniform(0.62, 0.98, 2)),
        azimuth_deg=float(rng.choice([0, 90])) + float(rng.normal(0, 6) if rng.random() < 0.25 else 0.0),
        ambiguity=float(from_db(rng.uniform(-29, -19) / 2)) if rng.random() < 0.12 else 0.0,
        ambiguity_px=float(rng.uniform(50, 140)),
    )


def _build(rng: np.random.Generator, size: int, inshore: bool) -> tuple[Stage, float, np.ndarray, np.ndarray]:
    side = size + 2 * MARGIN_PX
    sea = float(from_db(rng.uniform(-27, -18) if inshore else rng.uniform(-27, -15)))  # calmer in the lee of land
    nu = math.inf if rng.random() < 0.4 else float(np.exp(rng.uniform(*np.log((3.0, 50.0)))))
    pixel_m = float(np.exp(rng.uniform(*np.log(PIXEL_M))))
    stage = Stage(rng, _radar(rng), np.empty((side, side), np.float32), sea, pixel_m)
    stage.backscatter = _sea(stage, nu)
    berths = coast.add_land(stage) if inshore else []
    if not inshore and rng.random() < 0.15:
        coast.add_rocks(stage, int(rng.integers(1, 3)))
    placed = _fleet(stage, berths, inshore, size)
    if rng.random() < 0.3:
        _buoys(stage)
    return stage, nu, *_places(placed, size)


def _sea(stage: Stage, nu: float) -> np.ndarray:
    """Mean backscatter of the sea: gamma texture of wind and swell, a slope across the swath, slicks."""
    rng, shape = stage.rng, stage.shape
    wind = rng.uniform(0, 360)
    size_px = rng.uniform(1.5, 7)
    waves = gaussian_field(shape, (size_px, size_px * rng.uniform(1.5, 4)), rng, wind)
    if rng.random() < 0.5:
        length = rng.uniform(60, 220) / stage.pixel_m
        if length > 6:
            swell = gaussian_field(shape, (2.5 * length, 4 * length), rng, wind + rng.normal(0, 20), length)
            waves = waves + rng.uniform(0.4, 1.2) * swell
    mean = stage.sea * gamma_texture(shape, nu, rng, field=waves)
    rx, ry = stage.radar.range_xy
    along, _ = stage.frame(shape[1] / 2, shape[0] / 2, math.degrees(math.atan2(ry, rx)))
    db = rng.uniform(-1.5, 1.5) * along / shape[0]
    if rng.random() < 0.15:  # a film on the water, or no wind: smooth, dark
        slick = gaussian_field(shape, (rng.uniform(60, 120), rng.uniform(15, 40)), rng, rng.uniform(0, 360))
        db = db - rng.uniform(3, 6) / (1 + np.exp(-3.5 * (slick - rng.uniform(0.6, 1.4))))
    return (mean * from_db(db)).astype(np.float32)


def _fleet(stage: Stage, berths: list[coast.Berth], inshore: bool, size: int) -> list[ships.Ship]:
    rng = stage.rng
    if not inshore and rng.random() < EMPTY_SHARE:
        return []
    placed = [s for b in berths if (s := _moor(stage, b))]
    area = (size / 320) ** 2
    count = 1 + int(rng.poisson((1.5 if inshore else 2.5) * area))
    if not inshore and rng.random() < 0.1:
        count += int(rng.poisson(6 * area))  # an anchorage
    tries = 0
    while count and tries < 60 + 20 * count:
        tries += 1
        x, y = rng.uniform(MARGIN_PX - 8, stage.shape[1] - MARGIN_PX + 8, 2)
        ship = ships.design(stage, x, y)
        if not ships.free(stage, ship, 3.0):
            continue
        count -= 1
        if ship.length_px > 9 and rng.random() < 0.3:
            ships.wake(stage, ship)
        placed.append(ships.draw(stage, ship))
    return placed


def _moor(stage: Stage, berth: coast.Berth) -> ships.Ship | None:
    """A ship alongside, about one berth in two; None where it does not fit."""
    rng = stage.rng
    if rng.random() > 0.6:
        return None
    ship = ships.design(stage, 0, 0, berth.angle_deg + rng.choice([0, 180]) + rng.normal(0, 1.5))
    off = ship.beam_px / 2 + rng.uniform(1.2, 3.0)
    room = max(0.0, berth.length_px - ship.length_px) / 2
    at = rng.uniform(-room, room)
    c, s = math.cos(math.radians(berth.angle_deg)), math.sin(math.radians(berth.angle_deg))
    wx, wy = math.cos(math.radians(berth.water_deg)), math.sin(math.radians(berth.water_deg))
    moved = {"x": berth.x + at * c + off * wx, "y": berth.y + at * s + off * wy}
    ship = replace(ship, **moved)
    if not ships.free(stage, ship, 0.3):
        return None
    return ships.draw(stage, ship)


def _buoys(stage: Stage) -> None:
    """Single bright points at sea: buoys and small craft that are no ships by the annotators' rule."""
    rng, (h, w) = stage.rng, stage.shape
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(MARGIN_PX, w - MARGIN_PX), rng.uniform(MARGIN_PX, h - MARGIN_PX)
        if not stage.land[int(y), int(x)] and not stage.taken[int(y), int(x)]:
            stage.add_points([(x, y)], [stage.sea * float(from_db(rng.uniform(9, 17)))])


def _places(placed: list[ships.Ship], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and corners of ships, see :class:`SarScene`."""
    boxes, corners = np.zeros((len(placed), 4), np.float32), np.zeros((len(placed), 4, 2))
    for i, ship in enumerate(placed):
        body = ship.body_xy - MARGIN_PX
        boxes[i] = np.clip([*body.min(0), *(body.max(0) + 1)], 0, size)
        inside = ((body >= 0) & (body < size)).all(1)
        if (seen := body[inside]).size:  # always so: half of a ship is in the image
            corners[i] = rectangle(seen + 0.5, math.radians(ship.heading_deg) if inside.all() else None, margin=0.5)
    return boxes, corners
