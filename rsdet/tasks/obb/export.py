"""How an exported network of oriented boxes is compared with its network: by corners, and overlap of turned boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsdet.geometry import corner_distance, hulls, polygon_iou, polygon_ious, xywhr_to_corners
from rsdet.tasks.detect.export import Form
from rsdet.tasks.detect.parity import Upright
from rsdet.tasks.obb.decode import oriented_from_raw


class Turned(Upright):
    """Rows that begin with the corners x1, y1 to x4, y4 of an oriented box, in pixels of the original image."""

    columns = 8
    measure = "corner distance"

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, M) distance of the corners that are farthest apart, in pixels; beyond reach where boxes do not meet."""
        a, b = _corners(a), _corners(b)
        upright_a, upright_b = hulls(a)[:, None], hulls(b)[None]
        apart = np.abs(upright_a - upright_b).max(-1)  # of the boxes around them: the corners lie no nearer
        i, j = np.nonzero(apart < np.maximum((upright_a[..., 2:] - upright_a[..., :2]).max(-1), 8))
        apart[i, j] = corner_distance(a[i], b[j])
        return apart

    def iou(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, M) exact overlap of the turned boxes."""
        return polygon_ious(_corners(a), _corners(b))

    def pair_iou(self, image: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(K,) exact overlap of pairs."""
        return polygon_iou(_corners(a), _corners(b))


def _corners(rows: np.ndarray) -> np.ndarray:
    return rows[:, :8].reshape(-1, 4, 2)


class OBBForm(Form):
    """Outputs of a network of oriented boxes: (B, 4 + nc + 1, N) before suppression, or rows (B, N, 7) behind it.

    Boxes are centre and sides in pixels of the input; the angle, in radians, is the last column.

    Args:
        classes: Number of classes.
    """

    extra = 1
    behind = "scores and angles (radians)"

    def __init__(self, classes: int):
        super().__init__("yolo", Turned())
        self.classes = classes

    def rows(
        self, outs: Sequence[np.ndarray], size: tuple[int, int], shapes: Sequence[tuple[int, int]], conf: float,
        most: int = 1000, iou: float = 0.7,
    ) -> list[np.ndarray]:  # fmt: skip
        """See :meth:`Form.rows`: eight numbers for the corners, score, class."""
        found = []
        for rows in oriented_from_raw(outs[0], self.classes, size, shapes, conf, iou, most):
            corners = xywhr_to_corners(rows[:, [0, 1, 2, 3, 6]]).reshape(-1, 8)
            found.append(np.concatenate([corners, rows[:, 4:6]], axis=1))
        return found
