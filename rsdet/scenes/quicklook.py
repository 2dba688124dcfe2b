"""A small picture of a whole scene with all that was found in it, for a first look."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.tiling import Tile
from rsdet.scenes.drawing import drawn, placed, shown_names
from rsdet.scenes.found import Found
from rsdet.tasks.detect.lettering import text_height
from rsdet.tasks.detect.visual import STRIP_RGB, class_colour, legend_strip, to_display
from rsdet.writing import write_picture

LONGEST_PX = 2048
_NARROWEST_PX = 640  # the strip below a narrow scene needs room for its text
_SQUARE_PX = 8
_COVERED = 0.25  # part of the picture that lines may cover
_NEAR = 2  # objects that an object may have in its square of twice that side, itself included, on average
_FEW = 50  # objects that are always drawn
_LINE_PX = 2  # a line and its shade


def write_quicklook(path: str | Path, raster: Any, values: Any, found: Found, names: Mapping[int, str]) -> Path:
    """Draw a scene whose longest side is LONGEST_PX at most.

    Objects are boxes, turned boxes or outlines in the colours of their classes; many small ones together are counted in
    squares instead.

    Args:
        path: PNG to write.
        raster: The scene, open.
        values: From its samples to a picture.
        found: Objects in pixels of the scene.
        names: Class number -> name.

    Raises:
        WriteError: It cannot be written.
    """
    picture = to_display(values.shown(*raster.overview(LONGEST_PX, values.bands, values.nodata)))
    height, width = picture.shape[:2]
    canvas = np.full((height, max(width, min(height, _NARROWEST_PX)), 3), STRIP_RGB[::-1], np.uint8)
    canvas[:, :width] = picture
    window = Tile(0, 0, raster.info.size_hw[0], raster.info.size_hw[1] * canvas.shape[1] / width)
    boxes = placed(window, canvas.shape[:2], found)
    if _is_crowded(boxes, canvas.shape[:2]):
        canvas, most = _density(canvas, boxes, found.classes)
        side = round(_SQUARE_PX * window.height / height)
        note = (STRIP_RGB, f"squares of {side} px hold up to", most)
        strip = legend_strip(canvas.shape[1], found.classes, shown_names(names), text_height(max(canvas.shape)), [note])
        canvas = np.concatenate([canvas, strip[..., ::-1]])
    else:
        canvas = drawn(canvas, window, found, names)
    return write_picture(path, canvas)


def _is_crowded(boxes: np.ndarray, size_hw: tuple[int, int]) -> bool:
    """Whether lines would hide the scene, or each other where most objects are."""
    if len(boxes) <= _FEW:
        return False
    sides = boxes[:, 2:] - boxes[:, :2]
    lines = (sides + 2 * _LINE_PX).prod(1) - sides.prod(1)
    near, _ = _squares(boxes, size_hw, 2 * _SQUARE_PX)
    n = np.bincount(near)
    return bool(lines.sum() > _COVERED * size_hw[0] * size_hw[1] or (n**2).sum() > _NEAR * len(boxes))


def _squares(boxes: np.ndarray, size_hw: tuple[int, int], side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """(N,) number of the square of a grid over the picture in which the middle of each box lies, and rows, columns."""
    grid = -(-size_hw[0] // side), -(-size_hw[1] // side)
    column, row = np.moveaxis((boxes[:, :2] + boxes[:, 2:]) / 2 // side, 1, 0)
    return (row.clip(0, grid[0] - 1) * grid[1] + column.clip(0, grid[1] - 1)).astype(int), grid


def _density(canvas: np.ndarray, boxes: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, int]:
    """The picture in squares of the class that has most objects there, stronger the more there are; and the most."""
    square, grid = _squares(boxes, canvas.shape[:2], _SQUARE_PX)
    total, most, colour = np.zeros(grid), np.zeros(grid), np.zeros((*grid, 3))
    for c in np.unique(classes):
        n = np.bincount(square[classes == c], minlength=total.size).reshape(grid)
        colour[n > most] = class_colour(c)[::-1]
        total, most = total + n, np.maximum(most, n)
    part = np.where(total, 0.3 + 0.5 * np.log1p(total) / np.log1p(total.max()), 0)[..., None]
    cover, paint = (
        v.repeat(_SQUARE_PX, 0).repeat(_SQUARE_PX, 1)[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
        for v in (part, colour)
    )
    return np.rint(canvas * (1 - cover) + paint * cover).astype(np.uint8), int(total.max())
