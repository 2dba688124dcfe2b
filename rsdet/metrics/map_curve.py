"""Precision and recall of one class by the probability that is asked for, counted over all pixels of a split."""

from __future__ import annotations

import numpy as np

from rsdet.metrics.confusion import IGNORE

STEPS = 1000  # thresholds are 0, 0.001 ... 1


class PixelCurve:
    """Pixels by probability. Nothing but counts is kept, however many pixels there are.

    Attributes:
        counts: (2, STEPS + 1) int64, pixels whose probability lies from a threshold to below the next; those of other
            classes, then those of the class.
    """

    def __init__(self) -> None:
        self.counts = np.zeros((2, STEPS + 1), np.int64)

    def add(self, truth: np.ndarray, probability: np.ndarray) -> None:
        """Count a map.

        Args:
            truth: (H, W), 1 where the class is, 255 where nobody knows.
            probability: (H, W) in [0, 1].
        """
        known = truth != IGNORE
        step = (probability[known].astype(np.float64) * STEPS + 1e-6).astype(np.int64).clip(0, STEPS)
        is_class = truth[known] == 1
        for row, chosen in enumerate((~is_class, is_class)):
            self.counts[row] += np.bincount(step[chosen], minlength=STEPS + 1)

    @property
    def thresholds(self) -> np.ndarray:
        """(STEPS + 1,) probabilities."""
        return np.arange(STEPS + 1) / STEPS

    @property
    def precision(self) -> np.ndarray:
        """(STEPS + 1,) part of the pixels of at least each threshold that are right; 1 where there are none."""
        wrong, right = self._above
        return np.divide(right, right + wrong, out=np.ones(STEPS + 1), where=right + wrong > 0)

    @property
    def recall(self) -> np.ndarray:
        """(STEPS + 1,) part of the pixels of the class that have at least each threshold; NaN where it is nowhere."""
        total = self.counts[1].sum()
        return self._above[1] / total if total else np.full(STEPS + 1, np.nan)

    @property
    def average_precision(self) -> float:
        """Area under the steps of the curve, without interpolation."""
        recall = np.append(self.recall, 0.0)
        return float(((recall[:-1] - recall[1:]) * self.precision).sum())

    @property
    def best(self) -> tuple[float, float]:
        """The highest F1 and the threshold that has it, the lowest of several."""
        wrong, right = self._above
        f1 = 2 * right / np.maximum(right + wrong + self.counts[1].sum(), 1)
        return float(f1.max()), float(self.thresholds[f1.argmax()])

    @property
    def _above(self) -> np.ndarray:
        return self.counts[:, ::-1].cumsum(1)[:, ::-1]
