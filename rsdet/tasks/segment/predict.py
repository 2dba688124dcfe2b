"""Prediction of instance masks: Ultralytics' predictor with our reading, pictures and files."""

from __future__ import annotations

from typing import ClassVar

from ultralytics.engine.results import Masks, Results
from ultralytics.models.yolo.segment import SegmentationPredictor

from rsdet.tasks.detect.predict import DetectResults, OurPredictor


class SegmentResults(DetectResults):
    """Result with boxes and masks."""

    def clear(self) -> None:
        """Drop all objects."""
        super().clear()
        self.masks = None


class SegmentPredict(OurPredictor, SegmentationPredictor):
    """Predictor of instance masks."""

    results_class: ClassVar[type[DetectResults]] = SegmentResults

    def to_source(self, result: Results) -> None:
        """Put boxes and masks of an enhanced picture into pixels of the original one."""
        super().to_source(result)
        if result.masks is not None:  # they scale to whatever the picture measures
            result.masks = Masks(result.masks.data, result.orig_shape)
