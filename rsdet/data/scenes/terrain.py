"""Natural ground: soil and meadow, fields, water, woods."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from .canvas import FREE, WATER
from .world import World, rect


def noise(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 3) -> np.ndarray:
    """Fractal value noise `(height, width)` float32 with mean about 0 and deviation about 1.

    Args:
        rng: Source of chance.
        height: Rows.
        width: Columns.
        cell: Size in pixels of the coarsest blobs; every octave halves it.
        octaves: Number of layers, each half as strong as the one before.
    """
    total = np.zeros((height, width), np.float32)
    for k in range(octaves):
        step = max(1.0, cell / 2**k)
        grid = rng.standard_normal((int(height / step) + 3, int(width / step) + 3), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * 0.5**k
    return total * 1.25


def curve(p0: np.ndarray, p1: np.ndarray, bend: float, step: float = 3.0) -> np.ndarray:
    """Quadratic Bezier path `(N, 2)` from `p0` to `p1`; `bend` shifts its middle as a fraction of the chord."""
    p0, p1 = np.asarray(p0, float), np.asarray(p1, float)
    chord = p1 - p0
    middle = (p0 + p1) / 2 + np.array([-chord[1], chord[0]]) * bend
    t = np.linspace(0, 1, max(4, int(np.hypot(*chord) / step)))[:, None]
    return (1 - t) ** 2 * p0 + 2 * t * (1 - t) * middle + t**2 * p1


def crossing_path(world: World, angle: float, offset: float = 0.0, bend: float = 0.0) -> np.ndarray:
    """Path across the whole image along `angle`, shifted sideways from its centre by `offset` pixels."""
    centre = np.array([world.canvas.width, world.canvas.height]) / 2
    u = np.array([np.cos(angle), np.sin(angle)])
    middle = centre + np.array([-u[1], u[0]]) * offset
    reach = world.extent * 0.62
    return curve(middle - u * reach, middle + u * reach, bend)


def ground(world: World) -> None:
    """Cover everything with mottled soil and grass."""
    canvas, rng = world.canvas, world.rng
    h, w = canvas.height // 2, canvas.width // 2
    colors = np.array([world.jitter(c, 7) for c in world.grounds], np.float32)
    mix = noise(rng, h, w, 30 * world.scale, 4)
    second = np.clip(mix * 0.6 + 0.3, 0, 1)[..., None]
    third = np.clip(noise(rng, h, w, 14 * world.scale, 3) * 0.7 - 0.6, 0, 1)[..., None]
    image = colors[0] * (1 - second) + colors[1] * second
    image = image * (1 - third) + colors[2] * third
    small = np.clip(image, 0, 255).astype(np.uint8)
    cv2.resize(small, canvas.light.shape[::-1], dst=canvas.color, interpolation=cv2.INTER_LINEAR)


def _cells(
    world: World, angle: float, long_m: tuple[float, float], wide_m: tuple[float, float]
) -> Iterator[tuple[np.ndarray, float, float]]:
    """Cover the scene with rows of rectangles along `angle`; yields centre, length and width in final pixels."""
    rng, s = world.rng, world.scale
    u = np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    centre = np.array([world.canvas.width, world.canvas.height]) / 2
    reach = world.extent * 0.6
    a = -reach
    while a < reach:
        length = rng.uniform(*long_m) * s
        b = -reach
        while b < reach:
            width = rng.uniform(*wide_m) * s
            middle = centre + u * (a + length / 2) + v * (b + width / 2)
            if (abs(middle - centre) < centre + (length + width) / 2).all():
                yield middle, length, width
            b += width
        a += length


def fields(world: World, cover: float = 1.0) -> None:
    """Lay a grid of ploughed and sown parcels over the ground."""
    rng, canvas = world.rng, world.canvas
    angle = rng.uniform(0, np.pi)
    crops = [
        (118, 132, 72),
        (92, 112, 58),
        (170, 152, 96),
        (140, 116, 84),
        (186, 172, 120),
        (110, 96, 76),
        (96, 126, 66),
    ]
    if world.palette == "snow":
        crops = [(214, 216, 220), (200, 202, 204), (190, 186, 180)]
    gap = 2.5 * world.scale
    for middle, length, width in _cells(world, angle, (45, 100), (30, 70)):
        if rng.random() < cover:
            rgb = world.jitter(crops[rng.integers(len(crops))], 9)
            box = rect(*middle, length - gap, width - gap, angle)
            canvas.poly(box, rgb, rough=int(rng.uniform(110, 230)))
            if rng.random() < 0.65:
                _furrows(world, middle, length - 1.6 * gap, width - 1.6 * gap, angle, rgb)


def courtyards(world: World, angle: float, paved: float) -> None:
    """Divide the ground into yards and lawns aligned to `angle`; `paved` is the share of yards."""
    rng = world.rng
    yards = [(150, 146, 138), (126, 124, 120), (170, 160, 142), (138, 126, 110)]
    for middle, length, width in _cells(world, angle, (14, 40), (12, 30)):
        hard = rng.random() < paved
        base = yards[rng.integers(len(yards))] if hard else world.grounds[rng.integers(len(world.grounds))]
        if hard or rng.random() < 0.6:
            box = rect(*middle, length - 0.6 * world.scale, width - 0.6 * world.scale, angle)
            world.canvas.poly(box, world.jitter(base, 7), rough=110 if hard else 220)


def _furrows(world: World, middle: np.ndarray, length: float, width: float, angle: float, rgb: tuple) -> None:
    gap = world.rng.uniform(1.6, 4.0) * world.scale
    u = np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    tone = tuple(c * world.rng.uniform(0.84, 0.93) for c in rgb)
    rows = [
        np.array([middle - u * length / 2 + v * k, middle + u * length / 2 + v * k])
        for k in np.arange(-width / 2 + gap / 2, width / 2, gap)
    ]
    world.canvas.lines(rows, gap * 0.4, tone)


def water_color(world: World) -> tuple[float, float, float]:
    """Colour of the water in a scene: deep blue, green or muddy."""
    choices = [(36, 62, 78), (44, 78, 88), (58, 82, 74), (86, 92, 74), (30, 48, 62)]
    return world.jitter(choices[world.rng.integers(len(choices))], 6)


def water(world: World, outline: np.ndarray, rgb: tuple, beach: float = 0.0) -> None:
    """Fill a polygon with water; `beach` is the width of the sand around it in metres."""
    if beach > 0:
        closed = np.concatenate([outline, outline[:1]])
        world.canvas.line(closed, 2 * beach * world.scale, world.jitter((196, 180, 142), 8), rough=120)
    world.canvas.poly(outline, rgb, rough=70, kind=WATER)
    shallow = tuple(0.72 * c + 0.28 * s for c, s in zip(rgb, (150, 160, 140), strict=True))
    if beach > 0:
        world.canvas.line(np.concatenate([outline, outline[:1]]), 1.2 * world.scale, shallow, rough=70)


def lake(world: World, radius_m: float) -> None:
    """Put a pond or lake with a wavy shore somewhere."""
    rng = world.rng
    x, y = world.point()
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    wave = 1 + sum(rng.normal(0, 0.22 / k) * np.cos(k * t + rng.uniform(0, 6.3)) for k in range(1, 6))
    squeeze = rng.uniform(0.55, 1)
    points = np.stack([np.cos(t) * wave, np.sin(t) * wave * squeeze], 1) * radius_m * world.scale + (x, y)
    water(world, points, water_color(world), beach=rng.uniform(0.8, 3))


def river(world: World, width_m: float) -> np.ndarray:
    """Let a river cross the scene; returns its centre line `(N, 2)`."""
    rng = world.rng
    path = crossing_path(world, rng.uniform(0, 2 * np.pi), rng.normal(0, 0.12) * world.extent, rng.normal(0, 0.18))
    rgb = water_color(world)
    width = width_m * world.scale
    world.canvas.line(path, width + rng.uniform(1.5, 5) * world.scale, world.jitter((150, 140, 108), 10), rough=180)
    world.canvas.line(path, width, rgb, rough=60, kind=WATER)
    return path


def coast(world: World, waves: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flood one side of the scene.

    Returns:
        A point on the shore line `(2,)`, the unit vector along it `(2,)` and the one towards the sea `(2,)`.
    """
    rng, canvas = world.rng, world.canvas
    angle = rng.uniform(0, 2 * np.pi)
    u = np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    start = np.array([canvas.width, canvas.height]) / 2 - v * rng.uniform(0.02, 0.2) * world.extent
    t = np.linspace(-0.9, 0.9, 60) * world.extent
    shift = np.zeros_like(t)
    if waves:
        for k in range(1, 6):
            shift += rng.normal(0, 0.05 / k) * np.sin(k * t / world.extent * 3 + rng.uniform(0, 6.3)) * world.extent
    shore = start + t[:, None] * u + shift[:, None] * v
    outline = np.concatenate([shore, [shore[-1] + v * 2 * world.extent, shore[0] + v * 2 * world.extent]])
    water(world, outline, water_color(world), beach=rng.uniform(3, 10) if waves else 0.0)
    if waves:  # surf: broken lines of foam that follow the shore
        for k in range(rng.integers(1, 3)):
            swell = v[None] * ((1.0 + 2.6 * k + 0.7 * rng.standard_normal(len(shore))) * world.scale)[:, None]
            foam = np.concatenate([shore + swell, (shore + swell + v * rng.uniform(0.4, 0.9) * world.scale)[::-1]])
            canvas.veil(foam, (214, 220, 218), rng.uniform(0.25, 0.5))
    return start, u, v


