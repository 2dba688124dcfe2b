"""One call from a seed to an annotated aerial scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsdet.data.outlines import outline, rectangle
from rsdet.errors import ConfigError, nearest

from . import terrain
from .canvas import SS, TAKEN, Canvas
from .layouts import STYLES
from .objects import Body, draw
from .sensor import develop
from .world import World

EMPTY_SHARE = 0.08  # of scenes that show no object on purpose
MIN_VISIBLE = 0.45  # share of a body that must be seen, else the object is not in the scene at all
MIN_SIDE_PX = 2.5  # shorter side of the smallest box
MIN_AREA_PX = 8.0  # visible pixels of the smallest object
COVER = {0: "ground", 1: "road", 2: "paved", 3: "building", 4: "water", 5: "tree", 6: "object"}  # 0 to 4: Canvas.kind
NO_COVER = 255
SCALE = (2.0, 4.2)  # final pixels per metre: cars are 8 to 22 px long, trucks and boats up to 45, planes up to 60


@dataclass
class Scene:
    """A rendered scene.

    Attributes:
        image: `(H, W, 3)` uint8 RGB.
        boxes_xyxy: `(N, 4)` float32 in pixels, corners of the visible bodies without their shadows.
        classes: `(N,)` int64, keys of `NAMES`.
        outlines_xy: N polygons `(K, 2)` in pixels around the visible bodies, within a third of a pixel.
        corners_xy: `(N, 4, 2)` float64 in pixels, rectangles around them. A whole object, planes too, has its sides
            along its own axis and across; one that the edge of the image cuts has the smallest rectangle around what is
            left. Corners may lie outside the image.
        cover: `(H, W)` uint8, what is seen at the centre of each pixel, a key of `COVER`; 255 where that is not known.
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray
    classes: np.ndarray
    outlines_xy: list[np.ndarray]
    corners_xy: np.ndarray
    cover: np.ndarray


def check_shape(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of a scene.

    Raises:
        ConfigError: A side is no number of pixels that can be rendered.
    """
    h, w = (size, size) if isinstance(size, int | np.integer) else size
    if min(h, w) < 64 or max(h, w) > 4096:
        raise ConfigError(f"scene size {size!r} received; each side must be from 64 to 4096 pixels; change size=")
    return int(h), int(w)


def visible(world: World) -> tuple[list[Body], np.ndarray, list[np.ndarray]]:
    """Drop what is mostly hidden or cut off; returns the kept bodies, their boxes and outlines.

    Fills `canvas.ids` with 1..N.
    """
    canvas = world.canvas
    for number, body in enumerate(world.bodies, 1):
        canvas.stamp(body.outline, number)
    for tree in world.trees:
        canvas.stamp_disc(tree.x, tree.y, tree.radius)
    kept: list[Body] = []
    boxes: list[tuple[float, float, float, float]] = []
    outlines: list[np.ndarray] = []
    h, w = canvas.ids.shape
    for number, body in enumerate(world.bodies, 1):
        (x0, y0), (x1, y1) = (body.hull.min(0) * SS - 2).astype(int), (body.hull.max(0) * SS + 3).astype(int)
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(w, x1), min(h, y1)
        window = canvas.ids[y0:y1, x0:x1] if x0 < x1 and y0 < y1 else canvas.ids[:0]
        mask = window == number
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        pixels = np.count_nonzero(mask) / SS**2
        box = None
        if len(columns) and pixels >= max(MIN_AREA_PX, MIN_VISIBLE * body.area):
            box = ((x0 + columns[0]) / SS, (y0 + rows[0]) / SS, (x0 + columns[-1] + 1) / SS, (y0 + rows[-1] + 1) / SS)
        if box is None or min(box[2] - box[0], box[3] - box[1]) < MIN_SIDE_PX:
            window[mask] = 0
            continue
        kept.append(body)
        boxes.append(box)
        outlines.append((outline(mask) + np.array((x0, y0))) / SS)
        window[mask] = len(kept)  # never larger than `number`, so no later object is hit
    return kept, np.array(boxes, np.float32).reshape(-1, 4), outlines


def _cover(world: World) -> np.ndarray:
    """What is seen at the centre of each pixel, once `canvas.ids` holds the visible objects."""
    canvas = world.canvas
    crowns = np.zeros(canvas.ids.shape, np.uint8)
    for tree in world.trees:
        canvas.stamp_disc(tree.x, tree.y, tree.radius, 1, crowns)
    centres = slice(SS // 2, None, SS)
    cover = np.where(canvas.kind == TAKEN, np.uint8(NO_COVER), canvas.kind)  # of objects left out, for one
    cover[crowns[centres, centres] > 0] = 5
    cover[canvas.ids[centres, centres] > 0] = 6
    return cover


def _turned(body: Body, points: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Rectangle around the visible part of a body, see :class:`Scene`."""
    whole = (body.hull >= 0).all() and (body.hull <= (canvas.width, canvas.height)).all()
    return rectangle(points, body.angle if whole else None)


def render_with_ids(
    seed: int,
    size: int | tuple[int, int] = 320,
    density: float = 1.0,
    style: str | None = None,
    clear: bool = False,
) -> tuple[Scene, np.ndarray]:
    """Render a scene and the map of its objects.

    Returns:
        The scene, and `(3*H, 3*W)` uint16: 0 background, `i + 1` where object `i` is visible. It is three times finer
        than the image because boxes have fractions of a pixel.

    Raises:
        ConfigError: A seed, a size or a style that cannot be rendered.
    """
    h, w = check_shape(size)
    if style is not None and style not in STYLES:
        raise ConfigError(
            f"scene style {style!r} received; expected one of {', '.join(STYLES)}.{nearest(str(style), STYLES)}"
        )
    if seed < 0:
        raise ConfigError(f"scene seed {seed} received; expected 0 or more; choose another number")
    rng = np.random.default_rng(seed)
    names = list(STYLES)
    drawn = names[rng.choice(len(names), p=[STYLES[n][0] for n in names])]
    empty = rng.random() < EMPTY_SHARE
    scale = float(np.exp(rng.uniform(*np.log(SCALE))))
    world = World(rng, Canvas(h, w), scale, 0.0 if empty else max(0.0, float(density)), clear=clear)
    terrain.ground(world)
    STYLES[style or drawn][1](world)
    kept, boxes, outlines = visible(world)
    for body in kept:
        draw(world.canvas, body, world.sun, scale)
    terrain.draw_trees(world)
    classes = np.array([body.cls for body in kept], np.int64)
    corners = np.array([_turned(b, o, world.canvas) for b, o in zip(kept, outlines, strict=True)]).reshape(-1, 4, 2)
    return Scene(develop(world), boxes, classes, outlines, corners, _cover(world)), world.canvas.ids


def render_scene(
    seed: int,
    size: int | tuple[int, int] = 320,
    density: float = 1.0,
    style: str | None = None,
    clear: bool = False,
) -> Scene:
    """Render one aerial scene with its annotation.

    Args:
        seed: The same seed and arguments give the same scene.
        size: Side of a square image or `(height, width)`, 64 to 4096 pixels. A larger image shows more ground at the
            same resolution.
        density: Multiplies how many objects there are; 0 gives an empty scene.
        style: One of `STYLES`; chosen by the seed when None.
        clear: Leave out the haze that three of ten scenes have; nothing else of them changes.

    Raises:
        ConfigError: A seed, a size or a style that cannot be rendered.
    """
    return render_with_ids(seed, size, density, style, clear)[0]
