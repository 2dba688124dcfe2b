"""Pictures of what a detector gets wrong: truth beside findings, where their numbers are furthest apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.writing import write_picture

OUT = Path(__file__).parent / "results" / "zoo"
SHOWN = 4
WIDEST = 1920  # px, of truth and findings together
CONF = 0.25


def outlined(picture: np.ndarray, rows: Sequence[str]) -> np.ndarray:
    """A copy of a picture with the boxes of its label file, upright or with four corners, in yellow."""
    picture = np.array(picture, order="C")
    h, w = picture.shape[:2]
    for row in rows:
        v = [float(x) for x in row.split()[1:]]
        if len(v) == 4:
            x, y, bw, bh = v
            v = [x - bw / 2, y - bh / 2, x + bw / 2, y - bh / 2, x + bw / 2, y + bh / 2, x - bw / 2, y + bh / 2]
        corners = np.round(np.array(v).reshape(-1, 2) * (w, h)).astype(np.int32)
        cv2.polylines(picture, [corners], True, (0, 255, 255), 1, cv2.LINE_AA)
    return picture


def failures(model: Any, folder: Path, split: str, imgsz: int, name: str, every: int = 4) -> list[str]:
    """Draw truth (left) and findings (right) where the number of objects found is furthest from the truth.

    Args:
        model: A detector.
        folder: Data set in YOLO layout.
        split: Its split.
        imgsz: Side of the input in pixels.
        name: First part of the names of the pictures.
        every: Look at every n-th picture.

    Returns:
        The pictures, as paths in the repository.
    """
    off: list[tuple[int, int, list[str], Any]] = []
    frames = sorted((folder / "images" / split).iterdir())[::every]
    for n, result in enumerate(model.predict(frames, imgsz=imgsz, conf=CONF, stream=True, verbose=False)):
        frame = Path(result.path)
        label = folder / "labels" / split / f"{frame.stem}.txt"
        rows = label.read_text().splitlines() if label.is_file() else []
        off = sorted([*off, (-abs(len(result) - len(rows)), n, rows, result)], key=lambda o: o[:2])[:SHOWN]
    files = []
    for n, (_, _, rows, result) in enumerate(off):
        file = OUT / f"{name}-{n}.jpg"
        picture = result.plot(boxes=False)  # as the findings have it: of 16 bits by the stretch of the weights
        pair = np.concatenate([outlined(picture, rows), result.plot(line_width=1, font_size=8)], 1)
        if (width := pair.shape[1]) > WIDEST:
            pair = cv2.resize(pair, None, fx=WIDEST / width, fy=WIDEST / width, interpolation=cv2.INTER_AREA)
        write_picture(file, pair)
        files.append(f"benchmarks/results/zoo/{file.name}")
    return files
