"""Training for instance masks: Ultralytics' trainer with our models and reading."""

from __future__ import annotations

from ultralytics.models.yolo.segment import SegmentationTrainer

from rsdet.tasks.detect.train import OurTrainer
from rsdet.tasks.segment.model import SegmentModel
from rsdet.tasks.segment.val import SegmentVal


class SegmentTrain(OurTrainer, SegmentationTrainer):
    """Trainer of instance masks."""

    model_class = SegmentModel
    validator_class = SegmentVal
