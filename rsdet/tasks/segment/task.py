"""The task ``segment``: instance masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rsdet.tasks.detect.task import Detect
from rsdet.tasks.segment.options import SegmentExport

if TYPE_CHECKING:
    import numpy as np

    from rsdet.deploy.runners import Runner
    from rsdet.deploy.verify import Run
    from rsdet.tasks.detect.export import Form


class Segment(Detect):
    """Objects and their masks by networks of the YOLO family."""

    name = "segment"
    about = "objects with their masks"
    families = ("yolo",)
    light = "rsdet.tasks.segment.runtime.cli"
    end_to_end = "image files to boxes and masks"
    unchecked: ClassVar = {**Detect.unchecked, "mask_iou": 0.0}
    export_options = SegmentExport
    shape = "masks"
    stac_task = "instance-segmentation"

    def classes(self, family: str) -> dict[str, Any]:
        """Model, tuner, trainer, validator and predictor."""
        from rsdet.tasks.detect.tune import DetectTuner
        from rsdet.tasks.segment.model import SegmentModel
        from rsdet.tasks.segment.predict import SegmentPredict
        from rsdet.tasks.segment.train import SegmentTrain
        from rsdet.tasks.segment.val import SegmentVal

        parts = {"model": SegmentModel, "trainer": SegmentTrain, "tuner": DetectTuner}
        return {**parts, "validator": SegmentVal, "predictor": SegmentPredict}

    def stock_keys(self, mode: str) -> frozenset[str] | None:
        """Keys of Ultralytics of which something comes."""
        from rsdet.arguments import training_keys

        if mode == "train":
            return training_keys() | {"mask_ratio", "overlap_mask"}
        more = {"val": {"mask_ratio", "overlap_mask"}, "predict": {"retina_masks"}}
        keys = super().stock_keys(mode)
        return None if keys is None else keys | more.get(mode, set())

    def form(self, module: Any, runs: Sequence[Run]) -> Form:
        """How outputs of a network are read and compared."""
        from rsdet.tasks.segment.export import SegmentForm

        return SegmentForm(module.model[-1].nc, runs)

    def objects(
        self,
        run: Runner,
        x: np.ndarray,
        spec: Mapping[str, Any],
        size: tuple[int, int],
        shapes: Sequence[tuple[int, int]],
    ) -> list[Any]:
        """Boxes and masks of each picture."""
        from rsdet.tasks.segment.decode import masks_from_raw

        return masks_from_raw(*run.outputs(x)[:2], len(spec["names"]), size, shapes)


TASK = Segment()
