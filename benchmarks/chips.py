"""Chips with labels for the experiments on detection, and a word on their spread."""

from __future__ import annotations

import statistics
from pathlib import Path

import cv2
import numpy as np


def save(folder: Path, split: str, name: str, picture: np.ndarray, boxes: np.ndarray) -> None:
    """Write a picture and its label file, of one class.

    Args:
        folder: Of the data set.
        split: Its part.
        name: Name of the picture without its suffix.
        picture: (H, W) or (H, W, 3) uint8, BGR.
        boxes: (N, 4) xyxy in pixels.
    """
    h, w = picture.shape[:2]
    rows = [
        f"0 {(a + c) / 2 / w:.6f} {(b + d) / 2 / h:.6f} {(c - a) / w:.6f} {(d - b) / h:.6f}\n" for a, b, c, d in boxes
    ]
    for kind in ("images", "labels"):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / split / f"{name}.png"), picture)
    (folder / "labels" / split / f"{name}.txt").write_text("".join(rows))


def cut(picture: np.ndarray, boxes: np.ndarray, side: int, step: int) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Place, picture and boxes of chips of ``side`` px; an object keeps its box where more than half of it is left."""
    out = []
    h, w = picture.shape[:2]
    for y in sorted({min(y, h - side) for y in range(0, h - side + step, step)}):
        for x in sorted({min(x, w - side) for x in range(0, w - side + step, step)}):
            inside = np.clip(boxes - [x, y, x, y], 0, side)
            area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
            kept = (inside[:, 2:] - inside[:, :2]).prod(1) > area / 2
            out.append((f"{x}_{y}", picture[y : y + side, x : x + side], inside[kept]))
    return out


def spread(values: list[float]) -> str:
    """Mean and, of several, the smallest and largest value."""
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"
