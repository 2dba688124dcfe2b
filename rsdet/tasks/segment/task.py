"""The task ``segment``: instance masks."""

from __future__ import annotations

from typing import Any

from rsdet.tasks.detect.task import Detect


class Segment(Detect):
    """Objects and their masks by networks of the YOLO family."""

    name = "segment"
    about = "objects with their masks"
    families = ("yolo",)
    light = "rsdet.tasks.segment.runtime.cli"
    shape = "masks"

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor."""
        from rsdet.tasks.segment.model import SegmentModel
        from rsdet.tasks.segment.predict import SegmentPredict
        from rsdet.tasks.segment.train import SegmentTrain
        from rsdet.tasks.segment.val import SegmentVal

        return {"model": SegmentModel, "trainer": SegmentTrain, "validator": SegmentVal, "predictor": SegmentPredict}


TASK = Segment()
