"""MaskDetector: an exported file and a picture in, boxes and masks out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rsdet.errors import CheckpointError
from rsdet.runtime.geometry import Placement
from rsdet.runtime.masks import in_picture
from rsdet.runtime.results import MaskDetections
from rsdet.tasks.detect.runtime.detector import Detector
from rsdet.tasks.detect.runtime.postprocess import Rules, check_output, corners, kept, upright
from rsdet.tasks.segment.runtime.masks import masks_in, to_frame_of_input, to_frame_of_picture


class MaskDetector(Detector):
    """A model of instance masks in an exported file; other arguments, attributes, errors are those of `Detector`.

    ``predict`` returns :class:`rsdet.runtime.MaskDetections`. Objects without a pixel are no objects.

    Args:
        path: As for :class:`Detector`.
        threads: As for :class:`Detector`.
        retina_masks: Decide on each pixel of the picture; else on each of the network's input, whose masks are then
            brought to the size of the picture.
        **kwargs: As for :class:`Detector`.
    """

    task: ClassVar[str] = "segment"
    families: ClassVar[Sequence[str]] = ("yolo",)
    outputs: ClassVar[int] = 2

    def __init__(self, path: str | Path, threads: int | None = None, *, retina_masks: bool = False, **kwargs: Any):
        super().__init__(path, threads, **kwargs)
        self.retina_masks = retina_masks

    def check(self, outs: Sequence[np.ndarray], batch: int) -> None:
        """Make sure that outputs can be what the metadata say."""
        if len(outs) != 2 or outs[1].ndim != 4 or outs[1].shape[0] != batch:
            shapes = " and ".join(str(o.shape) for o in outs)
            raise CheckpointError(
                f"{self._facts.file} puts out {shapes}; expected objects and (B, M, h, w) prototypes of masks; export "
                "it again."
            )
        check_output(outs[0], batch, self._facts, extra=outs[1].shape[1])

    def decode(self, outs: Sequence[np.ndarray], placement: Placement, rules: Rules) -> MaskDetections:
        """Objects of one image.

        Args:
            outs: (4 + nc + M, N) of cx, cy, w, h in pixels of the input, a score for each class, and coefficients; or
                final rows (N, 6 + M) of x1, y1, x2, y2, score, class, coefficients; and (M, h, w) prototypes.
            placement: Where the picture lies in the input.
            rules: What is kept.
        """
        found = kept(outs[0], self._facts, rules, upright)
        inside = found.boxes if self._facts.end2end else corners(found.boxes)
        boxes = placement.to_picture(inside)
        if self.retina_masks:
            frame_hw, in_frame, to_frame = placement.size_hw, boxes, to_frame_of_picture
        else:
            frame_hw, in_frame, to_frame = placement.input_hw, inside, to_frame_of_input
        masks = list(masks_in(frame_hw, to_frame(outs[1].shape[1:], placement), outs[1], found.extra, in_frame))
        keep = [i for i, mask in enumerate(masks) if mask.patch.any()]
        patches = [in_picture(masks[i], frame_hw, placement.size_hw) for i in keep]
        return MaskDetections(
            boxes[keep].astype(np.float32), found.scores[keep].astype(np.float32), found.classes[keep].astype(np.int64),
            self.names, placement.size_hw, placement.input_hw, patches=patches,
        )  # fmt: skip
