"""The task ``obb``: oriented boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rsdet.tasks.detect.task import Detect

if TYPE_CHECKING:
    import numpy as np

    from rsdet.deploy.runners import Runner


class OBB(Detect):
    """Oriented boxes by networks of the YOLO family."""

    name = "obb"
    about = "oriented boxes around objects"
    families = ("yolo",)
    light = "rsdet.tasks.obb.runtime.cli"
    end_to_end = "image files to oriented boxes"
    shape = "corners"
    protocol = "dota"

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor."""
        from rsdet.tasks.obb.model import OBBModel
        from rsdet.tasks.obb.predict import OBBPredict
        from rsdet.tasks.obb.train import OBBTrain
        from rsdet.tasks.obb.val import OBBVal

        return {"model": OBBModel, "trainer": OBBTrain, "validator": OBBVal, "predictor": OBBPredict}

    def objects(
        self,
        run: Runner,
        x: np.ndarray,
        spec: Mapping[str, Any],
        size: tuple[int, int],
        shapes: Sequence[tuple[int, int]],
    ) -> list[Any]:
        """Oriented boxes of each picture."""
        from rsdet.tasks.obb.decode import oriented_from_raw

        return oriented_from_raw(run(x), len(spec["names"]), size, shapes)


TASK = OBB()
