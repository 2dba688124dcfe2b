"""A contact sheet: the strongest and the weakest objects of a scene, each with a little around it, to be checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from rsdet.data.tiling import Tile
from rsdet.scenes.drawing import drawn, shown_names
from rsdet.scenes.found import Found
from rsdet.tasks.detect.lettering import find_font, fitted, length
from rsdet.tasks.detect.visual import DIM_RGB, INK_RGB, STRIP_RGB, to_display
from rsdet.writing import write_picture

CROP_PX, COLUMNS = 240, 6
MOST = 600  # objects; a larger sheet is no sheet
_TEXT_PX, _ROW_PX, _GAP_PX, _LINE_PX = 14, 18, 8, 2
_AROUND, _LEAST_PX = 2.0, 64  # side of a crop: times the longest side of its object, pixels of the scene


def write_contact_sheet(
    path: str | Path, raster: Any, values: Any, found: Found, names: Mapping[int, str], n: int
) -> Path | None:
    """Draw half the strongest and half the weakest objects, best first, with class, score and place.

    Args:
        path: PNG to write.
        raster: The scene, open.
        values: From its samples to a picture.
        found: Objects in pixels of the scene.
        names: Class number -> name.
        n: Objects to draw, MOST at most; all where there are no more.

    Returns:
        The path; None where there is nothing to draw, and nothing is written.

    Raises:
        WriteError: It cannot be written.
    """
    n = min(n, MOST, len(found))
    if not n:
        return None
    found, names = found.in_order(), shown_names(names)
    first = n if n == len(found) else n - n // 2
    groups = {f"{first} strongest of {len(found)}": np.arange(first)}
    if first < n:
        groups[f"{n - first} weakest"] = np.arange(len(found) - (n - first), len(found))
    font = find_font(_TEXT_PX, frozenset("".join(names.values())))
    cells = {
        title: [_cell(raster, values, found.take(numbers[i : i + 1]), names, font) for i in range(len(numbers))]
        for title, numbers in groups.items()
    }
    sheet = np.concatenate([_rows(title, group, font) for title, group in cells.items()])
    return write_picture(path, sheet[..., ::-1])


def _cell(raster: Any, values: Any, one: Found, names: Mapping[int, str], font: Any) -> Image.Image:
    """An object with a little around it, and below what it is said to be."""
    box = one.boxes_xyxy[0]
    sides = box[2:] - box[:2]
    window = _around(box, raster.info.size_hw)
    picture = values.shown(*raster.read(window, (CROP_PX, CROP_PX), values.bands, values.nodata))
    picture = drawn(to_display(picture), window, one, names, labels="none", legend=False, enlarge=False, line=_LINE_PX)
    cell = Image.new("RGB", (CROP_PX, CROP_PX + 2 * _ROW_PX), STRIP_RGB)
    cell.paste(Image.fromarray(np.ascontiguousarray(picture[..., ::-1])))
    if one.corners is not None:
        sides = np.linalg.norm(one.corners[0, 1:3] - one.corners[0, :2], axis=1)
    number, score = int(one.classes[0]), f"{one.scores[0]:.2f}"
    pen, room = ImageDraw.Draw(cell), CROP_PX - length(font, score) - _GAP_PX
    place = "x {:.0f}, y {:.0f}".format(*(box[:2] + box[2:]) / 2)
    size = "{:.0f} x {:.0f} px".format(*sides)
    for row, (left, right) in enumerate([(fitted(font, names.get(number, str(number)), room), score), (place, size)]):
        y = CROP_PX + (row + 0.5) * _ROW_PX
        pen.text((0, y), left, font=font, fill=(INK_RGB, DIM_RGB)[row], anchor="lm")
        pen.text((CROP_PX, y), right, font=font, fill=(INK_RGB, DIM_RGB)[row], anchor="rm")
    return cell


def _around(box: np.ndarray, size_hw: tuple[int, int]) -> Tile:
    """The square window around an object, inside of the scene where it has room there."""
    side = int(np.ceil(max(_AROUND * (box[2:] - box[:2]).max(), _LEAST_PX)))
    first = np.rint((box[1::-1] + box[:1:-1]) / 2 - side / 2)  # y, x
    room = np.array(size_hw) - side
    top, left = np.where(room >= 0, first.clip(0, np.maximum(room, 0)), room // 2).astype(int).tolist()
    return Tile(top, left, side, side)


def _rows(title: str, cells: list[Image.Image], font: Any) -> np.ndarray:
    """Cells in rows below their title, (H, W, 3)."""
    w, h = (side + _GAP_PX for side in cells[0].size)
    below = 2 * _ROW_PX
    page = Image.new("RGB", (COLUMNS * w + _GAP_PX, below + -(-len(cells) // COLUMNS) * h), STRIP_RGB)
    ImageDraw.Draw(page).text((_GAP_PX, below / 2), title, font=font, fill=INK_RGB, anchor="lm")
    for i, cell in enumerate(cells):
        row, column = divmod(i, COLUMNS)
        page.paste(cell, (_GAP_PX + column * w, below + row * h))
    return np.asarray(page)
