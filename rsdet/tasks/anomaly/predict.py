"""Prediction of anomalies: cubes in; a raster of scores, a mask, boxes and the spectra of the strongest finds out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.utils.torch_utils import select_device

from rsdet.tasks.anomaly.finds import Finds
from rsdet.tasks.anomaly.options import NAMES
from rsdet.tasks.anomaly.run import Searched, SearchRun, cubes_of
from rsdet.tasks.anomaly.scoring import Rebuilder
from rsdet.tasks.detect.predict import DetectResults
from rsdet.tasks.predicting import FilePredictor
from rsdet.tasks.runs import asked_device


class AnomalyResults(DetectResults):
    """Result with the finds of a cube as boxes, whose confidence is the score brought to [0, 1] by the extremes.

    Attributes:
        score: (H, W) float32, NaN where a pixel has no value in some band.
        finds: The regions, with their scores as they are.
        spectra: (N, B) of the pixels with the highest score of each of the strongest finds.
        files: What was written.
    """

    score: np.ndarray
    finds: Finds
    spectra: np.ndarray
    files: tuple[Path, ...] = ()


class AnomalyPredict(FilePredictor):
    """Predictor of the task ``anomaly``."""

    def setup_model(self, model: Any, verbose: bool = True) -> None:
        """Take the model."""
        self.device = select_device(self.args.device, verbose=False)
        self.model = model
        self.method = getattr(model, "method", None)
        exported = isinstance(model, (str, Path))
        device = asked_device(self.args) if exported else self.device
        self.run = None if self.method is not None else Rebuilder(model, device)

    def configure(
        self,
        model: Any,
        *,
        bands: Any = None,
        key: str | None = None,
        axes: str | None = None,
        far: float | None = None,
        threshold: float | None = None,
        min_area_px: int = 1,
        spectra: int = 5,
        score_on: str | None = None,
        tile: int | None = None,
        overlap: int | None = None,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            bands: Bands of the cubes: ``all``, numbers from 1, ``1-50``, ``450-900nm``; ``usable``, alone or beside
                these, leaves out what is constant or holds no number. Those of the training, else all, where None.
            key: Variable of MATLAB files that holds the cube.
            axes: What the axes of an array are, such as ``BHW``; rows, columns, bands where None.
            far: Share of the pixels that is marked at most, the rate of false alarms where anomalies are few; 0.001
                where neither it nor ``threshold`` is given.
            threshold: Scores above it are marked, in the place of ``far``.
            min_area_px: Leave out regions of fewer pixels.
            spectra: So many of the strongest finds are plotted with their spectra.
            score_on: ``residual`` or ``recon``, of networks; as they were trained where None.
            tile: Side of the tiles in pixels in which networks rebuild scenes; 64 where None.
            overlap: Pixels that neighbouring tiles share; 8 where None.

        Raises:
            ConfigError: A value out of its range.
        """
        self.work = SearchRun(
            self.run, self.method, self.make_folder if self.args.save else None, self.args.verbose, bands, key, axes,
            far, threshold, min_area_px, spectra, score_on, tile, overlap,
        )  # fmt: skip

    def over(self, source: Any) -> Iterator[AnomalyResults]:
        """Search cubes one after the other."""
        cubes = cubes_of(source)
        self.sources = [c for c in cubes if isinstance(c, Path)]
        self.skipped = self.work.skipped
        self.run_callbacks("on_predict_start")
        for found in self.work.over(cubes):
            yield self.done(_results(found))
        self.run_callbacks("on_predict_end")


def _results(found: Searched) -> AnomalyResults:
    boxes = np.concatenate([
        found.finds.boxes_xyxy, found.scores[:, None], np.zeros((len(found.finds), 1), np.float32)
    ], axis=1)  # fmt: skip
    result = AnomalyResults(
        found.picture, found.name, dict(NAMES), boxes=torch.from_numpy(boxes), speed=dict(found.speed)
    )
    result.score, result.finds, result.spectra, result.files = found.score, found.finds, found.spectra, found.files
    return result
