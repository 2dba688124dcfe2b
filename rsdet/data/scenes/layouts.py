"""The kinds of place a scene can show; each function lays out one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import structures as build
from . import terrain
from .roads import Road, draw_roads, grid, parked, street_trees, traffic
from .terrain import crossing_path
from .world import World


def suburb(world: World) -> None:
    """Curved streets with houses, gardens and cars at the kerb."""
    rng, s = world.rng, world.scale
    angle = rng.uniform(0, np.pi)
    roads = []
    terrain.courtyards(world, angle, 0.0)
    offset = -world.extent / 2 + rng.uniform(10, 40) * s
    bend = rng.normal(0, 0.12)
    while offset < world.extent / 2:
        roads.append(Road(crossing_path(world, angle, offset, bend), 1, lane_m=2.9, kerb_m=2.2))
        offset += rng.uniform(52, 70) * s
    if rng.random() < 0.8:
        across = angle + np.pi / 2 + rng.normal(0, 0.15)
        roads.append(Road(crossing_path(world, across, rng.normal(0, 25) * s, rng.normal(0, 0.08)), 1, kerb_m=0.5))
    draw_roads(world, roads, marks=0.4)
    for road in roads:
        if road.kerb_m > 1:
            build.houses_along(world, road, rng.uniform(0.7, 0.95))
    for road in roads:
        if road.kerb_m > 1:
            parked(world, road, rng.uniform(0.1, 0.5))
        traffic(world, road, 90, trucks=0.1)
        street_trees(world, road, rng.uniform(14, 40))
    terrain.scatter_trees(world, rng.uniform(15, 50))
    build.litter(world, 6)


def city(world: World) -> None:
    """A street grid with large roofs and dense traffic."""
    rng = world.rng
    roads, angle = grid(world, rng.uniform(62, 95))
    terrain.courtyards(world, angle, rng.uniform(0.2, 0.9))
    draw_roads(world, roads, zebra=bool(rng.random() < 0.7))
    if rng.random() < 0.45:
        x, y = world.point(0.2)
        build.parking_lot(world, x, y, angle, 1, int(rng.integers(6, 12)), rng.uniform(0.4, 0.95))
    build.blocks(world, angle, 70)
    build.blocks(world, angle, 110, 8, 18)
    for road in roads:
        traffic(world, road, rng.uniform(14, 60), trucks=0.16)
        if road.kerb_m > 1:
            parked(world, road, rng.uniform(0.3, 0.9))
        if rng.random() < 0.6:
            street_trees(world, road, rng.uniform(9, 25))
    terrain.scatter_trees(world, 14)


def parking(world: World) -> None:
    """A shop or factory with a large, crowded parking lot."""
    rng, s = world.rng, world.scale
    angle = float(rng.uniform(0, np.pi))
    if rng.random() < 0.6:
        terrain.courtyards(world, angle, rng.uniform(0.1, 0.6))
    road = Road(crossing_path(world, angle, rng.choice([-1, 1]) * world.extent * rng.uniform(0.26, 0.36)), 2)
    draw_roads(world, [road], marks=0.9)
    x, y = world.point(0.42)
    rows = int(min(3, max(1, world.height_m / 62)))
    stalls = int(np.clip(min(world.width_m, world.height_m) * rng.uniform(0.45, 0.62) / 2.75, 8, 32))
    fill = rng.uniform(0.45, 0.95)
    for r, k in ((rows, stalls), (rows, stalls * 3 // 4), (1, stalls), (1, stalls * 2 // 3)):
        if build.parking_lot(world, x, y, angle, r, k, fill):
            break
    for _ in range(2):
        px, py = world.point(0.1)
        build.parking_lot(world, px, py, angle, 1, int(rng.integers(6, 14)), rng.uniform(0.2, 0.9))
    build.blocks(world, angle, 25, 18, 50)
    traffic(world, road, rng.uniform(25, 70), trucks=0.3)
    for _ in range(rng.poisson(4 * world.density)):  # lorries waiting in the yard
        px, py = world.point(0.05)
        world.place("truck", px, py, angle + rng.choice([0, np.pi / 2, np.pi]) + rng.normal(0, 0.05))
    if rng.random() < 0.4:
        px, py = world.point(0.1)
        build.containers(world, px, py, angle, int(rng.integers(2, 6)), int(rng.integers(1, 3)))
    street_trees(world, road, rng.uniform(12, 30))
    terrain.scatter_trees(world, rng.uniform(6, 24))
    build.litter(world, 4 / max(1.0, s))


def highway(world: World) -> None:
    """A wide road in a bend between fields, often with a bridge road across."""
    rng, s = world.rng, world.scale
    terrain.fields(world, rng.uniform(0.3, 1.0))
    angle, bend = rng.uniform(0, np.pi), rng.normal(0, 0.1)
    lanes = int(rng.integers(2, 4))
    main = [Road(crossing_path(world, angle, rng.normal(0, 20) * s, bend), lanes, lane_m=3.7, kerb_m=0.9)]
    side = []
    if rng.random() < 0.7:
        cross = angle + np.pi / 2 + rng.normal(0, 0.3)
        side.append(Road(crossing_path(world, cross, rng.normal(0, 30) * s, rng.normal(0, 0.1)), 1))
    draw_roads(world, main)
    if side:
        draw_roads(world, side)
        traffic(world, side[0], 70, trucks=0.25)
    traffic(world, main[0], rng.uniform(14, 55), trucks=rng.uniform(0.2, 0.45))
    terrain.woods(world, rng.uniform(0.05, 0.3))
    build.litter(world, 5)


def rural(world: World) -> None:
    """Fields, a farm, tracks, few vehicles."""
    rng, s = world.rng, world.scale
    terrain.fields(world, rng.uniform(0.5, 1.0))
    if rng.random() < 0.4:
        terrain.lake(world, rng.uniform(10, 30))
    roads = [Road(crossing_path(world, rng.uniform(0, np.pi), rng.normal(0, 25) * s, rng.normal(0, 0.15)), 0)]
    if rng.random() < 0.6:
        roads.append(Road(crossing_path(world, rng.uniform(0, np.pi), rng.normal(0, 30) * s, rng.normal(0, 0.1)), 1))
    draw_roads(world, roads, marks=0.6)
    build.blocks(world, rng.uniform(0, np.pi), 3, 10, 24)
    for road in roads:
        traffic(world, road, rng.uniform(30, 80), trucks=0.35)
    for _ in range(rng.poisson(3 * world.density)):
        x, y = world.point(0.05)
        world.place("truck" if rng.random() < 0.5 else "car", x, y, rng.uniform(0, 6.3))
    terrain.woods(world, rng.uniform(0.08, 0.35))
    terrain.scatter_trees(world, 8)
    build.litter(world, 14)


def harbour(world: World) -> None:
    """A quay with piers full of boats, houses and a street behind it."""
    rng = world.rng
    build.marina(world)
    build.blocks(world, rng.uniform(0, np.pi), 30, 10, 30)
    terrain.scatter_trees(world, 18)


def shore(world: World) -> None:
    """A beach or a river with boats under way, a road along it and trees."""
    rng, s = world.rng, world.scale
    if rng.random() < 0.55:
        terrain.coast(world)
    else:
        path = terrain.river(world, rng.uniform(28, 70))
        if rng.random() < 0.6:
            across = np.arctan2(*(path[-1] - path[0])[::-1]) + np.pi / 2
            bridge = Road(crossing_path(world, across, rng.normal(0, 20) * s), int(rng.integers(1, 3)))
            draw_roads(world, [bridge])
            traffic(world, bridge, rng.uniform(20, 60), trucks=0.25)
    build.boats_at_sea(world, rng.uniform(4, 12))
    build.blocks(world, rng.uniform(0, np.pi), 8, 9, 18)
    terrain.woods(world, rng.uniform(0.1, 0.4))
    build.litter(world, 6)


def airport(world: World) -> None:
    """A small airfield."""
    build.airfield(world)
    terrain.woods(world, world.rng.uniform(0.02, 0.12))
    build.litter(world, 3)


# name: (share of scenes, layout)
STYLES: dict[str, tuple[float, Callable[[World], None]]] = {
    "suburb": (0.16, suburb),
    "city": (0.15, city),
    "parking": (0.13, parking),
    "highway": (0.12, highway),
    "rural": (0.10, rural),
    "harbour": (0.12, harbour),
    "shore": (0.09, shore),
    "airport": (0.13, airport),
}
