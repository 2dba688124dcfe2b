"""What people build: roofs, parking lots, a marina, an airfield, and the small clutter that is no vehicle."""

from __future__ import annotations

import numpy as np

from .canvas import BUILDING, FREE, PAVED, ROAD, WATER
from .roads import Road, normals
from .terrain import coast
from .world import World, rect

TILES = [(150, 84, 66), (132, 72, 58), (168, 108, 84), (104, 96, 92), (84, 82, 84), (126, 112, 98), (142, 138, 132)]
FLAT = [(170, 168, 164), (196, 194, 188), (142, 140, 138), (120, 118, 116), (208, 206, 202), (158, 146, 130)]


def _faces(points: np.ndarray, inset: float) -> list[np.ndarray]:
    """Four faces of a hipped roof over a rectangle `(4, 2)`; `inset` 0 makes gables."""
    a, b, c, d = points
    left, right = (a + d) / 2, (b + c) / 2
    r0, r1 = left + (right - left) * inset, right + (left - right) * inset
    return [np.array([a, b, r1, r0]), np.array([c, d, r0, r1]), np.array([a, r0, d]), np.array([b, c, r1])]


def _slope_light(world: World, face: np.ndarray, middle: np.ndarray) -> float:
    outward = face.mean(0) - middle
    outward = outward / max(1e-6, float(np.hypot(*outward)))
    sun = world.sun / max(1e-6, float(np.hypot(*world.sun)))
    return 0.98 - 0.3 * world.shadow * float(outward @ sun)


def building(world: World, x: float, y: float, length_m: float, width_m: float, angle: float, flat: bool) -> bool:
    """Build one house where the ground is unused; returns whether it was built."""
    s = world.scale
    base = rect(x, y, length_m * s, width_m * s, angle)
    if not world.free(rect(x, y, (length_m + 3) * s, (width_m + 3) * s, angle)):
        return False
    with world.house(base):
        _house(world, base, length_m, width_m, angle, flat, (x, y))
    return True


def _house(
    world: World, base: np.ndarray, length_m: float, width_m: float, angle: float, flat: bool, at: tuple[float, float]
) -> None:
    (x, y), rng, s = at, world.rng, world.scale
    height = float(rng.uniform(6, 16) if flat else rng.uniform(4, 7))
    world.cast(base, height)
    world.canvas.shade(base, 255)
    if flat:
        _flat_roof(world, base, x, y, length_m, width_m, angle)
    else:
        rgb = np.array(world.jitter(TILES[rng.integers(len(TILES))], 9))
        inset = float(rng.choice([0.0, 0.22, 0.3]))
        world.canvas.poly(base, rgb, rough=60, kind=BUILDING)
        for face in _faces(base, inset):
            world.canvas.poly(face, rgb * _slope_light(world, face, base.mean(0)))
        ridge = [(base[0] + base[3]) / 2, (base[1] + base[2]) / 2]
        world.canvas.line(np.array(ridge) * (1 - inset) + base.mean(0) * inset, 0.35 * s, rgb * 1.14)
        if rng.random() < 0.6:  # chimney or skylight
            _roof_box(world, base, 0.8, 0.6, angle, (96, 90, 88) if rng.random() < 0.5 else (70, 84, 98))
        if rng.random() < 0.2:  # solar panels on one slope
            px, py = (base[0] + base[1]) / 4 + base.mean(0) / 2
            world.canvas.poly(rect(px, py, length_m * 0.5 * s, width_m * 0.24 * s, angle), (38, 46, 66), rough=20)


def _roof_box(world: World, base: np.ndarray, length_m: float, width_m: float, angle: float, rgb: tuple) -> None:
    u, v = world.rng.uniform(0.16, 0.84, 2)
    x, y = base[0] + (base[1] - base[0]) * u + (base[3] - base[0]) * v
    box = rect(x, y, length_m * world.scale, width_m * world.scale, angle)
    world.cast(box, 1.0)
    world.canvas.shade(box, 255)
    world.canvas.poly(box, rgb, rough=20)


