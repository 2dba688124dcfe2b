"""OrientedDetector: an exported file and a picture in, turned boxes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from rsdet.runtime.geometry import Placement
from rsdet.runtime.results import OrientedDetections
from rsdet.tasks.detect.runtime.detector import Detector
from rsdet.tasks.detect.runtime.postprocess import Found, Rules, check_output, kept
from rsdet.tasks.obb.runtime.nms import rotated_nms


class OrientedDetector(Detector):
    """A model of oriented boxes in an exported file; arguments, attributes and errors are those of :class:`Detector`.

    ``predict`` returns :class:`rsdet.runtime.OrientedDetections`.
    """

    task: ClassVar[str] = "obb"
    families: ClassVar[Sequence[str]] = ("yolo",)

    def check(self, outs: Sequence[np.ndarray], batch: int) -> None:
        """Make sure that outputs can be what the metadata say."""
        check_output(outs[0], batch, self._facts, extra=1)

    def decode(self, outs: Sequence[np.ndarray], placement: Placement, rules: Rules) -> OrientedDetections:
        """Objects of one image.

        Args:
            outs: (4 + nc + 1, N) of cx, cy, w, h in pixels of the input, a score for each class, and an angle in
                radians; or final rows (N, 7) of cx, cy, w, h, score, class, angle.
            placement: Where the picture lies in the input.
            rules: What is kept.
        """
        found = kept(outs[0], self._facts, rules, _suppressed)
        boxes = np.concatenate([found.boxes, found.extra], axis=1).astype(np.float64)
        # The sides, too, are divided by the scales of x and y, however the box is turned: so does Ultralytics.
        boxes[:, :2] -= placement.offset[:2]
        boxes[:, :4] /= placement.scale
        return OrientedDetections.of(
            boxes.astype(np.float32), found.scores.astype(np.float32), found.classes.astype(np.int64), self.names,
            placement.size_hw, placement.input_hw,
        )  # fmt: skip


def _suppressed(found: Found, rules: Rules) -> np.ndarray:
    boxes = np.concatenate([found.boxes, found.extra], axis=1)
    return rotated_nms(boxes, found.scores, found.classes, rules.iou, rules.max_det, rules.agnostic)
