"""What a probability is worth: calibration error, accuracy where a model may abstain, temperature scaling.

All in NumPy and float64. The confidence of an answer is the probability that the model gives it.

Source: Guo et al. 2017, On Calibration of Modern Neural Networks (ECE, eq. 3; temperature scaling, section 4.2);
Geifman and El-Yaniv 2017, Selective Classification for Deep Neural Networks (risk and coverage).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from rsdet.errors import DataError

BINS = 15  # of equal width, as Guo et al. have them
COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are looked at
_HALVINGS = 40  # of the interval between the two: to 6e-12 of the logarithm


@dataclass(frozen=True)
class Bin:
    """Answers of similar confidence.

    Attributes:
        low: Confidence above which they lie; 0 belongs to the first bin.
        high: Confidence up to which they lie.
        questions: How many.
        confidence: Their mean confidence; NaN where there are none.
        accuracy: Part of them that is right; NaN where there are none.
    """

    low: float
    high: float
    questions: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """How confident answers are, and whether they are right.

    Attributes:
        confidence: (N,) in [0, 1].
        right: (N,) bool.

    Raises:
        DataError: Lengths differ, or a confidence is NaN or no probability.
    """

    confidence: np.ndarray
    right: np.ndarray

    def __post_init__(self) -> None:
        confidence, right = np.asarray(self.confidence, np.float64).ravel(), np.asarray(self.right, bool).ravel()
        if len(confidence) != len(right):
            raise DataError(f"{len(confidence)} confidences for {len(right)} answers; give one for each answer")
        bad = ~((confidence >= 0) & (confidence <= 1 + 1e-6))  # float32 softmax may exceed 1 by its rounding
        if bad.any():
            raise DataError(
                f"{bad.sum()} of {len(bad)} confidences are no probabilities in [0, 1], the first is "
                f"{confidence[bad][0]}; look for NaN in the model's output"
            )
        object.__setattr__(self, "confidence", confidence.clip(0, 1))
        object.__setattr__(self, "right", right)

    def reliability(self, bins: int = BINS) -> list[Bin]:
        """Bins of equal width (low, high] over [0, 1]; empty ones are listed."""
        edges = np.linspace(0, 1, bins + 1)
        which = np.searchsorted(edges, self.confidence, side="left").clip(1) - 1
        found = []
        for i, (low, high) in enumerate(pairwise(edges)):
            here = which == i
            means = [float(x[here].mean()) if here.any() else math.nan for x in (self.confidence, self.right)]
            found.append(Bin(float(low), float(high), int(here.sum()), *means))
        return found

    def ece(self, bins: int = BINS) -> float:
        """Expected calibration error, mean over answers of |accuracy - confidence| of their bin; NaN without any."""
        filled = [b for b in self.reliability(bins) if b.questions]
        gaps = sum(b.questions * abs(b.accuracy - b.confidence) for b in filled)
        return gaps / len(self.right) if filled else math.nan

    @cached_property
    def _steps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Confidences in falling order, each once, and how many answers, and errors, have at least that much."""
        values, where = np.unique(-self.confidence, return_inverse=True)
        answers = np.bincount(where, minlength=len(values)).cumsum()
        errors = np.bincount(where, ~self.right, len(values)).cumsum()
        return -values, answers, errors

    def curve(self) -> list[tuple[float, float, float]]:
        """(threshold, coverage, accuracy) for each confidence that occurs, in falling order.

        Answers of equal confidence are given or withheld together, as a threshold can do no other.
        """
        rows = zip(*self._steps, strict=True)
        return [(float(t), float(n / len(self.right)), float(1 - wrong / n)) for t, n, wrong in rows]

    def error_at(self, coverage: float) -> float:
        """Part of the answers that is wrong among the most confident ones.

        Where equal confidences straddle the limit, those that fit are as wrong as all of them, whatever their order.

        Args:
            coverage: Part of the questions that is answered, in (0, 1]; rounded up to whole questions.

        Returns:
            Error in [0, 1]; NaN without answers.
        """
        if not 0 < coverage <= 1:
            raise DataError(f"coverage={coverage} is no part of the questions; give a number above 0 and up to 1")
        kept = math.ceil(coverage * len(self.right) - 1e-9)
        if not kept:
            return math.nan
        _, answers, errors = self._steps
        return float(np.interp(kept, np.append(0, answers), np.append(0, errors)) / kept)

    def threshold_at(self, coverage: float) -> float:
        """Highest confidence to ask for that leaves at least so much coverage, in (0, 1]; NaN without answers."""
        reached = [t for t, part, _ in self.curve() if part >= coverage - 1e-9]
        return reached[0] if reached else math.nan

    def summary(self, bins: int = BINS) -> dict[str, float | int]:
        """ECE with its bins, and what abstaining gains."""
        return {
            "questions": len(self.right),
            "ece": self.ece(bins),
            "ece_bins": bins,
            "error_at_100": self.error_at(1.0),
            "error_at_90": self.error_at(0.9),
            "threshold_at_90": self.threshold_at(0.9),
        }


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (N, A) float64 of logits (N, A) divided by a temperature.

    Raises:
        DataError: Logits that are NaN, +inf or -inf throughout; an answer that is ruled out (-inf) is none of these.
    """
    z = np.asarray(logits, np.float64) / temperature
    top = z.max(-1, keepdims=True) if z.size else z
    if not np.isfinite(top).all():
        raise DataError(f"{(~np.isfinite(top)).sum()} of {len(z)} answers have no finite logits; look at the weights")
    e = np.exp(z - top)
    return e / e.sum(-1, keepdims=True)


def fit_temperature(logits: np.ndarray, index: np.ndarray) -> float:
    """The temperature T that minimises the mean of -log softmax(logits / T)[index].

    That is convex in 1 / T, and its slope there is the mean logit under the model less the logit of the true answer.
    The interval between :data:`COLDEST` and :data:`HOTTEST` is halved by the sign of that slope; an end of it is the
    outcome where the best lies beyond, as for answers that are all right.

    Args:
        logits: (N, A); -inf where an answer is ruled out.
        index: (N,) true answers; those below 0, which the model cannot give, are left out, as are those ruled out.

    Returns:
        T; 1 where no question is left to fit it on.

    Raises:
        DataError: Lengths differ; see :func:`softmax`.
    """
    z, index = np.asarray(logits, np.float64), np.asarray(index, np.int64)
    if len(z) != len(index):
        raise DataError(f"{len(z)} rows of logits for {len(index)} true answers; give one for each question")
    z, index = z[index >= 0], index[index >= 0]
    possible = ~np.isneginf(z[np.arange(len(z)), index])
    z, index = z[possible], index[possible]
    if not len(z):
        return 1.0
    true = z[np.arange(len(z)), index]
    finite = np.where(np.isneginf(z), 0, z)  # what is ruled out has probability 0, and 0 times -inf is no number
    low, high = math.log(COLDEST), math.log(HOTTEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = np.mean((softmax(z, math.exp(middle)) * finite).sum(1) - true)
        low, high = (middle, high) if slope > 0 else (low, middle)  # in 1 / T: where it is positive, T is too small
    return math.exp((low + high) / 2)


def scaled_by_others(logits: np.ndarray, index: np.ndarray, images: Sequence[str]) -> np.ndarray:
    """(N,) confidences by temperatures that never saw the question: each half of the images has that of the other.

    A temperature measured on the questions that it was fitted on looks better than it is; questions of one image are
    alike and stay together.

    Args:
        logits: (N, A).
        index: (N,) as :func:`fit_temperature` takes them.
        images: N names; every other one in the order of their names makes a half.
    """
    index = np.asarray(index, np.int64)
    half = {image: k % 2 for k, image in enumerate(sorted(set(images)))}
    first = np.array([half[image] == 0 for image in images], bool)
    confidence = np.zeros(len(index))
    for here in (first, ~first):
        temperature = fit_temperature(logits[~here], index[~here])
        confidence[here] = softmax(logits[here], temperature).max(1) if here.any() else 0
    return confidence
