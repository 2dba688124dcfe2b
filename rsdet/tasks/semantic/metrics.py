"""The outcome of a validation of maps of classes, in the form in which Ultralytics' loops ask for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.utils.metrics import SemanticMetrics as Stock

from rsdet.figures import new_figure, png_of
from rsdet.metrics.confusion import PixelScores, count_pixels
from rsdet.metrics.map_curve import PixelCurve
from rsdet.metrics.map_objects import HIT_IOU, MapObjects, say_objects
from rsdet.names import csv_cell
from rsdet.tasks.semantic.classmap import class_names
from rsdet.writing import json_text, write_bytes, write_csv, write_if_changed


class SemanticMetrics(Stock):
    """Ultralytics' metrics with exact counts, and means by :mod:`rsdet.metrics.confusion`.

    Attributes:
        images: Pictures measured.
        save_dir: Folder of the run.
        objects: Objects of the maps; of two classes those of the second.
        curve: Of two classes, the second's precision and recall; None where it is not known how probable it is.
    """

    def __init__(self, names: dict[int, str] | None = None):
        super().__init__(names)
        self.images, self.save_dir = 0, Path()
        self.objects = MapObjects([1] if self.cm_nc == 2 else range(self.cm_nc))
        self.curve: PixelCurve | None = PixelCurve() if self.cm_nc == 2 else None

    @property
    def scores(self) -> PixelScores:
        """What the confusion matrix says; of a network with one class, that and the background."""
        matrix = np.zeros((self.cm_nc,) * 2, np.int64) if self.matrix is None else self.matrix.cpu().numpy()
        return PixelScores(matrix.astype(np.int64), class_names(self.names), 1 if self.cm_nc == 2 else None)

    def add_map(self, truth: np.ndarray, found: np.ndarray, probability: np.ndarray | None) -> None:
        """Count a picture in its own pixels, with its objects.

        Args:
            truth: (H, W) class numbers, 255 where there is none.
            found: (H, W) class numbers.
            probability: (H, W) of the last class; None where nobody knows.
        """
        self.update_stats(torch.from_numpy(found)[None], torch.from_numpy(truth.astype(np.int64))[None])
        self.objects.add(truth, found)
        if probability is None:
            self.curve = None
        elif self.curve is not None:
            self.curve.add(truth, probability)

    def table(self) -> str:
        """The outcome in plain text."""
        names = class_names(self.names)
        lines = [self.scores.table(), say_objects(self.objects.rows(names))]
        if self.curve is not None and self.curve.counts[1].any():
            f1, threshold = self.curve.best
            lines.append(
                f"average precision {100 * self.curve.average_precision:.2f}; F1 is highest, {100 * f1:.2f}, from a "
                f"probability of {threshold:g} on"
            )
        return "\n".join(line for line in lines if line)

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

    def write(self, data: str, look: str = "", gsd: float | None = None) -> Path:
        """Write ``metrics.json``, ``metrics.csv`` (classes), ``objects.csv`` and ``curve.csv`` into the run's folder.

        Args:
            data: Name of the data set and its split.
            look: How pictures became inputs.
            gsd: Metres a pixel, where all pictures have the same.
        """
        objects, curve = self.objects.rows(class_names(self.names), gsd), self.curve
        rows = self.scores.rows()
        means = {k.removeprefix("metrics/"): v for k, v in self.results_dict.items() if k.startswith("metrics/")}
        content = {
            "data": data,
            "images": self.images,
            **means,
            "classes": rows,
            "confusion": self.scores.matrix.tolist(),
            "look": look,
            "hit_iou": HIT_IOU,
            "objects": objects,
        }
        if curve is not None:
            f1, threshold = curve.best
            content |= {"average_precision": curve.average_precision, "best_f1": f1, "best_threshold": threshold}
            columns = {"threshold": curve.thresholds, "precision": curve.precision, "recall": curve.recall}
            each = (
                dict(zip(columns, map(float, values), strict=True)) for values in zip(*columns.values(), strict=True)
            )
            write_csv(self.save_dir / "curve.csv", list(columns), list(each))
        named = [{**r, "class": csv_cell(r["class"])} for r in objects]
        write_csv(self.save_dir / "objects.csv", list(objects[0]), named)
        path = self.save_dir / "metrics.json"
        write_if_changed(path, json_text(content))
        write_csv(self.save_dir / "metrics.csv", list(rows[0]), [{**r, "class": csv_cell(r["class"])} for r in rows])
        return path


def write_curve(path: Path, curve: PixelCurve) -> Path:
    """Draw precision over recall, with the point of the highest F1."""
    figure, axes = new_figure(4.6, 4.2)
    at = int(np.argmin(np.abs(curve.thresholds - curve.best[1])))
    axes.plot(curve.recall, curve.precision, label=f"average precision {curve.average_precision:.3f}")
    axes.plot(*([x[at]] for x in (curve.recall, curve.precision)), "o", label="F1 {:.3f} at {:g}".format(*curve.best))
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="lower left")
    return write_bytes(path, png_of(figure))