def _flat_roof(world: World, base: np.ndarray, x: float, y: float, length: float, width: float, angle: float) -> None:
    rng, s = world.rng, world.scale
    rgb = np.array(world.jitter(FLAT[rng.integers(len(FLAT))], 8))
    world.canvas.poly(base, rgb * 0.8, rough=50, kind=BUILDING)
    world.canvas.poly(rect(x, y, (length - 0.9) * s, (width - 0.9) * s, angle), rgb, rough=60)
    if rng.random() < 0.35:  # seams
        n = max(2, int(length / rng.uniform(3, 7)))
        side, other = base[1] - base[0], base[3] - base[0]
        seams = [np.array([base[0] + side * t, base[0] + side * t + other]) for t in np.linspace(0, 1, n + 1)[1:-1]]
        if seams:
            world.canvas.lines(seams, 0.2 * s, rgb * 0.9)
    for _ in range(rng.poisson(length * width / 90)):  # air conditioners, hatches, skylights: small but no vehicles
        kind = rng.random()
        tone = (188, 190, 192) if kind < 0.5 else (116, 120, 124) if kind < 0.8 else (150, 170, 180)
        side = rng.uniform(0.9, 2.2)
        _roof_box(world, base, side * rng.uniform(1, 1.4), side, angle, tone)
    if rng.random() < 0.3:  # lift house
        _roof_box(world, base, min(5, length * 0.3), min(4, width * 0.3), angle, tuple(rgb * 0.92))


def houses_along(world: World, road: Road, share: float = 0.8) -> None:
    """Line a road with houses, their driveways, sheds and pools."""
    rng, s = world.rng, world.scale
    tangent, normal = normals(road.path)
    for side in (-1, 1):
        at = rng.uniform(2, 14)
        while (i := int(at * s / 2)) < len(road.path):
            length, depth = rng.uniform(9, 15), rng.uniform(7.5, 10)
            setback = rng.uniform(4, 8)
            angle = float(np.arctan2(tangent[i, 1], tangent[i, 0]) + rng.normal(0, 0.03))
            out = normal[i] * side
            x, y = road.path[i] + out * (road.half_m + setback + depth / 2) * s
            at += length + rng.uniform(4.5, 9)
            if rng.random() > share or not building(world, x, y, length, depth, angle, flat=rng.random() < 0.12):
                continue
            if rng.random() < 0.75:
                drive = np.array([x, y]) - out * (depth / 2) * s + tangent[i] * (length / 2 + 2.0) * s
                _driveway(world, drive, out, setback)
            _garden(world, np.array([x, y]) + out * (depth / 2 + rng.uniform(4, 8)) * s, angle)


def _driveway(world: World, end: np.ndarray, out: np.ndarray, setback: float) -> None:
    rng, s = world.rng, world.scale
    heading = float(np.arctan2(out[1], out[0]))
    middle = end - out * (setback / 2 - 1.5) * s
    strip = rect(*middle, (setback + 3) * s, 3.2 * s, heading)
    under = world.canvas.under(strip)
    if (under >= BUILDING).any():
        return
    world.canvas.poly(strip, world.jitter((158, 152, 142), 12), rough=70, kind=PAVED)
    if rng.random() < 0.6 * world.density:
        world.place("car", *(end - out * 0.8 * s), heading + np.pi * rng.integers(2) + rng.normal(0, 0.04))


def _garden(world: World, middle: np.ndarray, angle: float) -> None:
    rng, s = world.rng, world.scale
    what = rng.random()
    if what < 0.16:
        pool = rect(*middle, rng.uniform(5, 8) * s, rng.uniform(2.8, 4) * s, angle)
        edge = rect(*middle, 9.4 * s, 5.4 * s, angle)
        if world.free(edge):
            world.canvas.poly(edge, (190, 184, 172), rough=40, kind=PAVED)
            world.canvas.poly(pool, (86, 170, 190), rough=20)
    elif what < 0.5:
        shed = rect(*middle, rng.uniform(2.2, 3.4) * s, rng.uniform(1.8, 2.6) * s, angle)
        if world.free(shed):
            world.cast(shed, 2.2)
            world.canvas.shade(shed, 255)
            world.canvas.poly(shed, world.jitter((128, 110, 92), 18), rough=50, kind=BUILDING)
    elif what < 0.58:
        world.canvas.disc(*middle, 1.7 * s, (44, 48, 54), rough=30)  # trampoline


