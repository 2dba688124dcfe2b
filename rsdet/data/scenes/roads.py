"""Roads with marks, crossings and traffic."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import FREE, ROAD
from .terrain import crossing_path
from .world import World, rect


@dataclass
class Road:
    """One road.

    Attributes:
        path: `(N, 2)` centre line in final pixels, about 2 px apart.
        lanes: Lanes per direction; 0 is a dirt track.
        lane_m: Width of a lane in metres.
        kerb_m: Extra paved width on each side, used by parked cars.
    """

    path: np.ndarray
    lanes: int = 1
    lane_m: float = 3.4
    kerb_m: float = 0.3

    @property
    def half_m(self) -> float:
        """Half of the paved width in metres."""
        return 1.6 if self.lanes == 0 else self.lanes * self.lane_m + self.kerb_m


def resample(path: np.ndarray, step: float) -> np.ndarray:
    """Points `(M, 2)` along a path at equal distances."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    t = np.arange(0, along[-1], step)
    return np.stack([np.interp(t, along, path[:, 0]), np.interp(t, along, path[:, 1])], 1)


def normals(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit tangents and right-hand normals `(N, 2)` of a path."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(1e-9, np.hypot(tangent[:, 0], tangent[:, 1]))[:, None]
    return tangent, np.stack([-tangent[:, 1], tangent[:, 0]], 1)


def _coarse(road: Road) -> np.ndarray:
    # A thick line costs by the joint, and a bend needs no joint every 2 px.
    return np.concatenate([road.path[::5], road.path[-1:]])


def _inside(world: World, path: np.ndarray, margin: float = 0.0) -> np.ndarray:
    limit = np.array([world.canvas.width, world.canvas.height]) + margin
    return ((path > -margin) & (path < limit)).all(1)


def draw_roads(world: World, roads: list[Road], marks: float = 1.0, zebra: bool = False) -> None:
    """Draw all roads at once, so that crossings join; `marks` is the chance that a road has lane marks."""
    rng, canvas, s = world.rng, world.canvas, world.scale
    for road in roads:
        road.path = resample(road.path, 2.0)
    tone = rng.uniform(74, 132)
    warm = rng.uniform(-3, 7)
    walk = world.jitter((160, 156, 148), 10)
    verge = world.jitter((138, 130, 108), 10)
    for road in roads:
        if road.lanes:
            edge = walk if road.kerb_m > 1 else verge
            canvas.line(_coarse(road), 2 * (road.half_m + rng.uniform(0.8, 2.0)) * s, edge, rough=110, kind=ROAD)
    count = np.zeros_like(canvas.kind)
    for road in roads:
        width = 2 * road.half_m * s
        if road.lanes == 0:
            dirt = world.jitter((164, 144, 112), 10)
            canvas.line(_coarse(road), width, dirt, rough=200, kind=ROAD)
            canvas.line(_coarse(road), width * 0.25, tuple(c * 0.86 for c in dirt))
        else:
            t = tone + rng.normal(0, 5)
            canvas.line(_coarse(road), width, (t + warm, t + 1, t - warm / 2), rough=46, kind=ROAD)
        layer = np.zeros_like(count)
        cv2.polylines(layer, [np.rint(_coarse(road)).astype(np.int32)], False, 1, max(1, round(width)))
        count += layer
    paint = world.jitter((222, 220, 210), 8)
    for road in roads:
        if road.lanes and rng.random() < marks:
            _lane_marks(world, road, count, paint)
        if road.lanes and zebra:
            _zebra(world, road, count, paint)
        _lamps(world, road)


def _lane_marks(world: World, road: Road, count: np.ndarray, paint: tuple) -> None:
    rng, s = world.rng, world.scale
    _, normal = normals(road.path)
    ix = np.clip(road.path.astype(int), 0, [world.canvas.width - 1, world.canvas.height - 1])
    clear = (count[ix[:, 1], ix[:, 0]] <= 1) & _inside(world, road.path, 6)
    yellow = (206, 172, 66) if rng.random() < 0.35 else paint
    width = max(0.34, 0.16 * s)
    lane = road.lane_m * s
    lines: list[tuple[float, bool, tuple]] = [(0.0, road.lanes == 1 and rng.random() < 0.7, yellow)]
    if road.lanes > 1:
        lines = [(-0.18 * s, False, yellow), (0.18 * s, False, yellow)]
    for k in range(1, road.lanes):
        lines += [(k * lane, True, paint), (-k * lane, True, paint)]
    if road.kerb_m < 1:
        lines += [(road.lanes * lane, False, paint), (-road.lanes * lane, False, paint)]
    period = max(4, int(7 * s / 2))
    for offset, dashed, rgb in lines:
        path = road.path + normal * offset
        show = clear.copy()
        if dashed:
            show &= np.arange(len(path)) % period < max(2, int(period * 0.45))
        edges = np.flatnonzero(np.diff(np.concatenate([[0], show.view(np.int8), [0]])))
        pieces = [path[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]
        if pieces:
            world.canvas.lines(pieces, width, rgb)


def _zebra(world: World, road: Road, count: np.ndarray, paint: tuple) -> None:
    s = world.scale
    tangent, normal = normals(road.path)
    ix = np.clip(road.path.astype(int), 0, [world.canvas.width - 1, world.canvas.height - 1])
    cross = (count[ix[:, 1], ix[:, 0]] > 1) & _inside(world, road.path)
    flips = np.flatnonzero(np.diff(cross.astype(np.int8)))
    for k in flips:
        side = -1 if cross[min(k + 1, len(cross) - 1)] else 1
        at = k + side * int(2.6 * s / 2)
        if not 0 <= at < len(road.path) or cross[at]:
            continue
        for d in np.arange(-road.half_m + 0.5, road.half_m - 0.3, 1.1):
            x, y = road.path[at] + normal[at] * d * s
            world.canvas.poly(rect(x, y, 2.6 * s, 0.55 * s, float(np.arctan2(tangent[at, 1], tangent[at, 0]))), paint)


def _lamps(world: World, road: Road) -> None:
    if road.lanes:
        _, normal = normals(road.path)
        step = max(3, int(26 * world.scale / 2))
        points = (road.path + normal * road.half_m * world.scale)[::step]
        world.lamps += [tuple(p) for p in points[_inside(world, points)]]


def traffic(world: World, road: Road, gap_m: float, trucks: float = 0.12) -> None:
    """Put moving vehicles on all lanes, keeping to the right.

    Args:
        world: The scene.
        road: Where they drive.
        gap_m: Mean distance between two vehicles in metres at density 1.
        trucks: Share of trucks.
    """
    rng, s = world.rng, world.scale
    if world.density <= 0:
        return
    tangent, normal = normals(road.path)
    lanes = [(side, k) for k in range(max(1, road.lanes)) for side in ((-1, 1) if road.lanes else (1,))]
    for side, k in lanes:
        offset = (k + 0.5) * road.lane_m * s if road.lanes else 0.0
        at = rng.exponential(gap_m) / world.density
        while (i := int(at * s / 2)) < len(road.path):
            x, y = road.path[i] + normal[i] * offset * side + rng.normal(0, 0.15 * s, 2)
            heading = np.arctan2(*(tangent[i] * side)[::-1]) + rng.normal(0, 0.03)
            world.place("truck" if rng.random() < trucks else "car", x, y, heading)
            at += 7.0 + rng.exponential(gap_m) / world.density


def parked(world: World, road: Road, share: float) -> None:
    """Park cars along both kerbs; `share` is the part of the places that is taken at density 1."""
    rng, s = world.rng, world.scale
    tangent, normal = normals(road.path)
    offset = (road.half_m - 1.15) * s
    for side in (-1, 1):
        at = rng.uniform(0, 6)
        while (i := int(at * s / 2)) < len(road.path):
            if rng.random() < share * world.density:
                x, y = road.path[i] + normal[i] * offset * side
                turned = np.pi if (side < 0) != (rng.random() < 0.1) else 0.0
                heading = np.arctan2(tangent[i, 1], tangent[i, 0]) + turned + rng.normal(0, 0.03)
                world.place("truck" if rng.random() < 0.05 else "car", x, y, heading)
            at += 6.2 + abs(rng.normal(0, 0.6))


def street_trees(world: World, road: Road, gap_m: float) -> None:
    """Plant trees beside a road; their crowns hang over the kerb and hide parts of what is parked there."""
    rng, s = world.rng, world.scale
    _, normal = normals(road.path)
    for side in (-1, 1):
        at = rng.uniform(0, gap_m)
        while (i := int(at * s / 2)) < len(road.path):
            x, y = road.path[i] + normal[i] * side * (road.half_m + rng.uniform(1.2, 2.4)) * s
            inside = 0 <= x < world.canvas.width and 0 <= y < world.canvas.height
            if inside and world.canvas.kind[int(y), int(x)] in (FREE, ROAD):
                world.plant(x, y, rng.uniform(1.3, 2.6))
            at += gap_m * rng.uniform(0.7, 1.6)


def grid(world: World, block_m: float, main_lanes: int = 2) -> tuple[list[Road], float]:
    """Plan a street grid; returns the roads and its angle in radians."""
    rng, s = world.rng, world.scale
    angle = float(rng.uniform(0, np.pi / 2))
    roads: list[Road] = []
    for turn in (0.0, np.pi / 2):
        offset = -world.extent / 2 + rng.uniform(0.2, 0.8) * block_m * s
        main = True
        while offset < world.extent / 2:
            lanes = main_lanes if main and rng.random() < 0.7 else 1
            bend = rng.normal(0, 0.015)
            roads.append(Road(crossing_path(world, angle + turn, offset, bend), lanes, kerb_m=rng.choice([0.4, 2.3])))
            offset += block_m * s * rng.uniform(0.75, 1.35)
            main = False
    return roads, angle
