"""Pictures for people: input, output and truth side by side, one row per sample, with the numbers that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rsdet.writing import write_picture

_CELL_PX = 384  # larger pictures are shrunk to it
_SMALL_PX = 160  # smaller ones are enlarged by a whole number until they are at least this large
_GAP_PX, _TEXT_PX = 4, 16
_INK, _PAPER = (240, 240, 240), (24, 24, 27)


def to_rgb8(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a picture (H, W, C) in [0, 1]; of other than 1 or 3 channels, the first three."""
    image = image[..., :1] if image.shape[2] == 2 else image[..., :3]
    shown = np.rint(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def side_by_side(rows: Sequence[Sequence[tuple[np.ndarray, str]]]) -> np.ndarray:
    """Draw a table of pictures.

    Args:
        rows: Per sample its pictures (H, W, C) in [0, 1] with a caption each. Within a row all are shown in the size of
            the largest; smaller ones are enlarged without smoothing, so that their pixels can be seen.

    Returns:
        (H', W', 3) uint8 RGB.
    """
    lines = [_row(row) for row in rows]
    width = max(line.shape[1] for line in lines)
    room = {"borderType": cv2.BORDER_CONSTANT, "value": _PAPER}
    return np.concatenate([cv2.copyMakeBorder(x, 0, _GAP_PX, 0, width - x.shape[1], **room) for x in lines])


def in_two_columns(rows: Sequence[list[tuple[np.ndarray, str]]]) -> list[list[tuple[np.ndarray, str]]]:
    """Rows of a table, half of them beside the others."""
    half = (len(rows) + 1) // 2
    return [a + (rows[half + i] if half + i < len(rows) else []) for i, a in enumerate(rows[:half])]


def _row(row: Sequence[tuple[np.ndarray, str]]) -> np.ndarray:
    height, width = (max(p.shape[i] for p, _ in row) for i in (0, 1))
    factor = min(1.0, _CELL_PX / max(height, width))
    if max(height, width) < _SMALL_PX:
        factor = -(-_SMALL_PX // max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    cells = []
    for picture, caption in row:
        shrinks = picture.shape[1] > size[0]
        cell = cv2.resize(to_rgb8(picture), size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)
        cell = cv2.copyMakeBorder(cell, _TEXT_PX + _GAP_PX, 0, 0, _GAP_PX, cv2.BORDER_CONSTANT, value=_PAPER)
        cells.append(_written(cell, caption))
    return np.concatenate(cells, axis=1)


def _written(cell: np.ndarray, caption: str) -> np.ndarray:
    image = Image.fromarray(cell)
    font, room = ImageFont.load_default(_TEXT_PX - 3), cell.shape[1] - 2 * _GAP_PX
    while caption and font.getlength(caption) > room:
        caption = caption[:-1]
    ImageDraw.Draw(image).text((1, 1), caption, fill=_INK, font=font)
    return np.asarray(image)


def write_jpeg(path: Path, rgb: np.ndarray) -> Path:
    """Write a picture for people; whole or not at all."""
    return write_picture(path, rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
