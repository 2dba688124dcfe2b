"""The task ``obb``: oriented boxes."""

from __future__ import annotations

from typing import Any

from rsdet.tasks.detect.task import Detect


class OBB(Detect):
    """Oriented boxes by networks of the YOLO family."""

    name = "obb"
    about = "oriented boxes around objects"
    families = ("yolo",)
    light = "rsdet.tasks.obb.runtime.cli"
    shape = "corners"
    protocol = "dota"

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor."""
        from rsdet.tasks.obb.model import OBBModel
        from rsdet.tasks.obb.predict import OBBPredict
        from rsdet.tasks.obb.train import OBBTrain
        from rsdet.tasks.obb.val import OBBVal

        return {"model": OBBModel, "trainer": OBBTrain, "validator": OBBVal, "predictor": OBBPredict}


TASK = OBB()