def woods(world: World, cover: float) -> None:
    """Plant clumps of trees on unused ground; `cover` is the rough share of it, 0 to 1."""
    rng, canvas = world.rng, world.canvas
    h, w = canvas.height, canvas.width
    field = noise(rng, h // 4, w // 4, 10 * world.scale, 2)
    limit = float(np.quantile(field, 1 - cover))
    spacing = 5.2 * world.scale
    spots = np.mgrid[0:h:spacing, 0:w:spacing].reshape(2, -1)
    spots = np.minimum(spots + rng.uniform(0, spacing, spots.shape), np.array([[h - 1], [w - 1]]))
    y, x = spots.astype(int)
    dense = field[np.minimum(y // 4, h // 4 - 1), np.minimum(x // 4, w // 4 - 1)] > limit
    for py, px in spots[:, dense & (canvas.kind[y, x] == FREE)].T:
        world.plant(px, py, rng.uniform(1.8, 4.2))


def scatter_trees(world: World, per_hectare: float) -> None:
    """Plant single trees and bushes on unused ground."""
    for _ in range(world.count(per_hectare)):
        x, y = world.point()
        if world.canvas.kind[int(y), int(x)] == FREE:
            world.plant(x, y, world.rng.uniform(0.8, 3.6))


def draw_trees(world: World) -> None:
    """Draw all crowns with their shadows, over everything that is already there."""
    rng, canvas = world.rng, world.canvas
    if not world.trees:
        return
    sun = world.sun / max(1e-6, float(np.hypot(*world.sun)))
    place = np.array([(t.x, t.y, t.radius) for t in world.trees])
    rgb = np.array([t.rgb for t in world.trees])
    for reach in (1.3, 0.65):
        for x, y, r in place * (1, 1, 0.93) + np.outer(place[:, 2] * reach, (*world.sun, 0)):
            canvas.shade_disc(x, y, r)
    # Leaf clumps: lit on the side of the sun, kept inside the crown so that the outline stays known.
    n = 5
    dx, dy, size, tone = np.moveaxis(
        rng.uniform((-0.55, -0.55, 0.25, 0.8), (0.55, 0.55, 0.48, 1.2), (len(place), n, 4)), 2, 0
    )
    tone = tone * (1 - 0.55 * (dx * sun[0] + dy * sun[1]))
    r = place[:, 2:]
    clumps = np.stack([place[:, :1] + (dx - 0.1 * sun[0]) * r, place[:, 1:2] + (dy - 0.1 * sun[1]) * r, size * r], 2)
    paint = rgb[:, None] * tone[..., None]
    for (x, y, radius), base, discs, colors in zip(place, rgb * 0.66, clumps, paint, strict=True):
        canvas.shade_disc(x, y, radius, 255)
        canvas.disc(x, y, radius, base, rough=255)
        for (cx, cy, cr), color in zip(discs, colors, strict=True):
            canvas.disc(cx, cy, cr, color)
