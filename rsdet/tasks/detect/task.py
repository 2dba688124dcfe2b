"""The task ``detect``: axis-aligned boxes."""

from __future__ import annotations

from typing import Any

from rsdet.tasks.task import Task


class Detect(Task):
    """Axis-aligned boxes by networks of the RT-DETR and the YOLO family, and by CFAR."""

    name = "detect"
    about = "axis-aligned boxes around objects"
    families = ("rtdetr", "yolo", "cfar")
    light = "rsdet.tasks.detect.runtime.cli"

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor of a family."""
        if family == "cfar":
            from rsdet.tasks.detect.cfar import CFARModel, CFARPredict, CFARVal

            return {"model": CFARModel, "validator": CFARVal, "predictor": CFARPredict}
        from rsdet.tasks.detect.model import MODELS
        from rsdet.tasks.detect.predict import RTDETRPredict, YOLOPredict
        from rsdet.tasks.detect.train import RTDETRTrain, YOLOTrain
        from rsdet.tasks.detect.val import RTDETRVal, YOLOVal

        rtdetr, yolo = (RTDETRTrain, RTDETRVal, RTDETRPredict), (YOLOTrain, YOLOVal, YOLOPredict)
        parts = rtdetr if family == "rtdetr" else yolo
        return {"model": MODELS[family], **dict(zip(("trainer", "validator", "predictor"), parts, strict=True))}

    def outcome(self, images: int, items: int) -> str:
        """Say how many objects were found."""
        return f"{items} objects in {images} images"


TASK = Detect()
