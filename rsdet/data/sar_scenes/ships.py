"""Ships: an oriented hull of speckled returns, and bright scatterers where the structure makes corners.

What a SAR image of a metallic hull shows: the deck edges and the superstructure strongest, hatches or container rows as
a regular pattern, the side that faces the radar brighter; the strongest corners draw crosses. The box is that of the
visible bright body, without sidelobes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from .clutter import gamma_texture
from .stage import MARGIN_PX, Stage, Window, from_db

LENGTH_PX = (6.0, 80.0)
# Kinds of ship: share, length in metres, length by beam, mean return of the hull as sigma nought in dB.
KINDS: dict[str, tuple[float, tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "boat": (0.25, (18, 45), (2.6, 4.0), (-5, 4)),
    "coaster": (0.27, (50, 110), (4.5, 6.5), (-3, 6)),
    "bulker": (0.20, (120, 230), (5.5, 7.5), (-3, 6)),
    "tanker": (0.14, (120, 300), (5.5, 7.0), (-5, 5)),
    "container": (0.14, (130, 330), (6.0, 8.0), (-2, 7)),
}
MIN_CONTRAST_DB = 9.5  # of the hull above the mean of the sea: fainter ones nobody would have annotated
MIN_SEEN, CUT_PX = 0.5, 20.0  # share of a hull inside the image; shorter ships are whole
SMEAR_PX = (6.0, 22.0)  # length of the streak that motion draws
LOBE_PX = 0.6  # standard deviation of a main lobe
VISIBLE_DB = 7.0  # above the sea: what belongs to the visible body


@dataclass(frozen=True)
class Ship:
    """A ship that has been placed.

    Attributes:
        x, y: Centre of the hull in pixels of the canvas.
        length_px, beam_px: Size of the hull.
        heading_deg: Direction of the bow, against the x axis, towards y.
        kind: Key of `KINDS`.
        body_xy: `(N, 2)` pixels of the canvas that show its bright body.
    """

    x: float
    y: float
    length_px: float
    beam_px: float
    heading_deg: float
    kind: str
    body_xy: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), int), compare=False)

    def world(self, along: np.ndarray, across: np.ndarray) -> np.ndarray:
        """`(N, 2)` places on the canvas of hull coordinates: -1 to 1 from stern to bow and from port to starboard."""
        c, s = math.cos(math.radians(self.heading_deg)), math.sin(math.radians(self.heading_deg))
        u, v = np.asarray(along) * self.length_px / 2, np.asarray(across) * self.beam_px / 2
        return np.stack([self.x + u * c - v * s, self.y + u * s + v * c], -1)

    def outline(self, grow_px: float = 0.0) -> np.ndarray:
        """`(N, 2)` corners of the hull: blunt stern, pointed bow."""
        u = np.array([-1, 0.62, 0.86, 1, 0.86, 0.62, -1, -1.0])
        v = np.array([-0.85, -1, -0.6, 0, 0.6, 1, 0.85, 0])
        scale_u, scale_v = 1 + 2 * grow_px / self.length_px, 1 + 2 * grow_px / self.beam_px
        return self.world(u * scale_u, v * scale_v)


def design(stage: Stage, x: float, y: float, heading_deg: float | None = None) -> Ship:
    """Choose a ship's kind and size; nothing is drawn."""
    rng = stage.rng
    names = list(KINDS)
    shares = np.array([KINDS[n][0] for n in names])
    kind = names[rng.choice(len(names), p=shares / shares.sum())]
    _, length_m, slenderness, _ = KINDS[kind]
    length = math.exp(rng.uniform(*np.log(length_m))) / stage.pixel_m
    length = float(np.clip(length, LENGTH_PX[0] * rng.uniform(1, 1.5), LENGTH_PX[1] * rng.uniform(0.7, 1)))
    beam = max(length / rng.uniform(*slenderness), 2.2)
    heading = rng.uniform(0, 360) if heading_deg is None else heading_deg
    return Ship(x, y, length, beam, float(heading), kind)


