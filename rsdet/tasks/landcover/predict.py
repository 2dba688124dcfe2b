"""Prediction of land cover: cubes in, maps of classes in the same place out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ultralytics.utils.torch_utils import select_device

from rsdet.tasks.landcover.classifier import opened
from rsdet.tasks.landcover.mapping import LandCoverMap
from rsdet.tasks.landcover.run import MapRun, cubes_of
from rsdet.tasks.predicting import FilePredictor
from rsdet.tasks.runs import asked_device


class LandCoverPredict(FilePredictor):
    """Predictor of the task ``landcover``."""

    def setup_model(self, model: Any, verbose: bool = True) -> None:
        """Take the model."""
        self.device = select_device(self.args.device, verbose=False)
        exported = isinstance(model, (str, Path))
        self.model, self.classifier = model, opened(model, asked_device(self.args) if exported else self.device)

    def configure(
        self,
        model: Any,
        *,
        lidar: str | Sequence[str] | None = None,
        key: str | None = None,
        lidar_key: str | None = None,
        axes: str | None = None,
        save_probabilities: bool = False,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            lidar: Rasters of LiDAR on the grid of the cube; with a data YAML as source, its own are taken. Without any,
                a network that can do without classifies by the cube alone.
            key: Variable of a MATLAB file that is the cube; needed where it holds several.
            lidar_key: The same of the rasters.
            axes: Order of the axes of a cube in a file that does not say it, ``HWB`` where None.
            save_probabilities: Write the probability of each class.

        Raises:
            ConfigError: Weights that were never trained.
        """
        self.work = MapRun(
            self.classifier, self.place, bool(self.args.save), self.args.verbose, lidar, key, lidar_key, axes,
            save_probabilities,
        )  # fmt: skip

    def over(self, source: Any) -> Iterator[LandCoverMap]:
        """Map cubes one after the other."""
        self.sources, self.skipped = cubes_of(source), self.work.skipped
        self.run_callbacks("on_predict_start")
        for result in self.work.over(self.sources):
            if self.work.folder is not None:
                self.save_dir = self._made = self.work.folder
            yield self.done(result)
        self.run_callbacks("on_predict_end")
