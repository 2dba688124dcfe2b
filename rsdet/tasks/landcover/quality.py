"""The outcome of a validation of land cover: the network's numbers beside those of simpler methods, and the split."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.figures import new_figure, png_of
from rsdet.metrics.landcover import MEASURES, LandCoverScores, percent, score_table
from rsdet.names import csv_cell
from rsdet.tasks.measures import Measures
from rsdet.writing import json_text, write_bytes, write_csv, write_if_changed

MODEL = "model"


@dataclass
class LandCoverMetrics(Measures):
    """What a classification of the pixels of a split is worth; the best checkpoint is chosen by the overall accuracy.

    Attributes:
        scores: By name, the model's first and those of simpler methods after it; empty before the first run.
        data: Name of the data set and its split.
        split: How training and test pixels were chosen, in words.
        pixels_s: Pixels a second, of the model.
        save_dir: Folder of the run.
    """

    scores: dict[str, LandCoverScores] = field(default_factory=dict)
    data: str = ""
    split: str = ""
    pixels_s: float = math.nan
    save_dir: Path = Path()

    @property
    def measures(self) -> dict[str, float]:
        """Overall accuracy, average accuracy and kappa of the model, parts of 1; 0 for what cannot be measured."""
        if not self.scores:
            return dict.fromkeys(MEASURES, math.nan)
        return {k: 0.0 if math.isnan(v) else v for k, v in self.scores[MODEL].measures.items()}

    @property
    def images(self) -> int:
        """Pixels that were measured."""
        return int(self.scores[MODEL].pixels.sum()) if self.scores else 0

    def line(self) -> str:
        """The means in one line."""
        told = ", ".join(f"{k} {percent(v)}" for k, v in self.measures.items())
        return f"{self.images} pixels: {told}"

    def lines(self) -> list[str]:
        """Everything in plain text."""
        return [
            score_table(self.scores),
            f"{self.images} pixels of {self.data}; {self.split}; {self.pixels_s:.0f} pixels a second",
        ]

    def write(self, plots: bool) -> Path:
        """Write ``metrics.json`` and ``metrics.csv`` into the folder of the run, with ``plots`` the confusion, too."""
        rows = [
            {"method": name, "class": csv_cell(str(row["class"])), **{k: row[k] for k in ("pixels", "acc", "f1")}}
            for name, s in self.scores.items()
            for row in s.rows()
        ]
        methods = {
            name: {**s.measures, "classes": s.rows(), "confusion": s.matrix.tolist()} for name, s in self.scores.items()
        }
        content = {"data": self.data, "split": self.split, "pixels_s": self.pixels_s, "methods": methods}
        path = self.save_dir / "metrics.json"
        write_if_changed(path, json_text(content))
        write_csv(self.save_dir / "metrics.csv", list(rows[0]), rows)
        if plots:
            write_confusion(self.save_dir / "confusion.png", self.scores[MODEL])
        return path


def write_confusion(path: Path, scores: LandCoverScores) -> Path:
    """Draw a confusion matrix: parts of each true class in percent, with the pixels of the class."""
    n = len(scores.matrix)
    side = 2.4 + 0.5 * n
    figure, axes = new_figure(side + 1.0, side)
    total = scores.pixels[:, None]
    parts: Any = np.divide(100.0 * scores.matrix, total, out=np.zeros((n, n)), where=total > 0)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=100)
    for i, j in np.ndindex(n, n):
        if scores.matrix[i, j]:
            colour = "white" if parts[i, j] > 55 else "black"
            text = f"{parts[i, j]:.0f}" if parts[i, j] >= 0.5 else "<1"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    names = [str(scores.names[k]) for k in range(n)]
    axes.set_xticks(range(n), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), [f"{name} ({m})" for name, m in zip(names, scores.pixels.tolist(), strict=True)])
    axes.set(xlabel="found", ylabel="truth (pixels)", title="percent of each true class")
    return write_bytes(path, png_of(figure))
