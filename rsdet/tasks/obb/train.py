"""Training for oriented boxes: Ultralytics' trainer with our models and reading."""

from __future__ import annotations

from ultralytics.models.yolo.obb import OBBTrainer

from rsdet.tasks.detect.train import OurTrainer
from rsdet.tasks.obb.model import OBBModel
from rsdet.tasks.obb.val import OBBVal


class OBBTrain(OurTrainer, OBBTrainer):
    """Trainer of oriented boxes.

    Args:
        iou_loss: Box loss: probiou, wiou-v1, wiou-v2 or wiou-v3; the model's own where None.
    """

    model_class = OBBModel
    validator_class = OBBVal
