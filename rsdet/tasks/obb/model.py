"""Networks that find oriented boxes: Ultralytics' own, built through our registry."""

from __future__ import annotations

from typing import ClassVar

from ultralytics.nn import tasks

from rsdet.losses.boxes import BoxLoss, ProbIoULoss
from rsdet.tasks.detect.model import YOLOModel


class OBBModel(YOLOModel, tasks.OBBModel):
    """A network of the YOLO family with oriented boxes; the arguments are those of the base class."""

    box_loss: ClassVar[type[BoxLoss]] = ProbIoULoss
