"""How an exported network of instance masks is compared with its network: by boxes, and overlap of masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import process_mask_native, scale_boxes

from rsdet.deploy.parity import TOL, TOL_HALF, RawReport, compare_raw
from rsdet.deploy.verify import Run
from rsdet.tasks.detect.export import Form
from rsdet.tasks.detect.parity import Upright

_RIM_PX = 4  # pixels on the rim of a mask that may fall either way, however small it is
_AT_ONCE = 32  # pairs whose masks are drawn at a time


class Masks(Upright):
    """Rows that begin with x1, y1, x2, y2 in pixels of the original image and the coefficients of a mask.

    Args:
        prototypes: For each image those of the network and of the artifact, (M, h, w).
        shapes: Height and width of each original image.
    """

    def __init__(self, prototypes: Sequence[tuple[np.ndarray, np.ndarray]], shapes: Sequence[tuple[int, int]]):
        self.prototypes, self.shapes = prototypes, shapes
        self.columns = 4 + (prototypes[0][0].shape[0] if prototypes else 0)

    def pair_iou(self, image: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(K,) overlap of the masks of pairs, in pixels of the original image; 1 where next to none differ."""
        found = [np.zeros(0)]
        for k in range(0, len(a), _AT_ONCE):
            first, second = (
                _drawn(rows[k : k + _AT_ONCE], protos, self.shapes[image])
                for rows, protos in zip((a, b), self.prototypes[image], strict=True)
            )
            both, either = (first & second).sum((1, 2)), (first | second).sum((1, 2))
            found.append(np.where(either - both <= _RIM_PX, 1.0, both / np.maximum(either, 1)))
        return np.concatenate(found)


def _drawn(rows: np.ndarray, protos: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    boxes, weights = (
        torch.from_numpy(rows[:, :4].astype(np.float32)),
        torch.from_numpy(rows[:, 4:-2].astype(np.float32)),
    )
    masks = process_mask_native(torch.from_numpy(np.ascontiguousarray(protos)), weights, boxes, tuple(shape))
    return masks.numpy().astype(bool)


class SegmentForm(Form):
    """Outputs of a network of instance masks: (B, 4 + nc + M, N) or rows (B, N, 6 + M), and prototypes (B, M, h, w).

    Args:
        classes: Number of classes.
        runs: Those that are compared.
    """

    def __init__(self, classes: int, runs: Sequence[Run]):
        pairs = [(e, g) for r in runs for e, g in zip(r.expected[1], r.got[1], strict=True)]
        shapes = [sample.shape[:2] for r in runs for sample in r.samples]
        super().__init__("yolo", Masks(pairs, shapes))
        self.classes, self.extra, self.behind = classes, self.shape.columns - 4, "scores and coefficients of masks"

    def rows(
        self, outs: Sequence[np.ndarray], size: tuple[int, int], shapes: Sequence[tuple[int, int]], conf: float,
        most: int = 1000, iou: float = 0.7,
    ) -> list[np.ndarray]:  # fmt: skip
        """See :meth:`Form.rows`: four numbers for the box, the coefficients of the mask, score, class."""
        final = not self.before_suppression(outs[0])
        kept = non_max_suppression(torch.from_numpy(outs[0]), conf, iou, nc=self.classes, max_det=most, end2end=final)
        for rows, shape in zip(kept, shapes, strict=True):
            rows[:, :4] = scale_boxes(size, rows[:, :4], shape)
        return [torch.cat([rows[:, :4], rows[:, 6:], rows[:, 4:6]], 1).numpy() for rows in kept]

    def beside(self, runs: Sequence[Run], half: bool) -> list[RawReport]:
        """Prototypes, number by number."""
        largest = max(float(np.abs(r.expected[1]).max(initial=0.0)) for r in runs)
        return [
            compare_raw(r.expected[1], r.got[1], (TOL_HALF if half else TOL) * largest, "prototypes of masks")
            for r in runs
        ]
