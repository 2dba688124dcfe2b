"""Networks that find objects and their masks: Ultralytics' own, built through our registry."""

from __future__ import annotations

from ultralytics.nn import tasks

from rsdet.tasks.detect.model import YOLOModel


class SegmentModel(YOLOModel, tasks.SegmentationModel):
    """A network of the YOLO family with a mask for each object; the arguments are those of the base class."""
