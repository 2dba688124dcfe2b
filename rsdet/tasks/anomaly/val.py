"""Validation on a scene with a map of anomalies; in a training, the score by which its weights are chosen."""

from __future__ import annotations

import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.engine.validator import BaseValidator
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import select_device, unwrap_model

from rsdet import checkpoint
from rsdet.data.cubes.dataset import CubeData, cube_data
from rsdet.enhance.running import check_tiling
from rsdet.errors import DataError
from rsdet.metrics.anomaly import anomaly_scores, plot_roc, roc_curve
from rsdet.tasks.anomaly.beside import method_score, scores_beside
from rsdet.tasks.anomaly.report import AnomalyMetrics
from rsdet.tasks.anomaly.scene import CubeScene
from rsdet.tasks.anomaly.scoring import (
    SCORED,
    Rebuilder,
    check_scored,
    network_scores,
)
from rsdet.tasks.anomaly.visual import maps_picture
from rsdet.tasks.runs import ValFolder, asked_device
from rsdet.writing import write_bytes, write_picture


class AnomalyVal(ValFolder, BaseValidator):
    """Validator of the task ``anomaly``.

    Args:
        *args: Those of Ultralytics.
        bands: Bands of the cube, as in ``train``; those of the training, or of the data, where None.
        score_on: ``residual`` or ``recon``; as the network was trained where None.
        tile: Side of the tiles in pixels in which a network rebuilds the scene; 64 where None.
        overlap: Pixels that neighbouring tiles share; 8 where None.
        **kwargs: Those of Ultralytics.

    Attributes:
        metrics: Outcome of the last run, an :class:`~rsdet.tasks.anomaly.report.AnomalyMetrics`.
    """

    def __init__(
        self,
        *args: Any,
        bands: Any = None,
        score_on: str | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        **kwargs: Any,
    ):
        check_tiling(tile, overlap, prefix="")
        if score_on is not None:
            check_scored(score_on)
        super().__init__(*args, **kwargs)
        self.bands, self.score_on, self.tiling = bands, score_on, {"tile": tile, "overlap": overlap}
        self.metrics = AnomalyMetrics(save_dir=Path(self.save_dir))

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> dict[str, float]:
        """Score the scenes of a training by the weights of now; or measure a model, or its file, by itself."""
        return self._alone(model) if trainer is None else self._in_training(trainer)

    def _in_training(self, trainer: Any) -> dict[str, float]:
        begin = time.perf_counter()
        # A checkpoint holds half precision, whose rounding a residual feels: what is kept is what is judged.
        kept = deepcopy(unwrap_model(trainer.ema.ema if trainer.ema else trainer.model)).half().float()
        run = Rebuilder(kept, trainer.device)
        metrics = self.metrics = AnomalyMetrics(save_dir=Path(self.save_dir))
        measured, highest = [], []
        for scene in self.dataloader.dataset:
            (score,) = network_scores(run, scene, (self.score_on or run.score_on,), **self.tiling).values()
            highest.append(float(np.nanmax(score)))
            if scene.truth is not None:
                measured.append(anomaly_scores(score, scene.truth))
        metrics.highest, metrics.model = float(np.mean(highest)), measured[0] if measured else None
        metrics.speed = {"inference": (time.perf_counter() - begin) * 1e3}
        told = "" if metrics.model is None else f", AUC(D,F) {metrics.auc:.4f}"
        LOGGER.info(f"{'scene scored':>22}: highest {metrics.highest:.6g}{told}")
        return metrics.results_dict

    def _alone(self, model: Any) -> dict[str, float]:
        data = cube_data(self.args.data, "anomaly")
        model = _loaded(model)
        classical = hasattr(model, "method")
        exported = isinstance(model, (str, Path))
        device = asked_device(self.args) if exported else select_device(self.args.device, verbose=False)
        run = None if classical else Rebuilder(model, device)
        bands = self.bands or (run and run.places) or data.bands
        self.run_callbacks("on_val_start")
        with CubeScene(data.open(lidar=False).cube, bands, data.name) as scene:
            found: dict[str, tuple[np.ndarray, float]] = {}
            begin = time.perf_counter()
            if classical:
                name = str(model.yaml["method"])
                found[f"model: {name}"] = method_score(model.method, scene), time.perf_counter() - begin
            else:
                first = self.score_on or run.score_on
                scored = (first, *(s for s in SCORED if s != first))
                maps = network_scores(run, scene, scored, **self.tiling)
                spent = time.perf_counter() - begin
                found |= {f"network, {what}": (maps[what], spent) for what in scored}
            score, spent = next(iter(found.values()))
            metrics = self.metrics = AnomalyMetrics(data.name, save_dir=Path(self.save_dir))
            metrics.highest, metrics.speed = float(np.nanmax(score)), {"inference": spent * 1e3}
            self.speed = metrics.speed
            truth = truth_of(data)
            if truth is not None:
                found |= scores_beside(scene)
                self._measure(metrics, found, truth, scene)
        metrics.write()
        LOGGER.info(metrics.table())
        self.run_callbacks("on_val_end")
        return metrics.results_dict

    def _measure(self, metrics: AnomalyMetrics, found: Any, truth: np.ndarray, scene: CubeScene) -> None:
        areas = {name: anomaly_scores(score, truth) for name, (score, _) in found.items()}
        metrics.model = next(iter(areas.values()))
        metrics.rows = [{"method": n, **a.all, "seconds": found[n][1]} for n, a in areas.items()]
        if self.args.plots:
            folder = Path(self.save_dir)
            curves = {f"{n}, {areas[n].auc_df:.4f}": roc_curve(s, truth) for n, (s, _) in found.items()}
            write_bytes(folder / "roc.png", plot_roc(curves, metrics.data))
            pictures = maps_picture(scene.picture(), truth, {n: s for n, (s, _) in found.items()})
            write_picture(folder / "maps.png", pictures)


def truth_of(data: CubeData) -> np.ndarray | None:
    """(H, W) map of a scene, above 0 where there is an anomaly; None where nobody says."""
    return data.map("labels") if "labels" in data.maps else None


def measurable(data: CubeData) -> None:
    """Refuse a scene without a map, where there is nothing but its measure to be had.

    Raises:
        DataError: It has none.
    """
    if "labels" not in data.maps:
        raise DataError(f"{data.path} has no map of anomalies; add labels: {{file: ..., key: ...}} to its data YAML.")


def _loaded(model: Any) -> Any:
    """The network of a weights file; an exported file by its path, anything else as it is."""
    if isinstance(model, (str, Path)) and Path(model).suffix == ".pt":
        return load_checkpoint(checkpoint.check(model))[0]
    return model.float() if isinstance(model, torch.nn.Module) else model
