"""The state of one scene while it is being laid out: scale, sun, colours, what stands where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field

import cv2
import numpy as np

from .canvas import BUILDING, TAKEN, WATER, Canvas
from .objects import Body, build

# name: (probability, ground colours, tree colours)
PALETTES: dict[str, tuple[float, list[tuple[int, int, int]], list[tuple[int, int, int]]]] = {
    "summer": (0.40, [(92, 108, 64), (110, 120, 76), (126, 124, 86)], [(46, 70, 38), (60, 86, 44), (76, 98, 54)]),
    "lush": (0.22, [(70, 96, 54), (82, 108, 60), (104, 112, 70)], [(34, 60, 34), (44, 74, 38), (58, 88, 44)]),
    "dry": (0.20, [(158, 142, 106), (176, 160, 124), (134, 126, 90)], [(74, 84, 54), (88, 96, 60), (66, 80, 48)]),
    "autumn": (0.13, [(118, 112, 70), (132, 122, 80), (112, 98, 70)], [(112, 92, 42), (134, 86, 42), (78, 86, 46)]),
    "snow": (0.05, [(206, 210, 216), (220, 224, 230), (188, 190, 192)], [(62, 72, 60), (84, 88, 80), (110, 112, 108)]),
}


def rect(cx: float, cy: float, length: float, width: float, angle: float) -> np.ndarray:
    """Corners `(4, 2)` of a rectangle whose long side points along `angle` (radians)."""
    ux, uy = np.cos(angle), np.sin(angle)
    a, b = length / 2, width / 2
    local = np.array([(-a, -b), (a, -b), (a, b), (-a, b)])
    return local @ np.array([(ux, uy), (-uy, ux)]) + (cx, cy)


@dataclass
class Tree:
    """A crown to draw over everything else; lengths in final pixels."""

    x: float
    y: float
    radius: float
    rgb: tuple[float, float, float]


@dataclass
class World:
    """One scene being laid out.

    Attributes:
        rng: The scene's only source of chance.
        canvas: What is drawn on.
        scale: Final pixels per metre.
        density: Multiplies how many objects are placed; 0 gives an empty scene.
        clear: Without the haze that some scenes have.
        absent: Houses that are not there, by the order they are laid out in, and the colour of their empty lots; None
            leaves the ground as it is. All else stays where it is.
        houses: Footprints `(4, 2)` of all houses in final pixels, absent ones too.
        sun: `(2,)` shift of a shadow in metres per metre of height.
        shadow: Strength of shadows, 0 to 1.
    """

    rng: np.random.Generator
    canvas: Canvas
    scale: float
    density: float
    clear: bool = field(default=False, kw_only=True)
    absent: dict[int, tuple[float, float, float] | None] = field(default_factory=dict, kw_only=True)
    sun: np.ndarray = field(init=False)
    shadow: float = field(init=False)
    grounds: list[tuple[int, int, int]] = field(init=False)
    foliage: list[tuple[int, int, int]] = field(init=False)
    palette: str = field(init=False)
    bodies: list[Body] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    lamps: list[tuple[float, float]] = field(default_factory=list)
    houses: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = self.rng
        self.light(rng)
        names = list(PALETTES)
        self.season(names[rng.choice(len(names), p=[PALETTES[n][0] for n in names])])

    def light(self, rng: np.random.Generator) -> None:
        """Put the sun somewhere."""
        azimuth, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 1.2)
        self.sun = slope * np.array([np.cos(azimuth), np.sin(azimuth)])
        self.shadow = float(rng.uniform(0.1, 0.3) if rng.random() < 0.2 else rng.uniform(0.45, 0.8))

    def season(self, palette: str) -> None:
        """Take the colours of ground and trees from an entry of `PALETTES`."""
        self.palette = palette
        _, self.grounds, self.foliage = PALETTES[palette]

    @property
    def width_m(self) -> float:
        """Width of the scene in metres."""
        return self.canvas.width / self.scale

    @property
    def height_m(self) -> float:
        """Height of the scene in metres."""
        return self.canvas.height / self.scale

    @property
    def extent(self) -> float:
        """Diagonal of the scene in final pixels."""
        return float(np.hypot(self.canvas.width, self.canvas.height))

    def point(self, margin: float = 0.0) -> tuple[float, float]:
        """Return a random point; `margin` is the fraction of each side that is avoided."""
        x, y = self.rng.uniform(margin, 1 - margin, 2)
        return float(x * self.canvas.width), float(y * self.canvas.height)

    def count(self, per_hectare: float) -> int:
        """Return a Poisson count for a mean given per hectare of the scene."""
        return int(self.rng.poisson(per_hectare * self.width_m * self.height_m / 1e4))

    def jitter(self, rgb: tuple[float, ...], amount: float = 10.0) -> tuple[float, float, float]:
        """Vary a colour: mostly in brightness, a little in hue."""
        r, g, b = np.asarray(rgb) + self.rng.normal(0, amount) + self.rng.normal(0, amount / 4, 3)
        return float(r), float(g), float(b)

    def free(self, points: np.ndarray) -> bool:
        """Whether the ground under a polygon is unused."""
        return not self.canvas.under(points).any()

    def cast(self, points: np.ndarray, height_m: float) -> None:
        """Draw the shadow of an upright body with this footprint (final pixels)."""
        moved = points + self.sun * (height_m * self.scale)
        hull = cv2.convexHull(np.concatenate([points, moved]).astype(np.float32))
        self.canvas.shade(hull[:, 0])

    @contextmanager
    def house(self, base: np.ndarray) -> Iterator[None]:
        """Note a house that is drawn meanwhile; one that is absent is drawn where nobody sees it, and keeps its lot."""
        number = len(self.houses)
        self.houses.append(base)
        if number not in self.absent:
            yield
            return
        seen, self.canvas = self.canvas, deepcopy(self.canvas)
        yield
        seen.kind, self.canvas = self.canvas.kind, seen
        if (soil := self.absent[number]) is not None:
            seen.poly(base, soil, rough=200)

    def place(self, name: str, x: float, y: float, angle: float, **options: object) -> bool:
        """Put an object there unless something else is; boats need water and all others land.

        Args:
            name: A class of `objects.NAMES`.
            x: Centre in final pixels.
            y: Centre in final pixels.
            angle: Heading in radians, 0 to the right and clockwise as seen.
            **options: Passed to the builder of the class.
        """
        if not (-5 < x < self.canvas.width + 5 and -5 < y < self.canvas.height + 5):
            return False
        body = build(name, self.rng, x, y, angle, self.scale, **options)
        ground = self.canvas.under(body.hull)
        wrong = (ground != WATER) if name == "boat" else ground >= BUILDING
        if wrong.any():
            return False
        cv2.fillPoly(self.canvas.kind, [np.rint(body.hull).astype(np.int32)], TAKEN)
        self.bodies.append(body)
        return True

    def plant(self, x: float, y: float, radius_m: float, rgb: tuple[float, ...] | None = None) -> None:
        """Put a tree there."""
        base = self.foliage[self.rng.integers(len(self.foliage))] if rgb is None else rgb
        self.trees.append(Tree(x, y, radius_m * self.scale, self.jitter(base, 8)))
