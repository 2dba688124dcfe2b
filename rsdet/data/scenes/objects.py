"""The things to detect: cars, trucks, boats and planes as a few coloured polygons in metres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import Canvas

NAMES: dict[int, str] = {0: "car", 1: "truck", 2: "boat", 3: "plane"}
CLASS_OF = {name: number for number, name in NAMES.items()}

Part = tuple[np.ndarray, tuple[float, ...]]

GLASS = (34, 40, 48)
# (weight, colour): roughly what is seen on a road
PAINT = [
    (0.27, (232, 233, 232)),
    (0.16, (176, 180, 184)),
    (0.13, (112, 116, 122)),
    (0.15, (36, 37, 42)),
    (0.09, (150, 34, 34)),
    (0.09, (40, 66, 128)),
    (0.04, (196, 180, 148)),
    (0.03, (216, 176, 44)),
    (0.04, (58, 98, 74)),
]
CARGO = [(226, 226, 224), (206, 204, 198), (180, 184, 188), (58, 86, 140), (164, 52, 44), (206, 150, 52), (72, 110, 84)]
BOX = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])


@dataclass
class Body:
    """One placed object in final pixels.

    Attributes:
        cls: Class number.
        outline: Polygons whose union is the body as seen from above.
        parts: Polygons with colours, drawn in order, all inside the outline.
        hull: `(N, 2)` convex outline, used to keep objects apart.
        angle: Heading in radians, 0 to the right and clockwise as seen.
        height_m: Height that the shadow is cast from.
        wake: White water behind a moving boat: polygons, may be empty.
        lifted: Shadow lies apart from the body (wings), not joined to it.
    """

    cls: int
    outline: list[np.ndarray]
    parts: list[Part]
    hull: np.ndarray
    angle: float
    height_m: float
    wake: list[np.ndarray]
    lifted: bool = False

    @property
    def area(self) -> float:
        """Area of the body in square pixels."""
        return float(sum(cv2.contourArea(p.astype(np.float32)) for p in self.outline))


def _box(cx: float, cy: float, length: float, width: float) -> np.ndarray:
    return BOX * (length, width) + (cx, cy)


def _rounded(length: float, width: float, nose: float, tail: float) -> np.ndarray:
    """Rectangle along x with cut corners; `nose` and `tail` are the lengths of the cuts."""
    a, b = length / 2, width / 2
    half = [(-a, 0.7 * b - tail * 0.2), (-a + tail, b), (a - nose, b), (a, 0.62 * b)]
    return np.array(half + [(x, -y) for x, y in reversed(half)])


def _tone(rgb: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(c * factor for c in rgb)


def _pick(rng: np.random.Generator, table: list[tuple[float, tuple[int, int, int]]]) -> np.ndarray:
    weights = np.array([w for w, _ in table])
    base = np.array(table[rng.choice(len(table), p=weights / weights.sum())][1], float)
    return base + rng.normal(0, 7) + rng.normal(0, 3, 3)


def _car(rng: np.random.Generator) -> tuple[list[np.ndarray], list[Part], float]:
    length, width = rng.normal(4.6, 0.22), rng.normal(1.95, 0.06)
    length = float(np.clip(length, 4.1, 5.2))
    paint = tuple(_pick(rng, PAINT))
    shell = _rounded(length, width, 0.55, 0.4)
    van = rng.random() < 0.25
    front = length * (0.28 if van else 0.17)  # x of the windscreen's lower edge
    back = -length * (0.46 if van else 0.36)
    w = width / 2
    roof_front, roof_back = front - 0.75, back + (0.2 if van else 0.55)
    screen = np.array([(front, -w * 0.86), (front, w * 0.86), (roof_front, w * 0.7), (roof_front, -w * 0.7)])
    rear = np.array([(back, -w * 0.8), (back, w * 0.8), (roof_back, w * 0.7), (roof_back, -w * 0.7)])
    roof = np.array([(roof_front, -w * 0.74), (roof_front, w * 0.74), (roof_back, w * 0.74), (roof_back, -w * 0.74)])
    parts: list[Part] = [
        (shell, _tone(paint, 0.72)),
        (shell * (0.95, 0.84), paint),
        (np.array([(front, -w * 0.92), (front, w * 0.92), (back, w * 0.92), (back, -w * 0.92)]), _tone(paint, 0.5)),
        (screen, GLASS),
        (rear, GLASS),
        (roof, _tone(paint, 1.08)),
    ]
    return [shell], parts, 1.5


def _truck(rng: np.random.Generator, length: float | None = None) -> tuple[list[np.ndarray], list[Part], float]:
    length = float(rng.uniform(7.2, 10.5) if length is None else length)
    width = 2.6
    cab_len = 1.9
    cargo_len = length - cab_len - 0.35
    cab = _box(length / 2 - cab_len / 2, 0, cab_len, width * 0.93)
    cargo_x = -length / 2 + cargo_len / 2
    cargo = _box(cargo_x, 0, cargo_len, width)
    bridge = _box(0, 0, length, width * 0.5)
    paint = tuple(_pick(rng, PAINT))
    load = np.array(CARGO[rng.choice(len(CARGO), p=[0.3, 0.18, 0.12, 0.12, 0.1, 0.09, 0.09])], float) + rng.normal(0, 6)
    load = tuple(load)
    parts: list[Part] = [
        (bridge, (40, 40, 42)),
        (cab, _tone(paint, 0.8)),
        (_box(length / 2 - 0.5, 0, 0.6, width * 0.84), GLASS),
        (_box(length / 2 - 1.3, 0, 0.9, width * 0.8), paint),
        (cargo, _tone(load, 0.75)),
    ]
    style = rng.random()
    if style < 0.7:  # closed box with a light lid
        parts.append((_box(cargo_x, 0, cargo_len - 0.3, width - 0.4), load))
        parts += [(_box(cargo_x + k * cargo_len, 0, 0.16, width - 0.4), _tone(load, 0.88)) for k in (-0.25, 0, 0.25)]
    else:  # open bed with a load
        sand = (150 + rng.normal(0, 14), 132, 104)
        parts.append((_box(cargo_x, 0, cargo_len - 0.5, width - 0.6), sand if style < 0.88 else (70, 66, 62)))
    return [bridge, cab, cargo], parts, 3.2


def _boat(
    rng: np.random.Generator, moving: bool = False, length: float | None = None
) -> tuple[list[np.ndarray], list[Part], float]:
    length = float(rng.uniform(5.5, 11.0) if length is None else length)
    beam = length * float(rng.uniform(0.27, 0.34))
    a, b = length / 2, beam / 2
    half = [(-a, b * 0.78), (-a * 0.3, b), (a * 0.35, b * 0.86), (a * 0.75, b * 0.45), (a, 0.02)]
    hull = np.array(half + [(x, -y) for x, y in reversed(half)])
    white = rng.random() < 0.8
    skin = tuple(np.array((236, 236, 232) if white else _pick(rng, PAINT), float) + rng.normal(0, 5))
    deck = (224, 216, 200) if rng.random() < 0.6 else (176, 140, 98)
    parts: list[Part] = [(hull, _tone(skin, 0.82)), (hull * (0.94, 0.84), skin)]
    if rng.random() < 0.35:  # sailing boat: deck house and a boom
        parts += [
            (_box(0, 0, length * 0.4, beam * 0.5), deck),
            (_box(-length * 0.08, 0, length * 0.45, 0.32), (60, 78, 120) if rng.random() < 0.5 else (96, 92, 88)),
        ]
    else:  # motor boat: cockpit, windscreen, cabin roof
        parts += [
            (_box(-length * 0.24, 0, length * 0.36, beam * 0.66), _tone(deck, 0.8)),
            (_box(-length * 0.36, 0, length * 0.1, beam * 0.6), (92, 84, 78)),
            (_box(length * 0.08, 0, length * 0.26, beam * 0.66), GLASS),
            (_box(length * 0.03, 0, length * 0.17, beam * 0.6), _tone(skin, 1.02)),
        ]
    return [hull], parts, 1.6


def _wing(root: float, reach: float, sweep: float, chord: float, tip: float) -> np.ndarray:
    """Both halves of a wing that starts at x = `root` and reaches `reach` to each side."""
    edge = [(root - sweep, reach), (root - sweep - tip, reach)]
    return np.array([(root, 0.0), *edge, (root - chord, 0.0), *((x, -y) for x, y in reversed(edge))])


def _plane(rng: np.random.Generator, length: float | None = None) -> tuple[list[np.ndarray], list[Part], float]:
    length = float(rng.uniform(8.0, 11.5) if length is None else length)
    jet = rng.random() < 0.35
    span = length * float(rng.uniform(0.92, 1.05) if jet else rng.uniform(1.1, 1.3))
    a, s = length / 2, span / 2
    girth = length * 0.062
    skin = (
        tuple(np.array((234, 235, 236), float) + rng.normal(0, 6)) if rng.random() < 0.85 else tuple(_pick(rng, PAINT))
    )
    accent = tuple(_pick(rng, PAINT[3:]))
    half = [(-a, girth * 0.3), (-a * 0.3, girth * 0.85), (a * 0.45, girth), (a * 0.85, girth * 0.65), (a, 0.03)]
    fuselage = np.array(half + [(x, -y) for x, y in reversed(half)])
    root, chord, sweep = length * 0.16, length * (0.2 if jet else 0.16), length * (0.26 if jet else 0.03)
    tip = chord * (0.4 if jet else 0.75)
    wing = _wing(root, s, sweep, chord, tip)
    t, c = -a + length * 0.14, length * 0.11
    tail = _wing(t, s * 0.36, sweep * 0.4, c, c * 0.8)
    parts: list[Part] = [(wing, _tone(skin, 0.93)), (tail, _tone(skin, 0.93))]
    if rng.random() < 0.5:  # painted wing tips
        for side in (-1, 1):
            edge = np.array([(root - sweep, s), (root - sweep - tip, s), (root - sweep - tip, s * 0.86)])
            edge = np.concatenate([edge, [(root - sweep * 0.86, s * 0.86)]])
            parts.append((edge * (1, side), accent))
    parts += [(fuselage, _tone(skin, 0.9)), (fuselage * (0.98, 0.7), skin)]
    parts.append((_box(a * 0.62 if jet else a * 0.4, 0, length * 0.08, girth * 1.3), GLASS))
    parts.append((_box(-a + length * 0.07, 0, length * 0.13, girth * 0.45), accent))
    return [fuselage, wing, tail], parts, 1.9


_BUILDERS: dict[str, Callable[..., tuple[list[np.ndarray], list[Part], float]]] = {
    "car": _car,
    "truck": _truck,
    "boat": _boat,
    "plane": _plane,
}


def build(
    name: str, rng: np.random.Generator, x: float, y: float, angle: float, scale: float, **options: object
) -> Body:
    """Make one object.

    Args:
        name: A value of `NAMES`.
        rng: Source of its paint and proportions.
        x: Centre in final pixels.
        y: Centre in final pixels.
        angle: Heading in radians, 0 to the right and clockwise as seen.
        scale: Final pixels per metre.
        **options: `length` in metres (not cars); `moving` for boats.
    """
    outline, parts, height = _BUILDERS[name](rng, **options)
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([(c, s), (-s, c)])
    outline_px = [p @ turn + (x, y) for p in outline]
    hull = cv2.convexHull(np.concatenate(outline_px).astype(np.float32))[:, 0]
    wake = []
    if options.get("moving"):
        x0, y1 = outline[0][:, 0].min(), outline[0][:, 1].max()
        end = x0 * float(rng.uniform(2.2, 4.0))
        wake = [
            np.array([(0, y1), (x0, y1 * 1.2), (end, y1 * 1.9), (end, y1 * 1.7), (0, y1 * 0.8)]) * (1, k)
            for k in (1, -1)
        ]
        for far in (1.0, 0.6, 0.3):  # three layers: the churned water fades out behind the boat
            e = x0 + (end - x0) * far
            wake.append(np.array([(x0, y1 * 0.6), (e, y1 * 0.5), (e, -y1 * 0.5), (x0, -y1 * 0.6)]))
        wake = [p @ turn + (x, y) for p in wake]
    parts_px = [(p @ turn + (x, y), rgb) for p, rgb in parts]
    return Body(CLASS_OF[name], outline_px, parts_px, hull, float(angle), height, wake, lifted=name == "plane")


def draw(canvas: Canvas, body: Body, sun: np.ndarray, scale: float) -> None:
    """Draw one object with its shadow; the body itself keeps the light that the place had before."""
    x, y = body.hull.mean(0)
    level = canvas.light_at(x, y)
    for points in body.wake:
        canvas.veil(points, (206, 216, 220), 0.24)
    shift = sun * (body.height_m * scale)
    if body.lifted:
        for points in body.outline:
            canvas.shade(points + shift)
    else:
        both = np.concatenate([body.hull, body.hull + shift]).astype(np.float32)
        canvas.shade(cv2.convexHull(both)[:, 0])
    for points in body.outline:
        canvas.shade(points, level)
        canvas.poly(points, (60, 60, 60), rough=14)
    for points, rgb in body.parts:
        canvas.poly(points, rgb)
