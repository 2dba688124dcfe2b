"""From pixels of a mask to polygons, and from COCO's run lengths to pixels."""

from __future__ import annotations

import re

import numpy as np

from rsdet.data.importers._labels import number

# Runs of a mask as COCO packs them: 5 bits a character, 7 of them at most, the last of a number below 0x50.
_RUN = re.compile(r"[P-o]{0,6}[0-O]")
_RUNS = re.compile(f"(?:{_RUN.pattern})+")
_LONGEST_SIDE = 1 << 20
_MOST_PX = 1 << 28  # a mask of 16,384 x 16,384 px: more is decoded by no reader of masks


def outlines(mask: np.ndarray) -> tuple[list[tuple[float, ...]], int]:
    """The outer edges of the 8-connected regions of a mask; holes are counted, and filled by leaving them out.

    Args:
        mask: (H, W) bool.

    Returns:
        Rings ``x1 y1 …`` along the edges of pixels, so that one pixel is a square of side 1, from top to bottom by
        their first pixel; and the number of holes.
    """
    import cv2

    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if not len(rows):
        return [], 0
    top, left = rows[0], columns[0]
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
    # OpenCV's contours pass through the centres of pixels. With four pixels for each, an edge of the mask lies between
    # an odd and an even number, and halves that are rounded up give the edge from either side.
    contours, tree = cv2.findContours(part.repeat(2, 0).repeat(2, 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings, holes = [], 0
    for contour, (*_, parent) in zip(contours, tree[0], strict=True):
        if parent >= 0:
            holes += 1
            continue
        points = (contour[:, 0, :] + 1) // 2
        points = points[(points != np.roll(points, 1, 0)).any(1)]
        before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
        points = points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]] + (left, top)
        rings.append(tuple(map(float, points.ravel())))
    return sorted(rings, key=lambda ring: (min(ring[1::2]), ring)), holes


def runs_of(mask: object) -> tuple[int, int, np.ndarray] | None:
    """Height, width and runs of a mask as COCO stores it, packed into text or not; None where it is none.

    Returns:
        The runs are (N,) int64: pixels off, on, off, …, column by column, no more of them than the mask has.
    """
    if not isinstance(mask, dict) or not isinstance(mask.get("size"), list):
        return None
    size, runs = [number(v) for v in mask["size"]], mask.get("counts")
    if len(size) != 2 or not all(v is not None and 0 < v < _LONGEST_SIDE and v == int(v) for v in size):
        return None
    if isinstance(runs, str):
        runs = _unpacked(runs)
    runs = [number(v) for v in runs] if isinstance(runs, list) else []
    height, width = map(int, size)
    if not runs or not all(v is not None and 0 <= v <= height * width and v == int(v) for v in runs):
        return None
    return (height, width, np.array(runs, np.int64)) if sum(runs) <= height * width else None


def _unpacked(text: str) -> list[int]:
    """Runs from COCO's text: 5 bits a character, the lowest first; from the fourth on, what they differ by."""
    runs: list[int] = []
    for piece in _RUN.findall(text) if _RUNS.fullmatch(text) else ():
        digits = [ord(c) - 48 for c in piece]
        value = sum((d & 31) << (5 * i) for i, d in enumerate(digits))
        if digits[-1] & 16:  # the sign
            value -= 1 << (5 * len(digits))
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs


def box_of_runs(mask: object) -> tuple[float, float, float, float] | None:
    """``x y w h`` around a run-length encoded mask, in pixels; None where it is none. A mask of nothing has no size."""
    found = runs_of(mask)
    if found is None:
        return None
    height, _, runs = found
    ends = runs.cumsum()[1::2]
    starts, ends = (ends - runs[1::2])[runs[1::2] > 0], ends[runs[1::2] > 0] - 1
    if not len(starts):
        return 0.0, 0.0, 0.0, 0.0
    x1, x2 = starts[0] // height, ends[-1] // height + 1
    tall = (starts // height != ends // height).any()
    y1, y2 = (0, height) if tall else ((starts % height).min(), (ends % height).max() + 1)
    return float(x1), float(y1), float(x2 - x1), float(y2 - y1)


def decoded_runs(mask: object) -> np.ndarray | None:
    """(H, W) bool of a run-length encoded mask; None where it is none or too large."""
    found = runs_of(mask)
    if found is None or found[0] * found[1] > _MOST_PX:
        return None
    height, width, runs = found
    flat = np.zeros(height * width, bool)
    on = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    flat[: len(on)] = on
    return flat.reshape(width, height).T
