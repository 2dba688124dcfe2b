"""Whether a network beats a baseline: the difference of their accuracies, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rsdet.errors import DataError
from rsdet.metrics.answers import AnswerScores

RESAMPLES = 1000


@dataclass(frozen=True)
class Margin:
    """Accuracy of a model less that of a baseline, in [-1, 1].

    Attributes:
        difference: On the questions that have a true answer; NaN without any.
        low: Lower end of the interval that holds it with 95 %; NaN for fewer than two images.
        high: Upper end.
    """

    difference: float
    low: float
    high: float

    @property
    def beaten(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0


def margin(model: AnswerScores, baseline: AnswerScores, resamples: int = RESAMPLES, seed: int = 0) -> Margin:
    """Compare two on the same questions.

    The interval is that of the percentile bootstrap over images (Efron and Tibshirani 1993, chapter 13): questions
    about one image are right or wrong together, and drawing them one by one would make it too narrow.

    Args:
        model: Scores of the model.
        baseline: Scores of the baseline.
        resamples: How often the images are drawn anew, with replacement.
        seed: Of the draws.

    Raises:
        DataError: The questions are not the same.
    """
    if list(model.questions) != list(baseline.questions):
        raise DataError("the answers of two models are compared on different questions; give both the same ones")
    if not model.counted.any():
        return Margin(math.nan, math.nan, math.nan)
    images = [q.image for q, counted in zip(model.questions, model.counted, strict=True) if counted]
    _, which = np.unique(images, return_inverse=True)
    better = model.right[model.counted].astype(np.float64) - baseline.right[model.counted]
    sums, sizes = np.bincount(which, better), np.bincount(which)
    difference = float(sums.sum() / sizes.sum())
    if len(sizes) < 2:
        return Margin(difference, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(sizes), len(sizes))
        found.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = np.percentile(found, [2.5, 97.5])
    return Margin(difference, float(low), float(high))


def margin_notes(scores: Mapping[str, AnswerScores]) -> list[str]:
    """A line for each baseline: by how many points of accuracy the model is better, or that it is not.

    Args:
        scores: Name to scores on the same questions, the model first, then its baselines.
    """
    (name, model), *baselines = scores.items()
    lines = []
    for other, s in baselines:
        m = margin(model, s)
        if math.isnan(m.difference):
            continue
        told = f"{name} {100 * m.difference:+.2f} points against {other}"
        if math.isnan(m.low):
            lines.append(f"{told} (one image: nothing is sure)")
            continue
        verdict = "beaten" if m.beaten else "NOT beaten"
        lines.append(f"{told} (95 %: {100 * m.low:+.2f} to {100 * m.high:+.2f}, images drawn anew): {verdict}")
    return lines
