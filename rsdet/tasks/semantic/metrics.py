"""The outcome of a validation of maps of classes, in the form in which Ultralytics' loops ask for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.utils.metrics import SemanticMetrics as Stock

from rsdet.metrics.confusion import PixelScores, count_pixels
from rsdet.names import csv_cell
from rsdet.tasks.semantic.classmap import class_names
from rsdet.writing import json_text, write_csv, write_if_changed


class SemanticMetrics(Stock):
    """Ultralytics' metrics with exact counts, and means by :mod:`rsdet.metrics.confusion`.

    Attributes:
        images: Pictures measured.
        save_dir: Folder of the run.
    """

    def __init__(self, names: dict[int, str] | None = None):
        super().__init__(names)
        self.images, self.save_dir = 0, Path()

    @property
    def scores(self) -> PixelScores:
        """What the confusion matrix says; of a network with one class, that and the background."""
        matrix = np.zeros((self.cm_nc,) * 2, np.int64) if self.matrix is None else self.matrix.cpu().numpy()
        return PixelScores(matrix.astype(np.int64), class_names(self.names), 1 if self.cm_nc == 2 else None)

    def update_stats(self, preds: torch.Tensor, targets: torch.Tensor) -> None:
        """Count pictures (B, H, W)."""
        counts = torch.from_numpy(count_pixels(targets.cpu().numpy(), preds.cpu().numpy(), self.cm_nc))
        self.matrix = counts if self.matrix is None else self.matrix + counts
        first = self.cm_nc - self.nc  # of one class, the background is not listed
        for target in targets:
            present = np.bincount(target.cpu().numpy().ravel().clip(0), minlength=self.cm_nc)[first : self.cm_nc] > 0
            self.nt_per_image = self.nt_per_image + present
        self.images += len(targets)

    def process(self, save_dir: Path = Path("."), plot: bool = False, on_plot: Any = None) -> None:
        """Compute all numbers."""
        scores, first = self.scores, self.cm_nc - self.nc
        self._per_class_iou = np.nan_to_num(scores.iou[first:])
        self._per_class_pixel_acc = np.nan_to_num(scores.recall[first:])
        self.nt_per_class = scores.pixels[first:]
        self._miou, self._pixel_accuracy = scores.miou, scores.accuracy
        if plot and self.nt_per_class.any():
            self._plot_iou_bars(save_dir, on_plot)

    @property
    def keys(self) -> list[str]:
        """Names of the means, the one that a checkpoint is chosen by first."""
        binary = ["metrics/IoU", "metrics/F1"] if self.cm_nc == 2 else []
        return ["metrics/mIoU", "metrics/mAcc", "metrics/pixel_acc", *binary]

    def mean_results(self) -> list[float]:
        """Values of :attr:`keys`; 0 where there is nothing to measure."""
        s = self.scores
        binary = [s.iou[1], s.f1[1]] if self.cm_nc == 2 else []
        return [0.0 if math.isnan(v) else float(v) for v in (s.miou, s.macc, s.accuracy, *binary)]

    @property
    def fitness(self) -> float:
        """What the best checkpoint is chosen by: mIoU."""
        return self.mean_results()[0]

    def write(self, data: str) -> Path:
        """Write ``metrics.json`` and, a row per class, ``metrics.csv`` into the folder of the run.

        Args:
            data: Name of the data set and its split.
        """
        rows = self.scores.rows()
        means = {k.removeprefix("metrics/"): v for k, v in self.results_dict.items() if k.startswith("metrics/")}
        content = {
            "data": data,
            "images": self.images,
            **means,
            "classes": rows,
            "confusion": self.scores.matrix.tolist(),
        }
        path = self.save_dir / "metrics.json"
        write_if_changed(path, json_text(content))
        write_csv(self.save_dir / "metrics.csv", list(rows[0]), [{**r, "class": csv_cell(r["class"])} for r in rows])
        return path
