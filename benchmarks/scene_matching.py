"""What was found in a scene against its truth: matches, average precision, and objects by their place in the grid."""

from __future__ import annotations

from typing import Any

import numpy as np


def matches(truth: np.ndarray, boxes: np.ndarray, scores: np.ndarray, iou: float = 0.5) -> np.ndarray:
    """Number of the detection that each object is given, -1 for none: best first, each takes the free one it fits best.

    Args:
        truth: (N, 4) xyxy.
        boxes: (M, 4) xyxy.
        scores: (M,).
        iou: Overlap from which they match.
    """
    from shapely import STRtree, box

    given, free = np.full(len(truth), -1), np.ones(len(boxes), bool)
    if not len(truth) or not len(boxes):
        return given
    d, t = STRtree(box(*truth.T)).query(box(*boxes.T), predicate="intersects")
    shared = (np.minimum(boxes[d, 2:], truth[t, 2:]) - np.maximum(boxes[d, :2], truth[t, :2])).clip(0).prod(1)
    both = (boxes[d, 2:] - boxes[d, :2]).prod(1) + (truth[t, 2:] - truth[t, :2]).prod(1) - shared
    overlap = shared / both
    for k in np.lexsort((-overlap, d, -scores[d])):
        if overlap[k] >= iou and given[t[k]] < 0 and free[d[k]]:
            given[t[k]], free[d[k]] = d[k], False
    return given


def accuracy(truth: np.ndarray, boxes: np.ndarray, scores: np.ndarray, size_hw: tuple[int, int]) -> dict[str, float]:
    """AP (0.50:0.95) and AP50 of one class by the COCO rules without a cap; a scene counts as one picture.

    The objects are looked at in squares of 2048 px that hold their centres: a square is what pycocotools calls an
    image, and objects are a twentieth of it.
    """
    from rsdet.metrics.detection_areas import ImageDetections, ImageTruth, Protocol, evaluate

    def squares(b: np.ndarray) -> np.ndarray:
        x, y = ((b[:, :2] + b[:, 2:]) / 2 // 2048).T.astype(int)
        return y * 1_000_000 + x

    of_truth, of_found = squares(truth), squares(boxes)
    keys = np.union1d(of_truth, of_found)
    true, found = [], []
    for key in keys.tolist():
        t, d = truth[of_truth == key], of_found == key
        true.append(ImageTruth(key, size_hw, t, np.zeros(len(t))))
        found.append(ImageDetections(key, boxes[d], scores[d], np.zeros(int(d.sum()))))
    rule = Protocol("scene", {"all": (0.0, 1e10)}, (100_000,))
    measured = evaluate(true, found, protocol=rule)
    return {"ap": float(measured.ap or 0), "ap50": float(measured.ap50 or 0)}


def places(truth: np.ndarray, plan: Any, overlap_px: int) -> dict[str, np.ndarray]:
    """Masks (N,) of objects by where the grid of a plan of one resolution cuts them.

    ``inside``: wholly in one core, cut by no edge of a tile. ``across``: a border between two cores goes through it.
    ``cut``: only an edge of a tile does, somewhere in what tiles share. ``larger``: a side is longer than the overlap,
    so that no tile need hold it; these are in none of the others.
    """
    grid = plan.grids[0]
    columns, rows = len(grid.lefts), len(grid.tops)
    cores_x = [plan[n].core[0] for n in range(1, columns)]
    cores_y = [plan[n * columns].core[1] for n in range(1, rows)]
    h, w = grid.tile_hw
    edges_x = sorted({*grid.lefts[1:], *(x + w for x in grid.lefts[:-1])})
    edges_y = sorted({*grid.tops[1:], *(y + h for y in grid.tops[:-1])})
    larger = (truth[:, 2:] - truth[:, :2]).max(1) > overlap_px
    across = (_crossed(truth[:, 0], truth[:, 2], cores_x) | _crossed(truth[:, 1], truth[:, 3], cores_y)) & ~larger
    cut = _crossed(truth[:, 0], truth[:, 2], edges_x) | _crossed(truth[:, 1], truth[:, 3], edges_y)
    cut &= ~larger & ~across
    return {"inside": ~(larger | across | cut), "across": across, "cut": cut, "larger": larger}


def _crossed(low: np.ndarray, high: np.ndarray, lines: list[float]) -> np.ndarray:
    """Whether a line lies strictly between."""
    return np.searchsorted(lines, low, "right") < np.searchsorted(lines, high, "left")
