"""Prediction of oriented boxes: Ultralytics' predictor with our reading, pictures and files."""

from __future__ import annotations

from typing import ClassVar

from ultralytics.engine.results import OBB, Results
from ultralytics.models.yolo.obb import OBBPredictor

from rsdet.tasks.detect.predict import DetectResults, OurPredictor


class OBBResults(DetectResults):
    """Result with oriented boxes."""

    def mend(self) -> None:
        """Oriented boxes have no edges that could cross."""

    def clear(self) -> None:
        """Drop all objects."""
        self.update(obb=self.obb.data[:0])


class OBBPredict(OurPredictor, OBBPredictor):
    """Predictor of oriented boxes."""

    results_class: ClassVar[type[DetectResults]] = OBBResults

    def to_source(self, result: Results) -> None:
        """Put the boxes of an enhanced picture into pixels of the original one."""
        data = result.obb.data.clone()
        data[:, :4] = self.chain.to_source(data[:, :4])
        result.obb = OBB(data, result.orig_shape)