def blocks(world: World, angle: float, tries: int, small: float = 12, large: float = 34) -> None:
    """Fill the gaps between streets with large buildings aligned to the grid."""
    rng = world.rng
    for _ in range(tries):
        x, y = world.point(-0.05)
        turn = angle + (np.pi / 2) * rng.integers(2)
        building(
            world, x, y, rng.uniform(small, large), rng.uniform(small, large * 0.65), turn, flat=rng.random() < 0.8
        )


def parking_lot(world: World, x: float, y: float, angle: float, rows: int, stalls: int, fill: float) -> bool:
    """Lay out a lot of `rows` double rows with `stalls` places each side, and fill a share of the places.

    Returns:
        Whether there was room for it.
    """
    rng, s = world.rng, world.scale
    stall_w, stall_l, aisle = 2.75, 5.3, 6.4
    pitch = 2 * stall_l + aisle
    length, depth = stalls * stall_w + 6, rows * pitch + 2
    base = rect(x, y, length * s, depth * s, angle)
    if not world.free(base):
        return False
    tone = rng.uniform(78, 140)
    world.canvas.poly(base, (tone + 2, tone, tone - 3), rough=60, kind=PAVED)
    u = np.array([np.cos(angle), np.sin(angle)]) * s
    v = np.array([-u[1], u[0]])
    corner = np.array([x, y]) - u * stalls * stall_w / 2 - v * rows * pitch / 2
    paint = world.jitter((214, 212, 204), 8)
    for row in range(rows):
        for half in (0, 1):
            top = row * pitch + aisle / 2 + half * stall_l
            lines = [
                np.array([corner + u * k * stall_w + v * top, corner + u * k * stall_w + v * (top + stall_l)])
                for k in range(stalls + 1)
            ]
            world.canvas.lines(lines, max(0.34, 0.14 * s), paint)
            for k in range(stalls):
                if rng.random() < fill * min(1.3, world.density):
                    px, py = corner + u * (k + 0.5) * stall_w + v * (top + stall_l / 2 + rng.normal(0, 0.25))
                    heading = angle + np.pi / 2 + np.pi * rng.integers(2) + rng.normal(0, 0.035)
                    world.place("car", px, py, heading)
        if rng.random() < 0.3:
            for k in range(2, stalls, 5):
                world.plant(*(corner + u * k * stall_w + v * (row * pitch + aisle / 2 + stall_l)), rng.uniform(1, 2))
    return True


def containers(world: World, x: float, y: float, angle: float, rows: int, columns: int) -> None:
    """Stack freight containers in a tight block: as large and coloured as trucks, but without cab or gap."""
    rng, s = world.rng, world.scale
    length = float(rng.choice([6.1, 12.2]))
    base = rect(x, y, columns * (length + 0.4) * s, rows * 2.6 * s, angle)
    ground = world.canvas.under(base)
    if ((ground >= BUILDING) | (ground == ROAD)).any():
        return
    u = np.array([np.cos(angle), np.sin(angle)]) * s
    v = np.array([-u[1], u[0]])
    paints = [(146, 62, 48), (52, 84, 128), (164, 128, 70), (84, 112, 96), (150, 152, 152), (110, 70, 60)]
    for r in range(rows):
        for c in range(columns):
            if rng.random() < 0.1:
                continue
            at = np.array([x, y]) + u * (c - (columns - 1) / 2) * (length + 0.4) + v * (r - (rows - 1) / 2) * 2.6
            box = rect(*at, length * s, 2.45 * s, angle)
            world.cast(box, 2.6)
            world.canvas.shade(box, 255)
            rgb = np.array(world.jitter(paints[rng.integers(len(paints))], 10))
            world.canvas.poly(box, rgb * 0.8, rough=30, kind=BUILDING)
            world.canvas.poly(rect(*at, (length - 0.3) * s, 2.1 * s, angle), rgb)