def free(stage: Stage, ship: Ship, gap_px: float = 1.5) -> bool:
    """Whether the hull lies in free water with a gap to everything else, and enough of it inside the image.

    The edge of the image may cut a ship of more than 20 px, and leaves half of it or more; annotators drop slivers.
    """
    at = stage.around(ship.x, ship.y, ship.length_px)
    hull = stage.polygon(ship.outline(gap_px), at) > 0.4
    if not hull.any() or (stage.taken[at] | stage.land[at])[hull].any():
        return False
    rows, columns = np.nonzero(hull)
    seen = np.ones(len(rows), bool)
    for place, window, n in ((rows, at[0], stage.shape[0]), (columns, at[1], stage.shape[1])):
        seen &= (place + window.start >= MARGIN_PX) & (place + window.start < n - MARGIN_PX)
    return bool(seen.mean() >= (MIN_SEEN if ship.length_px > CUT_PX else 1.0))


def draw(stage: Stage, ship: Ship) -> Ship:
    """Add a ship to the scene; returns it with what is seen of its body."""
    rng, radar = stage.rng, stage.radar
    at = stage.around(ship.x, ship.y, ship.length_px / 2 + SMEAR_PX[1])
    hull = stage.polygon(ship.outline(), at)
    along, across = stage.frame(ship.x, ship.y, ship.heading_deg, at)
    u, v = along / (ship.length_px / 2), across / (ship.beam_px / 2)
    level = max(rng.uniform(*KINDS[ship.kind][3]), 10 * math.log10(stage.sea) + MIN_CONTRAST_DB + rng.uniform(0, 5))
    # No two metres of a deck return the same: without this a hull looks like a painted rectangle.
    uneven = gamma_texture(hull.shape, rng.uniform(0.6, 2.5), rng, correlation_px=rng.uniform(1, 2.2))
    body = _profile(stage, ship, u, v).astype(np.float32) * hull * uneven
    body *= np.float32(from_db(level) * hull.sum() / max(float(body.sum()), 1e-9))
    xy, power = _scatterers(stage, ship, float(from_db(level)))
    seen = _seen(stage, ship, body, xy, power, at)
    stage.backscatter[at] *= 1 - hull
    stage.backscatter[at] += body
    # Moving and rolling parts are smeared along azimuth: a faint streak, not part of the body.
    if rng.random() < 0.35:
        stage.backscatter[at] += _smear(body, radar.azimuth_xy, rng.uniform(*SMEAR_PX)) * rng.uniform(0.01, 0.05)
    stage.add_points(xy, power)
    stage.taken[at] |= stage.polygon(ship.outline(2.0), at) > 0.1
    return replace(ship, body_xy=seen)


