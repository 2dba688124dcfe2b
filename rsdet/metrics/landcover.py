"""Accuracy of land cover as papers print it: overall and average accuracy and Cohen's kappa, beside each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from rsdet.metrics.confusion import PixelScores

MEASURES = ("OA", "AA", "kappa")


class LandCoverScores(PixelScores):
    """What a confusion matrix of land cover says; parts of 1, NaN where there is nothing to divide by.

    ``OA = tr(M) / n``; ``AA`` is the mean accuracy of the classes that the truth has;
    ``kappa = (OA - p_e) / (1 - p_e)`` with ``p_e = sum_i row_i col_i / n^2``.
    """

    @property
    def kappa(self) -> float:
        """Cohen's kappa."""
        m = self.matrix.astype(np.float64)
        n = m.sum()
        if not n:
            return float("nan")
        chance = float(m.sum(1) @ m.sum(0)) / n**2
        return float((self.accuracy - chance) / (1 - chance)) if chance < 1 else float("nan")

    @property
    def measures(self) -> dict[str, float]:
        """Values of :data:`MEASURES`."""
        return dict(zip(MEASURES, (self.accuracy, self.macc, self.kappa), strict=True))


def score_table(scores: dict[str, LandCoverScores]) -> str:
    """Methods beside one another, in percent: a class a line, then the means."""
    first = next(iter(scores.values()))
    width = max(12, *(len(name) for name in first.names.values()))
    columns = [max(9, len(name) + 2) for name in scores]
    head = f"{'class':{width}}{'pixels':>9}" + "".join(f"{n:>{w}}" for n, w in zip(scores, columns, strict=True))
    lines = [head]
    for k, pixels in enumerate(first.pixels.tolist()):
        cells = [f"{percent(s.recall[k]):>{w}}" for s, w in zip(scores.values(), columns, strict=True)]
        lines.append(f"{first.names[k]:{width}}{pixels:>9}{''.join(cells)}")
    for measure in MEASURES:
        cells = [f"{percent(s.measures[measure]):>{w}}" for s, w in zip(scores.values(), columns, strict=True)]
        lines.append(f"{measure:{width}}{int(first.pixels.sum()) if measure == 'OA' else '':>9}{''.join(cells)}")
    return "\n".join(lines)


def spread(values: Any) -> str:
    """Mean and standard deviation over runs (of a sample, n - 1), in percent."""
    x = 100 * np.asarray(values, np.float64)
    return f"{x.mean():.2f} ± {x.std(ddof=1):.2f}" if len(x) > 1 else f"{x.mean():.2f}"


def percent(value: float) -> str:
    """A part of 1 in percent; ``-`` for NaN."""
    return "-" if np.isnan(value) else f"{100 * value:.2f}"
