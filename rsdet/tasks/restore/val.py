"""Validation of what restores pictures: PSNR and SSIM of the output, beside those of the input.

During a training, Ultralytics' loop runs on the EMA weights, and pictures larger than :data:`TRAINING_PX` are measured
in their middle: the numbers choose a checkpoint. By itself, whole pictures go through the same function as in
prediction (tiles and all), so methods without weights and exported files are measured likewise.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.engine.validator import BaseValidator
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import LOGGER, TQDM
from ultralytics.utils.torch_utils import select_device

from rsdet import checkpoint
from rsdet.data.degrade.resize import imresize
from rsdet.data.pairs.cache import Store, as_float
from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.enhance.running import check_tiling
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.image_quality import METRICS, Convention, QualityMeter
from rsdet.metrics.niqe import NiqeModel
from rsdet.tasks.restore.data import read_pairs, val_dataset
from rsdet.tasks.restore.quality import RestoreMetrics
from rsdet.tasks.restore.running import apply, check_tiles, runner_of
from rsdet.tasks.restore.visual import side_by_side, write_jpeg
from rsdet.tasks.runs import ValFolder, asked_device, gathered

TRAINING_PX = 1024  # side of the part of a picture that is measured during a training
SHOWN = 8  # pictures drawn
MIN_SIDE_PX = 11  # window of SSIM
_NIQE_PICTURES = 50  # of the training targets, that the model of undisturbed pictures is fitted to


class RestoreVal(ValFolder, BaseValidator):
    """Validator of the task ``restore``.

    Args:
        *args: Those of Ultralytics.
        metrics: Names among :data:`rsdet.metrics.image_quality.METRICS`.
        tile: See :func:`rsdet.tasks.restore.running.apply`.
        overlap: See there.
        niqe: ``.npz`` of a NIQE model; None fits one to targets of the split ``train``.
        **kwargs: Those of Ultralytics.

    Attributes:
        metrics: Outcome of the last run, a :class:`~rsdet.tasks.restore.quality.RestoreMetrics`.
    """

    def __init__(
        self,
        *args: Any,
        metrics: Any = ("psnr", "ssim"),
        tile: int | None = None,
        overlap: int | None = None,
        niqe: str | Path | None = None,
        **kwargs: Any,
    ):
        check_tiling(tile, overlap, prefix="")
        super().__init__(*args, **kwargs)
        self.wanted, self.tile, self.overlap, self.niqe = check_metrics(metrics), tile, overlap, niqe
        self.metrics = RestoreMetrics(save_dir=Path(self.save_dir))
        self.pairs: Any = None
        self.meter: QualityMeter | None = None
        self._drawn: list[Any] = []

    # -- in a training --------------------------------------------------------------------------------------------

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> Any:
        """Validate: the EMA weights of a training, or a model, its weights file or a function by itself."""
        if trainer is None:
            return self._alone(model)
        self.pairs, self._limit = trainer.pairs, TRAINING_PX
        return super().__call__(trainer, model, **kwargs)

    def init_metrics(self, model: Any) -> None:
        """Start a new collection."""
        self.args.quantize = None  # Ultralytics would measure in FP16, whose rounding is part of the PSNR then
        self.meter = QualityMeter(self._convention(model.scale))
        self._drawn = []

    def _convention(self, scale: int) -> Convention:
        return Convention.of(self.pairs.metrics, scale)

    def get_desc(self) -> str:
        """Head of the progress bar."""
        return "restored"

    def preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device; of large pictures, the middle."""
        x, y = batch["img"], batch["target"]
        scale = y.shape[-1] // x.shape[-1]
        (h, w), limit = x.shape[-2:], self._limit
        top, left = max(0, (h - limit) // 2), max(0, (w - limit) // 2)
        x = x[..., top : top + limit, left : left + limit]
        y = y[..., top * scale : (top + limit) * scale, left * scale : (left + limit) * scale]
        move = {"device": self.device, "non_blocking": self.device.type == "cuda"}
        return {**batch, "img": x.to(**move), "target": y.to(**move)}

    def update_metrics(self, preds: torch.Tensor, batch: dict[str, Any]) -> None:
        """Measure the pictures of a batch."""
        for i, (output, target) in enumerate(zip(preds.float(), batch["target"].float(), strict=True)):
            name = Path(batch["im_file"][i]).name
            if torch.isfinite(output).all():
                self.meter.update(output.clamp(0, 1), target, name)
            else:  # the trainer then goes back to the last checkpoint, or gives up in one line
                self.meter.rows.append({"name": name, "psnr": math.nan, "ssim": math.nan})

    def gather_stats(self) -> None:
        """Collect the rows of all processes on the first."""
        if everyone := gathered(self.meter.rows):
            self.meter.rows = [row for rows in everyone for row in rows]

    def get_stats(self) -> dict[str, float]:
        """Numbers by name, with ``fitness``."""
        self.metrics = RestoreMetrics(
            convention=self.meter.describe(), after=self.meter.summary(), rows=self.meter.rows,
            save_dir=Path(self.save_dir), data=f"{self.pairs.name}, {self.args.split}",
        )  # fmt: skip
        return self.metrics.results_dict

    def print_results(self) -> None:
        """One line after each epoch."""
        m = self.metrics
        LOGGER.info(f"{'restored':>22}: PSNR {m.psnr:.3f} dB, SSIM {m.ssim:.4f} ({m.convention})")

    def plot_predictions(self, batch: dict[str, Any], preds: torch.Tensor, ni: int) -> None:
        """Draw input, output and truth of the first pictures."""
        row = self.meter.rows[-1]
        pictures = [t[0].float().cpu().numpy().transpose(1, 2, 0) for t in (batch["img"], preds, batch["target"])]
        self._drawn.append(_captioned(*pictures, row))
        self._draw()

    def _draw(self) -> None:
        if self._drawn:
            path = write_jpeg(Path(self.save_dir) / "val_pictures.jpg", side_by_side(self._drawn))
            self.plots[path] = {"data": None, "timestamp": time.time()}

    # -- by itself ------------------------------------------------------------------------------------------------

    def _alone(self, model: Any) -> dict[str, float]:
        """Measure whole pictures."""
        model = _loaded(model, asked_device(self.args))
        device = select_device(self.args.device, verbose=False)
        run = runner_of(model, device, half=self.args.quantize == 16)
        check_tiles(run, self.tile, self.overlap)
        if self.pairs is None:
            splits = (self.args.split, "train") if "niqe" in self.wanted and not self.niqe else (self.args.split,)
            self.pairs = read_pairs(self.args.data, run, splits)
        dataset = val_dataset(self.pairs, self.args.split, scale=run.scale, seed=self.args.seed, cache="none")
        meters = [self._meter(run.scale), self._meter(run.scale)]
        self._drawn, spent = [], 0.0
        self.run_callbacks("on_val_start")
        for i in TQDM(range(len(dataset)), desc=self.get_desc(), total=len(dataset)):
            self.run_callbacks("on_val_batch_start")
            source, target, name = _pictures(dataset[i])
            begin = time.perf_counter()
            output = apply(run, source, tile=self.tile, overlap=self.overlap, name=name)
            spent += time.perf_counter() - begin
            before = source if run.scale == 1 else np.clip(imresize(source, run.scale), 0, 1)
            row = meters[0].update(output, target, name)
            meters[1].update(before, target, name)
            if self.args.plots and i < SHOWN:
                self._drawn.append(_captioned(source, output, target, row, meters[1].rows[-1]))
            self.run_callbacks("on_val_batch_end")
        rows = [{**a, **{f"input_{k}": v for k, v in b.items() if k != "name"}} for a, b in zip(
            meters[0].rows, meters[1].rows, strict=True)]  # fmt: skip
        self.speed = {"inference": spent / max(1, len(dataset)) * 1e3}
        self.metrics = RestoreMetrics(
            data=f"{self.pairs.name}, {self.args.split}", convention=meters[0].describe(), after=meters[0].summary(),
            before=meters[1].summary(), rows=rows, speed=self.speed, save_dir=Path(self.save_dir),
        )  # fmt: skip
        self._draw()
        self.metrics.write()
        LOGGER.info(self.metrics.table())
        LOGGER.info(f"{self.speed['inference']:.0f} ms per picture on {device}")
        self.run_callbacks("on_val_end")
        return self.metrics.results_dict

    def _meter(self, scale: int) -> QualityMeter:
        return QualityMeter(self._convention(scale), self.wanted, self._niqe_model() if "niqe" in self.wanted else None)

    def _niqe_model(self) -> Any:
        if isinstance(self.niqe, (str, Path)):
            self.niqe = NiqeModel.load(self.niqe)
        if self.niqe is None:
            clear = self.pairs.split("train")[:_NIQE_PICTURES]
            store = Store("none", **self.pairs.reading())
            targets = (as_float(store.get(p.target)) for p in clear)
            self.niqe = NiqeModel.fit(targets, f"{len(clear)} targets of {self.pairs.name}, train")
        return self.niqe


def check_metrics(names: Any) -> tuple[str, ...]:
    """Names of metrics, PSNR and SSIM always among them.

    Raises:
        ConfigError: No such metric.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in METRICS:
            raise ConfigError(f"metrics={name!r} must be among {', '.join(METRICS)}.")
    return ("psnr", "ssim", *(n for n in METRICS[2:] if n in names))


def _loaded(model: Any, device: str | None) -> Any:
    """The network of a weights file, the function that another exported file is; anything else as it is."""
    if not isinstance(model, (str, Path)):
        return model
    if Path(model).suffix == ".pt":
        return load_checkpoint(checkpoint.check(model))[0]
    return ArtifactEnhancer(model, device=device)


def _pictures(sample: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, str]:
    source, target = (np.ascontiguousarray(sample[k].numpy().transpose(1, 2, 0)) for k in ("img", "target"))
    name = Path(sample["im_file"]).name
    if min(target.shape[:2]) < MIN_SIDE_PX:
        raise DataError(f"{name} has fewer than {MIN_SIDE_PX} px along a side; SSIM needs that many, take it out.")
    return source, target, name


def _captioned(
    source: np.ndarray,
    output: np.ndarray,
    target: np.ndarray,
    row: dict[str, Any],
    before: dict[str, Any] | None = None,
) -> list[tuple[np.ndarray, str]]:
    known = "" if before is None else f" {before['psnr']:.2f} dB"
    return [
        (source, f"input{known}"),
        (output, f"restored {row['psnr']:.2f} dB"),
        (target, f"truth: {row['name']}"),
    ]