def _profile(stage: Stage, ship: Ship, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Relative mean return over the deck."""
    rng = stage.rng
    edge = rng.uniform(0.3, 2.5) * np.clip(np.abs(v) - 0.45, 0, 1) * 2
    # The side towards the radar: the wall and the water before it make a double bounce.
    c, s = math.cos(math.radians(ship.heading_deg)), math.sin(math.radians(ship.heading_deg))
    rx, ry = stage.radar.range_xy
    facing = -(-s * rx + c * ry)  # +1: starboard faces the radar
    near = np.clip(1 + 0.9 * facing * v, 0.1, None)
    bridge_at = -0.75 if ship.kind != "container" else -0.45
    bridge = rng.uniform(1, 5) * np.exp(-(((u - bridge_at) / 0.13) ** 2))
    bow = rng.uniform(0, 3) * np.exp(-(((u - 0.85) / 0.1) ** 2))
    deck = np.full_like(u, rng.uniform(0.25, 0.9))
    if ship.kind in ("bulker", "container") and ship.length_px > 18:
        rows = rng.integers(3, 8) if ship.kind == "bulker" else max(4, int(ship.length_px / 5))
        deck = deck * (1 + 0.9 * np.cos(math.pi * rows * (u + 1))) + 0.1
    if ship.kind == "tanker":
        deck = deck + rng.uniform(0.5, 1.5) * np.exp(-((v / 0.25) ** 2))
    return (deck + edge + bridge + bow) * near


def _scatterers(stage: Stage, ship: Ship, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners: many of moderate strength on deck edges and bridge, and a few very strong ones."""
    rng = stage.rng
    n = int(np.clip(ship.length_px * rng.uniform(0.25, 0.8), 2, 40))
    u = rng.uniform(-0.93, 0.9, n)
    side = rng.choice([-0.85, -0.4, 0.0, 0.4, 0.85], n) * np.where(u > 0.6, 0.5, 1.0)
    power = level * from_db(rng.normal(5, 3.5, n))
    strong = int(rng.integers(1, 4))
    su = np.where(rng.random(strong) < 0.65, rng.uniform(-0.92, -0.6, strong), rng.uniform(-0.6, 0.92, strong))
    sv = rng.uniform(-0.6, 0.6, strong)
    # Four ships in ten lie so that a corner looks straight at the radar.
    flash = rng.uniform(18, 27) if rng.random() < 0.4 else rng.uniform(9, 19)
    spower = level * from_db(flash - np.sort(rng.exponential(4, strong)))
    ends = np.array([[-0.93, 0.0], [0.95, 0.0]])  # stern and bow always return something: the body has its length
    epower = level * from_db(rng.uniform(0, 6, 2))
    uv = np.concatenate([np.stack([u, side], 1), np.stack([su, sv], 1), ends])
    return ship.world(uv[:, 0], uv[:, 1]), np.concatenate([power, spower, epower])


def _seen(stage: Stage, ship: Ship, body: np.ndarray, xy: np.ndarray, power: np.ndarray, at: Window) -> np.ndarray:
    """`(N, 2)` pixels that stand out from the sea within a pixel of the hull: main lobes count, sidelobes do not."""
    visible = cv2.GaussianBlur(body, (0, 0), LOBE_PX)
    x0, y0 = at[1].start, at[0].start
    columns, rows = np.arange(x0, at[1].stop)[None], np.arange(y0, at[0].stop)[:, None]
    # A main lobe is the product of one in x and one in y, so all of them are one matrix product.
    across = np.exp(-((columns - xy[:, 0, None]) ** 2) / (2 * LOBE_PX**2))
    down = np.exp(-((rows - xy[None, :, 1]) ** 2) / (2 * LOBE_PX**2))
    visible = visible + (down * power) @ across
    near = stage.polygon(ship.outline(1.0), at) > 0.35
    rows, columns = np.nonzero(near & (visible > stage.sea * from_db(VISIBLE_DB)))
    return np.stack([x0 + columns, y0 + rows], 1)


def _smear(body: np.ndarray, direction_xy: tuple[float, float], length_px: float) -> np.ndarray:
    n = int(length_px) | 1
    kernel = np.zeros((n, n), np.float32)
    centre, reach = (n - 1) / 2, (n - 1) / 2
    ends = [tuple(round(centre + k * reach * d) for d in direction_xy) for k in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return cv2.filter2D(body, -1, kernel / kernel.sum(), borderType=cv2.BORDER_CONSTANT)


def wake(stage: Stage, ship: Ship) -> None:
    """Draw the wake of a moving ship: dark turbulent water behind it, bright seams, faint Kelvin arms.

    A ship that moves in range is displaced in azimuth by the processing, so its wake does not start at its stern.
    """
    rng = stage.rng
    c, s = math.cos(math.radians(ship.heading_deg)), math.sin(math.radians(ship.heading_deg))
    ax, ay = stage.radar.azimuth_xy
    rx, ry = stage.radar.range_xy
    shift = rng.uniform(4, 16) * (c * rx + s * ry)
    length = ship.length_px * rng.uniform(2.5, 7)
    at = stage.around(ship.x, ship.y, 4 * length)
    along, across = stage.frame(ship.x + shift * ax, ship.y + shift * ay, ship.heading_deg + 180, at)
    behind = along - ship.length_px * 0.5
    fade = np.exp(-np.clip(behind, 0, None) / length) * (behind > 0)
    width = ship.beam_px * 0.45 + 0.012 * np.clip(behind, 0, None)
    gain_db = -rng.uniform(1.5, 4) * np.exp(-((across / width) ** 2))
    for side in (-1, 1):
        seam = np.exp(-(((across - side * width * 1.3) / 1.3) ** 2))
        gain_db += rng.uniform(0.5, 5.5) * seam
    arm = math.tan(math.radians(rng.uniform(15, 19.5))) * np.clip(behind + ship.length_px, 0, None)
    if rng.random() < 0.4:
        side = rng.choice([-1, 1])
        gain_db += rng.uniform(1, 3) * np.exp(-(((across - side * arm) / 1.8) ** 2))
    stage.backscatter[at] *= from_db(gain_db * fade * ~stage.land[at]).astype(np.float32)