def marina(world: World) -> None:
    """Build a quay on a straight shore with piers, berthed boats and boats under way."""
    rng, s = world.rng, world.scale
    start, u, v = coast(world, waves=False)
    angle = float(np.arctan2(u[1], u[0]))
    apron_m = rng.uniform(10, 26)
    middle = start - v * apron_m / 2 * s
    quay = rect(*middle, 2 * world.extent, apron_m * s, angle)
    world.canvas.poly(quay, world.jitter((170, 166, 156), 12), rough=80, kind=PAVED)
    world.canvas.line(np.array([start - u * world.extent, start + u * world.extent]), 0.7 * s, (206, 202, 194))
    wood = world.jitter((158, 142, 118), 12)
    at = -world.extent / s / 2 + rng.uniform(0, 20)
    while at < world.extent / s / 2:
        length = rng.uniform(24, 60)
        berth = rng.uniform(6.0, 9.5)
        pier_start = start + u * at * s
        pier = rect(*(pier_start + v * length / 2 * s), length * s, 2.0 * s, angle + np.pi / 2)
        world.cast(pier, 0.7)
        world.canvas.shade(pier, 255)
        world.canvas.poly(pier, wood, rough=60, kind=PAVED)
        fill = rng.uniform(0.35, 0.95)
        for side in (-1, 1):
            d = 4.0
            while d < length - 1:
                size = rng.uniform(0.75, 1.0) * berth
                beam = size * 0.34 + rng.uniform(0.7, 1.3)
                if rng.random() < fill * world.density:
                    x, y = pier_start + v * (d + beam / 2) * s + u * side * (1.9 + size / 2) * s
                    turned = np.pi if (side < 0) != (rng.random() < 0.3) else 0.0
                    world.place("boat", x, y, angle + turned + rng.normal(0, 0.05), length=size)
                d += beam
        at += 2 * berth + rng.uniform(9, 18)
    for _ in range(rng.integers(1, 4)):
        x, y = start + u * rng.uniform(-0.4, 0.4) * world.extent - v * apron_m * rng.uniform(0.3, 0.7) * s
        if rng.random() < 0.6:
            containers(world, x, y, angle, int(rng.integers(2, 4)), int(rng.integers(1, 4)))
    boats_at_sea(world, 2.0)
    _quay_traffic(world, start, u, v, apron_m, angle)


def _quay_traffic(world: World, start: np.ndarray, u: np.ndarray, v: np.ndarray, apron_m: float, angle: float) -> None:
    rng, s = world.rng, world.scale
    for _ in range(rng.poisson(9 * world.density)):
        x, y = start + u * rng.uniform(-0.5, 0.5) * world.extent - v * rng.uniform(2, apron_m - 2) * s
        heading = angle + float(rng.choice([0, np.pi / 2, np.pi])) + rng.normal(0, 0.1)
        world.place("truck" if rng.random() < 0.4 else "car", x, y, heading)


def boats_at_sea(world: World, per_hectare: float) -> None:
    """Scatter moving and anchored boats on the water."""
    rng = world.rng
    for _ in range(world.count(per_hectare * world.density)):
        x, y = world.point()
        if world.canvas.kind[int(y), int(x)] == WATER:
            world.place("boat", x, y, rng.uniform(0, 2 * np.pi), moving=bool(rng.random() < 0.5))
    for _ in range(world.count(1.0)):  # buoys and rocks
        x, y = world.point()
        if world.canvas.kind[int(y), int(x)] == WATER:
            rock = rng.random() < 0.5
            world.canvas.disc(x, y, rng.uniform(0.5, 1.1) * world.scale, (90, 86, 78) if rock else (214, 120, 60))


