"""The task ``detect``: axis-aligned boxes."""

from __future__ import annotations

from typing import Any


def task_map(family: str) -> dict[str, Any]:
    """Model, trainer, validator and predictor of a family (``"rtdetr"``, ``"yolo"``, ``"cfar"``), imported on use."""
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
