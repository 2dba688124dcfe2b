"""Answers about the tiles of a raster as one answer about the raster.

Tiles part the raster: none overlap, so that what is counted in two of them is not one object seen twice (an object cut
by a border is in both, or in none).

- closed questions, by OR: yes where any tile says yes, with the probability of the surest of them;
- counts, by their sum: ranges (``more than 20``) add up to ranges;
- shares of the picture, by their mean over the ground that the tiles show;
- all else, by the mean of the probabilities, over the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from rsdet.data.questions.numbers import range_of
from rsdet.data.questions.vocabulary import answer_key

OR, SUM, SHARE, MEAN = "or", "sum", "mean share", "mean"
_SHARE = re.compile(r"(\d+(?:\.\d+)?) ?%(?: ?(?:-|–|to|and) ?(\d+(?:\.\d+)?) ?%)?")
Top = tuple[tuple[str, float], ...]


def share_of(answer: str) -> tuple[float, float] | None:
    """Least and largest share in percent that an answer such as ``10%-20%`` or ``0%`` allows; None for others."""
    found = _SHARE.fullmatch(answer.casefold().removeprefix("between ").strip())
    if found is None:
        return None
    low, high = float(found[1]), float(found[2] or found[1])
    return (low, high) if low <= high <= 100 else None


def merged(
    probabilities: np.ndarray, closed: bool, answers: Sequence[str], ground: np.ndarray, top: int = 3
) -> tuple[Top, str]:
    """The answer of all tiles to one question.

    Args:
        probabilities: (T, A), a row for each tile.
        closed: Whether it is a question of yes or no.
        answers: A answers.
        ground: (T,) what each tile shows of the ground, such as its valid pixels.
        top: How many answers are told.

    Returns:
        The likeliest answers with their probabilities, and how they came about: one of ``or``, ``sum``, ``mean share``,
        ``mean``. A sum and a share are one answer; its probability is the mean of those of the tiles' answers.
    """
    best = probabilities.argmax(1)
    keys = [answer_key(a) for a in answers]
    if closed and {"yes", "no"} <= {*keys}:
        return _any(probabilities, keys.index("yes"), keys.index("no"), answers), OR
    sure = float(np.average(probabilities.max(1), weights=ground))
    ranges = [range_of(answers[i]) for i in best]
    if all(r is not None for r in ranges):
        return ((_sum([r for r in ranges if r is not None]), sure),), SUM
    shares = [share_of(a) for a in answers]
    if all(shares[i] is not None for i in best):
        middle = np.array([math.nan if s is None else (s[0] + s[1]) / 2 for s in shares])
        which = ~np.isnan(middle)
        expected = (probabilities[:, which] * middle[which]).sum(1) / probabilities[:, which].sum(1)
        return ((_share(float(np.average(expected, weights=ground)), answers, shares), sure),), SHARE
    mean = np.average(probabilities, axis=0, weights=ground)
    order = np.argsort(-mean, kind="stable")[:top]
    return tuple((answers[i], float(mean[i])) for i in order), MEAN


def _any(probabilities: np.ndarray, yes: int, no: int, answers: Sequence[str]) -> Top:
    """Yes where a tile says so; else no, as sure as the least sure tile."""
    says = probabilities[:, yes] > probabilities[:, no]
    given = (yes, probabilities[says, yes].max()) if says.any() else (no, probabilities[:, no].min())
    return ((answers[given[0]], float(given[1])),)


def _sum(ranges: Sequence[tuple[float, float]]) -> str:
    low, high = (sum(r[i] for r in ranges) for i in (0, 1))
    if low == high:
        return f"{low:g}"
    return f"more than {low - 1:g}" if math.isinf(high) else f"between {low:g} and {high:g}"


def _share(percent: float, answers: Sequence[str], shares: Sequence[tuple[float, float] | None]) -> str:
    """The answer whose range holds a share, the narrowest of several; the share itself where none does."""
    fits = [(s[1] - s[0], i) for i, s in enumerate(shares) if s is not None and s[0] <= percent <= s[1]]
    return answers[min(fits)[1]] if fits else f"{percent:.0f}%"
