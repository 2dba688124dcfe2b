"""Pictures for people: what was asked and answered below its picture, and where the network looked over it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from rsdet.tasks.detect.lettering import find_font, fitted
from rsdet.writing import write_picture

_SIDE_PX, _TEXT_PX, _GAP_PX = 256, 13, 4
_INK, _PAPER = (235, 235, 235), (24, 24, 27)
_DRAWN = 8  # pictures of a batch
_LINES = 6  # below a picture


def look(picture: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Lay where the network looked over a picture.

    Args:
        picture: (H, W, 3) uint8.
        attention: (N,) weights of the visual tokens, a square grid of them, row by row.

    Returns:
        (H, W, 3) uint8 in BGR, where the picture is in BGR: dark where nothing was looked at, yellow where most.
    """
    side = math.isqrt(attention.size)
    grid = attention.reshape(side, -1).astype(np.float32)
    grid = (grid - grid.min()) / max(float(np.ptp(grid)), 1e-12)
    height, width = picture.shape[:2]
    smooth = np.clip(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    colours = cv2.applyColorMap(np.rint(255 * smooth).astype(np.uint8), cv2.COLORMAP_INFERNO)
    weight = 0.25 + 0.45 * smooth[..., None]
    return np.rint(picture * (1 - weight) + colours * weight).astype(np.uint8)


def captioned(picture: np.ndarray, lines: Sequence[str], width: int | None = None) -> np.ndarray:
    """A picture (H, W, 3) uint8 in RGB with lines of text below it, (H', W', 3)."""
    width = width or max(picture.shape[1], _SIDE_PX)
    scale = width / picture.shape[1]
    shown = cv2.resize(picture, (width, max(1, round(picture.shape[0] * scale))), interpolation=cv2.INTER_AREA)
    font = find_font(_TEXT_PX, frozenset("".join(lines)))
    page = Image.new("RGB", (width, len(lines) * (_TEXT_PX + _GAP_PX) + _GAP_PX), _PAPER)
    draw = ImageDraw.Draw(page)
    for i, line in enumerate(lines):
        text = fitted(font, line, width - 2 * _GAP_PX)
        draw.text((_GAP_PX, _GAP_PX + i * (_TEXT_PX + _GAP_PX)), text, fill=_INK, font=font)
    return np.concatenate([shown, np.asarray(page)])


def sheet(cells: Sequence[np.ndarray], columns: int = 4) -> np.ndarray:
    """Pictures of one width in rows, (H, W, 3) RGB."""
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    made = []
    for row in rows:
        height = max(c.shape[0] for c in row)
        row = [*row, *[np.zeros((1, row[0].shape[1], 3), np.uint8)] * (min(columns, len(cells)) - len(row))]
        about = {"borderType": cv2.BORDER_CONSTANT, "value": _PAPER}
        made.append(
            np.concatenate([cv2.copyMakeBorder(c, 0, height - c.shape[0], 0, _GAP_PX, **about) for c in row], 1)
        )
    return np.concatenate(made)


def draw_batch(
    batch: dict[str, Any], questions: Sequence[Any], path: Path, answers: Sequence[str] | None = None
) -> Path:
    """Draw the first pictures of a batch with what is asked of them and the true answers.

    Args:
        batch: See :func:`rsdet.tasks.vqa.dataset.collate`; pictures in [0, 1].
        questions: Those that ``index`` counts.
        path: JPEG to write.
        answers: What was answered to each question of the batch, told beside the truth.
    """
    cells, at = [], 0
    for picture, count in list(zip(batch["img"], batch["counts"].tolist(), strict=True))[:_DRAWN]:
        lines = []
        for k in range(at, at + min(count, _LINES)):
            q = questions[int(batch["index"][k])]
            told = f"{q.text} {q.answer}" if answers is None else f"{q.text} {answers[k]}"
            wrong = answers is not None and answers[k] != q.answer
            lines.append(f"{told} ({q.answer})" if wrong else told)
        at += count
        rgb = np.rint(picture.float().cpu().numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
        cells.append(captioned(np.ascontiguousarray(rgb), lines, _SIDE_PX))
    return write_picture(path, sheet(cells)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
