"""Which trained question a new one is nearest to: answers to questions unlike all trained ones are guesses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rsdet.data.questions.words import question_key, tokens_of

FAR = 0.5  # distance from which on a question is far: less than half of all words are shared


@dataclass(frozen=True)
class Closest:
    """The trained question that is nearest.

    Attributes:
        text: Its words; empty where nothing was trained.
        distance: 0 (the same words) to 1 (none in common).
        far: Whether that is at least the threshold.
    """

    text: str
    distance: float
    far: bool


def overlap_distance(a: Iterable[str], b: Iterable[str]) -> float:
    """One minus the share of words that two questions have in common (Jaccard, words counted as often as they stand).

    Args:
        a: Words of one question.
        b: Words of the other.

    Returns:
        0 for the same words in any order, 1 for none in common and for two without words.
    """
    first, second = Counter(a), Counter(b)
    either = (first | second).total()
    return 1.0 - (first & second).total() / either if either else 1.0


def closest_question(text: str, asked: Iterable[str], far: float = FAR) -> Closest:
    """The trained question nearest to another.

    Args:
        text: The other question.
        asked: Trained questions, such as :attr:`rsdet.data.questions.vocabulary.Vocabulary.asked`; of two at the same
            distance, the first is taken.
        far: Distance from which on it is far, in (0, 1].
    """
    words = tokens_of(text)
    best, distance = "", 1.0
    for other in asked:
        apart = overlap_distance(words, tokens_of(other))
        if apart < distance or not best:
            best, distance = question_key(other), apart
    return Closest(best, distance, distance >= far)
