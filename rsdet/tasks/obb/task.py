"""The task ``obb``: oriented boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rsdet.tasks.detect.task import Detect
from rsdet.tasks.obb.options import OBBExport

if TYPE_CHECKING:
    import numpy as np

    from rsdet.deploy.runners import Runner
    from rsdet.deploy.settings import ExportSettings
    from rsdet.deploy.verify import Run
    from rsdet.tasks.detect.export import Form


class OBB(Detect):
    """Oriented boxes by networks of the YOLO family."""

    name = "obb"
    about = "oriented boxes around objects"
    families = ("yolo",)
    light = "rsdet.tasks.obb.runtime.cli"
    end_to_end = "image files to oriented boxes"
    export_options = OBBExport
    shape = "corners"
    protocol = "dota"

    def classes(self, family: str) -> dict[str, Any]:
        """Model, tuner, trainer, validator and predictor."""
        from rsdet.tasks.detect.tune import DetectTuner
        from rsdet.tasks.obb.model import OBBModel
        from rsdet.tasks.obb.predict import OBBPredict
        from rsdet.tasks.obb.train import OBBTrain
        from rsdet.tasks.obb.val import OBBVal

        parts = {"model": OBBModel, "trainer": OBBTrain, "tuner": DetectTuner}
        return {**parts, "validator": OBBVal, "predictor": OBBPredict}

    def stock_keys(self, mode: str) -> frozenset[str] | None:
        """Keys of Ultralytics of which something comes."""
        from rsdet.arguments import training_keys

        return training_keys() | {"angle"} if mode == "train" else super().stock_keys(mode)

    def in_graph(self, output: np.ndarray, settings: ExportSettings) -> np.ndarray:
        """Oriented boxes stay centre, sides and angle where suppression follows."""
        return output

    def form(self, module: Any, runs: Sequence[Run]) -> Form:
        """How outputs of a network are read and compared."""
        from rsdet.tasks.obb.export import OBBForm

        return OBBForm(module.model[-1].nc)

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