def airfield(world: World) -> None:
    """Build a runway, a taxiway, an apron with parked planes, and hangars."""
    rng, s, canvas = world.rng, world.scale, world.canvas
    angle = float(rng.uniform(0, 2 * np.pi))
    u = np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    centre = np.array([canvas.width, canvas.height]) / 2
    reach = world.extent * 1.3
    tone = rng.uniform(88, 128)
    grey = (tone, tone, tone - 3)
    width = rng.uniform(16, 24)
    strip = centre - v * rng.uniform(22, 45) * s
    canvas.poly(rect(*strip, reach, width * s, angle), grey, rough=55, kind=ROAD)
    dashes = [
        np.array([strip + u * k * s, strip + u * (k + 9) * s]) for k in np.arange(-reach / s / 2, reach / s / 2, 18)
    ]
    canvas.lines(dashes, 0.6 * s, (220, 220, 214))
    for side in (-1, 1):
        edge = strip + v * side * (width / 2 - 1) * s
        canvas.line(np.array([edge - u * reach, edge + u * reach]), 0.45 * s, (214, 214, 208))
    if rng.random() < 0.6:  # threshold bars
        bar = strip + u * rng.uniform(-0.3, 0.3) * world.extent
        for k in np.arange(-width / 2 + 2, width / 2 - 1, 1.9):
            canvas.poly(rect(*(bar + v * k * s), 12 * s, 0.9 * s, angle), (222, 222, 216))
    taxi = strip + v * (width / 2 + 16) * s
    canvas.poly(rect(*taxi, reach, 9 * s, angle), (tone + 10, tone + 9, tone + 4), rough=50, kind=ROAD)
    canvas.line(np.array([taxi - u * reach, taxi + u * reach]), 0.3 * s, (206, 176, 70))
    depth = rng.uniform(34, 58)
    apron = taxi + v * (4.5 + depth / 2) * s
    canvas.poly(rect(*apron, 0.75 * reach, depth * s, angle), (tone + 26, tone + 25, tone + 20), rough=55, kind=PAVED)
    joint = [
        np.array([apron + u * k * s - v * depth / 2 * s, apron + u * k * s + v * depth / 2 * s])
        for k in np.arange(-0.37 * reach / s, 0.37 * reach / s, 7.5)
    ]
    canvas.lines(joint, 0.14 * s, (tone + 8, tone + 8, tone + 4))
    _stands(world, apron, u, v, angle, depth, 0.36 * reach / s)
    for spot in (strip, taxi):
        if rng.random() < 0.35 * world.density:
            world.place("plane", *(spot + u * rng.uniform(-0.35, 0.35) * world.extent), angle + np.pi * rng.integers(2))
    hangars = apron + v * (depth / 2 + 12) * s
    at = -0.3 * reach / s
    while at < 0.3 * reach / s:
        size = rng.uniform(15, 26)
        if rng.random() < 0.7:
            building(world, *(hangars + u * at * s), size, rng.uniform(13, 18), angle, flat=rng.random() < 0.4)
        at += size + rng.uniform(5, 15)


def _stands(
    world: World, apron: np.ndarray, u: np.ndarray, v: np.ndarray, angle: float, depth: float, half_m: float
) -> None:
    rng, s = world.rng, world.scale
    fill = rng.uniform(0.4, 0.95)
    for row in np.arange(-depth / 2 + 10, depth / 2 - 6, 17):
        at = -half_m + rng.uniform(4, 12)
        tilt = float(rng.choice([0.0, 0.0, 0.5, -0.5]))
        while at < half_m - 6:
            size = rng.uniform(8, 11) if rng.random() < 0.8 else rng.uniform(11, 13)
            x, y = apron + u * at * s + v * row * s
            if rng.random() < fill * world.density:
                heading = angle - np.pi / 2 + tilt + np.pi * (rng.random() < 0.12) + rng.normal(0, 0.05)
                world.place("plane", x, y, heading, length=size)
            elif rng.random() < 0.5:  # tie-down mark of an empty stand
                world.canvas.line(np.array([(x, y) - v * 4 * s, (x, y) + v * 4 * s]), 0.25 * s, (206, 176, 70))
            at += size * rng.uniform(1.45, 1.7)
    for _ in range(rng.poisson(5 * world.density)):
        x, y = apron + u * rng.uniform(-half_m, half_m) * s + v * rng.choice([-1, 1]) * (depth / 2 - 2.2) * s
        heading = angle + np.pi * rng.integers(2)
        world.place("truck" if rng.random() < 0.3 else "car", x, y, heading + rng.normal(0, 0.08))


def litter(world: World, per_hectare: float) -> None:
    """Scatter small things that are no vehicles: bales, bins, boulders, pallets, tarpaulins."""
    rng, s, canvas = world.rng, world.scale, world.canvas
    for _ in range(world.count(per_hectare)):
        x, y = world.point()
        if canvas.kind[int(y), int(x)] != FREE:
            continue
        what = rng.random()
        if what < 0.4:
            canvas.disc(x, y, rng.uniform(0.5, 1.1) * s, world.jitter((188, 170, 124), 14), rough=80)
        elif what < 0.7:
            side = rng.uniform(0.8, 2.0)
            box = rect(x, y, side * s, side * rng.uniform(0.7, 1) * s, rng.uniform(0, 3.1))
            world.cast(box, 0.9)
            canvas.shade(box, 255)
            canvas.poly(box, world.jitter((150, 146, 138), 30), rough=40)
        else:
            canvas.disc(x, y, rng.uniform(0.6, 1.6) * s, world.jitter((122, 116, 108), 12), rough=160)
