"""One place on two dates: houses have appeared and gone, and light, season, vehicles and sensor are others."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import terrain
from .canvas import SS, Canvas
from .layouts import STYLES
from .objects import draw
from .scene import check_shape, visible
from .sensor import develop
from .world import PALETTES, World

# Places where people build, and some (highway) where nobody does.
SHARES = {"suburb": 0.4, "city": 0.2, "rural": 0.14, "parking": 0.1, "harbour": 0.05, "shore": 0.05, "highway": 0.06}
SCALE = (1.1, 2.2)  # final pixels per metre: houses are 8 to 35 px long, large roofs up to 110
UNCHANGED = 0.15  # share of places where nothing is built or pulled down
TURNOVER = (0.12, 0.6)  # share of houses that appear or go in the others
NEW = 2 / 3  # of these that appear
SAME_SEASON = 0.4
PRESENT = 0.6  # vehicles of the place that are there on a date
SHIFT_PX = 1.0  # largest displacement of the later date along each axis
TURN_DEG = 0.05
BARE = 0.6  # of the empty lots that are bare soil
SOIL = np.array((164, 146, 120))
GROWTH = 1.12  # of the trees from one date to the other
_MARGIN = 4
_MOST_HOUSES = 20_000


@dataclass
class DateScene:
    """A place on two dates.

    Attributes:
        before: `(H, W, 3)` uint8 RGB.
        after: Likewise, displaced by `shift_xy` and turned a little.
        label: `(H, W)` uint8, 255 within the footprints of houses that are there on one of the two dates, on the grid
            of `before`.
        shift_xy: Where the middle of `before` lies in `after`, in pixels from the middle.
        appeared: Number of new houses within the picture.
        gone: Number of houses that are no longer there.
    """

    before: np.ndarray
    after: np.ndarray
    label: np.ndarray
    shift_xy: tuple[float, float]
    appeared: int
    gone: int


def render_dates(seed: int, size: int | tuple[int, int] = 256, style: str | None = None) -> DateScene:
    """Render one place on two dates, with the label of what has been built or pulled down.

    Args:
        seed: The same seed and arguments give the same place.
        size: Side of a square picture or `(height, width)`, 64 to 4088 pixels.
        style: One of `STYLES`; chosen by the seed when None.

    Raises:
        ConfigError: A size that cannot be rendered.
    """
    h, w = check_shape(size)
    shape = check_shape((h + 2 * _MARGIN, w + 2 * _MARGIN))
    plan = np.random.default_rng((seed, 1))
    drawn = list(SHARES)[plan.choice(len(SHARES), p=list(SHARES.values()))]
    scale = float(np.exp(plan.uniform(*np.log(SCALE))))
    names, shares = list(PALETTES), [share for share, _, _ in PALETTES.values()]
    seasons = [names[plan.choice(len(names), p=shares)] for _ in range(2)]
    if plan.random() < SAME_SEASON:
        seasons[1] = seasons[0]
    turnover = 0.0 if plan.random() < UNCHANGED else plan.uniform(*TURNOVER)
    draws, lots = plan.random((2, _MOST_HOUSES)), SOIL * plan.normal(1.0, 0.1, (_MOST_HOUSES, 1))
    new, gone = draws[0] < turnover * NEW, (draws[0] >= turnover * NEW) & (draws[0] < turnover)
    pictures = []
    for date, absent in enumerate((new, gone)):
        bare = {int(i): tuple(lots[i]) if draws[1, i] < BARE else None for i in np.flatnonzero(absent)}
        world = _laid_out(seed, shape, scale, style or drawn, seasons[date], bare, date)
        pictures.append(_picture(world, date))
    shift, pictures[1] = _displaced(pictures[1], plan)
    inner = slice(_MARGIN, _MARGIN + h), slice(_MARGIN, _MARGIN + w)
    known = world.houses  # the same on both dates
    layers = [_numbers([p for p, on in zip(known, which, strict=False) if on], shape)[inner] for which in (new, gone)]
    label = np.where((layers[0] > 0) | (layers[1] > 0), np.uint8(255), np.uint8(0))
    counts = [len(np.unique(layer[layer > 0])) for layer in layers]
    return DateScene(pictures[0][inner].copy(), pictures[1][inner].copy(), label, shift, *counts)


def _laid_out(
    seed: int, shape: tuple[int, int], scale: float, style: str, season: str, absent: dict, date: int
) -> World:
    """The place as it is on a date: laid out alike whatever the date, under the light of that date."""
    world = World(np.random.default_rng((seed, 0)), Canvas(*shape), scale, 1.0, absent=absent)
    chance = np.random.default_rng((seed, 2, date))
    world.light(chance)
    world.season(season)
    terrain.ground(world)
    STYLES[style][1](world)
    world.rng = chance  # from here on nothing moves
    return world


def _picture(world: World, date: int) -> np.ndarray:
    world.bodies = [body for body in world.bodies if world.rng.random() < PRESENT]
    for tree in world.trees:
        tree.radius *= GROWTH**date
    for body in visible(world)[0]:
        draw(world.canvas, body, world.sun, world.scale)
    terrain.draw_trees(world)
    return develop(world)


def _displaced(image: np.ndarray, plan: np.random.Generator) -> tuple[tuple[float, float], np.ndarray]:
    """A picture moved by less than a pixel or so and turned, as one that was registered to another."""
    h, w = image.shape[:2]
    dx, dy = plan.uniform(-SHIFT_PX, SHIFT_PX, 2)
    turn = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), plan.uniform(-TURN_DEG, TURN_DEG), 1.0)
    turn[:, 2] += dx, dy
    return (float(dx), float(dy)), cv2.warpAffine(
        image, turn, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def _numbers(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """`(H, W)` uint16, the number of the polygon, from 1, in which the centre of a pixel lies; 0 for none."""
    canvas = Canvas(*shape)
    for number, polygon in enumerate(polygons, 1):
        canvas.stamp([polygon], number)
    return canvas.ids[SS // 2 :: SS, SS // 2 :: SS]
