"""Accuracy of maps of classes: one confusion matrix over a split, and what is read from it.

A class that neither truth nor prediction has counts nowhere; one that only the prediction has counts with an IoU of 0
in mIoU, and not in mAcc, which is a mean over the classes that are there to be found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

IGNORE = 255  # of a map: no class


def count_pixels(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix of maps of one size: (classes, classes) int64, truth in rows.

    Args:
        truth: Whole numbers; pixels of :data:`IGNORE` are left out.
        found: Whole numbers likewise.
        classes: Number of classes.
    """
    truth, found = np.asarray(truth, np.int64).ravel(), np.asarray(found, np.int64).ravel()
    known = (truth >= 0) & (truth < classes) & (found >= 0) & (found < classes)
    return np.bincount(truth[known] * classes + found[known], minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class PixelScores:
    """What a confusion matrix says. All numbers are parts of 1; NaN where there is nothing to divide by.

    Attributes:
        matrix: (K, K) int64 pixels, truth in rows.
        names: Class number to name, K of them.
        positive: The class that is to be found where the other is all else; None where there are no such two.
    """

    matrix: np.ndarray
    names: Mapping[int, str]
    positive: int | None = None

    @property
    def pixels(self) -> np.ndarray:
        """(K,) pixels of each class in the truth."""
        return self.matrix.sum(1)

    @property
    def iou(self) -> np.ndarray:
        """(K,) TP / (TP + FP + FN)."""
        return _parts(self.matrix.diagonal(), self.matrix.sum(0) + self.matrix.sum(1) - self.matrix.diagonal())

    @property
    def recall(self) -> np.ndarray:
        """(K,) TP / (TP + FN), the accuracy of a class."""
        return _parts(self.matrix.diagonal(), self.matrix.sum(1))

    @property
    def precision(self) -> np.ndarray:
        """(K,) TP / (TP + FP)."""
        return _parts(self.matrix.diagonal(), self.matrix.sum(0))

    @property
    def f1(self) -> np.ndarray:
        """(K,) 2 TP / (2 TP + FP + FN)."""
        return _parts(2 * self.matrix.diagonal(), self.matrix.sum(0) + self.matrix.sum(1))

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that truth or prediction have."""
        return _mean(self.iou)

    @property
    def macc(self) -> float:
        """Mean recall of the classes that the truth has."""
        return _mean(self.recall)

    @property
    def accuracy(self) -> float:
        """Part of the pixels whose class is right."""
        return float(_parts(self.matrix.trace(), self.matrix.sum()))

    @property
    def kappa(self) -> float:
        """Cohen's kappa, (po - pe) / (1 - pe): agreement beyond that of two maps with the same shares by chance."""
        n = float(self.matrix.sum())
        chance = float((self.matrix.sum(0) / max(n, 1.0)) @ (self.matrix.sum(1) / max(n, 1.0)))
        return float(_parts(self.accuracy - chance, 1 - chance)) if n else math.nan

    def rows(self) -> list[dict[str, Any]]:
        """A row per class for tables and files."""
        columns = {"iou": self.iou, "acc": self.recall, "precision": self.precision, "f1": self.f1}
        share = _parts(self.pixels, self.pixels.sum())
        return [
            {"class": self.names[i], "pixels": int(n), "share": float(share[i])}
            | {key: float(values[i]) for key, values in columns.items()}
            for i, n in enumerate(self.pixels)
        ]

    def table(self) -> str:
        """The rows and the means in plain text, in percent."""
        width = max(12, *(len(str(name)) for name in self.names.values()))
        head = f"{'class':{width}}{'share':>9}{'IoU':>9}{'acc':>9}{'precision':>11}{'F1':>9}"
        lines = [
            f"{row['class']:{width}}{_percent(row['share'], 9)}{_percent(row['iou'], 9)}{_percent(row['acc'], 9)}"
            f"{_percent(row['precision'], 11)}{_percent(row['f1'], 9)}"
            for row in self.rows()
        ]
        means = f"mIoU {_percent(self.miou)}, mAcc {_percent(self.macc)}, pixel accuracy {_percent(self.accuracy)}"
        if self.positive is not None:
            k = self.positive
            means += f"; {self.names[k]}: IoU {_percent(self.iou[k])}, F1 {_percent(self.f1[k])}"
        return "\n".join([head, *lines, means])


def _parts(numbers: Any, of: Any) -> np.ndarray:
    numbers, of = np.broadcast_arrays(np.asarray(numbers, np.float64), np.asarray(of, np.float64))
    return np.divide(numbers, of, out=np.full(of.shape, np.nan), where=of > 0)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _percent(value: float, width: int = 0) -> str:
    return f"{'-' if math.isnan(value) else f'{100 * value:.2f}':>{width}}"
