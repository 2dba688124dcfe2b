"""Answers without looking, or without listening: what the numbers of a network are to be read beside.

On many sets the questions alone nearly give the answers. Each baseline is fitted on training questions and answers any
others; of equally good answers the first by name is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import answer_key
from rsdet.data.questions.words import on_one_line, question_key
from rsdet.errors import DataError
from rsdet.metrics.linear_softmax import fit_linear_softmax

MOST_ROWS, MOST_WORDS = 20_000, 1_000  # that a linear baseline is fitted on, the most frequent ones: it stays quick
_QUESTION_L2, _IMAGE_L2 = 1e-4, 1e-2


class Baseline(Protocol):
    """What answers questions."""

    def answers(self, questions: Sequence[Question]) -> list[str]:
        """One answer for each question."""


@dataclass(frozen=True)
class MostFrequent:
    """The most frequent answer of all to every question."""

    answer: str

    @classmethod
    def fit(cls, train: Iterable[Question]) -> MostFrequent:
        """Count the answers of training."""
        answers, counts = _counts(train, lambda q: None)
        return cls(_top(answers, counts[None]))

    def answers(self, questions: Sequence[Question]) -> list[str]:
        """One answer for each question."""
        return [self.answer] * len(questions)


@dataclass(frozen=True)
class PerQuestion:
    """The most frequent answer to the same question.

    Attributes:
        by_text: Key of a question to its answer.
        otherwise: What answers questions that training never asked.
    """

    by_text: Mapping[str, str]
    otherwise: Baseline

    @classmethod
    def fit(cls, train: Iterable[Question], otherwise: Baseline | None = None) -> PerQuestion:
        """Count the answers to each question of training; others get the most frequent answer of all, if not told so.

        Args:
            train: Training questions.
            otherwise: What answers questions that training never asked.
        """
        train = list(train)
        answers, counts = _counts(train, lambda q: question_key(q.text))
        return cls({key: _top(answers, n) for key, n in counts.items()}, otherwise or MostFrequent.fit(train))

    def answers(self, questions: Sequence[Question]) -> list[str]:
        """One answer for each question."""
        other = iter(self.otherwise.answers([q for q in questions if question_key(q.text) not in self.by_text]))
        known = (self.by_text.get(question_key(q.text)) for q in questions)
        return [next(other) if answer is None else answer for answer in known]


@dataclass(frozen=True, eq=False)
class QuestionOnly:
    """A linear classifier of the words of a question, whether each is there or not.

    Attributes:
        words: Word to its row in the weights.
        choices: A answers.
        weights: (words + 1, A), the bias last.
    """

    words: Mapping[str, int]
    choices: Sequence[str]
    weights: np.ndarray

    @classmethod
    def fit(cls, train: Iterable[Question], l2: float = _QUESTION_L2) -> QuestionOnly:
        """Fit the classifier on the questions of training.

        Args:
            train: Training questions.
            l2: See :func:`~rsdet.metrics.linear_softmax.fit_linear_softmax`; small, so that questions that differ in
                one word can have answers of their own.
        """
        answers, counts = _counts(train, _words_of, MOST_ROWS)
        seen: Counter[str] = Counter()
        for asked, n in counts.items():
            seen.update(dict.fromkeys(asked, n.total()))
        words = {word: i for i, word in enumerate(sorted(seen, key=lambda w: (-seen[w], w))[:MOST_WORDS])}
        weights = fit_linear_softmax(_bags(counts, words), _table(answers, counts), l2)
        return cls(words, answers, weights)

    def answers(self, questions: Sequence[Question]) -> list[str]:
        """One answer for each question."""
        asked = dict.fromkeys(map(_words_of, questions))
        logits = _bags(asked, self.words) @ self.weights[:-1] + self.weights[-1]
        found = dict(zip(asked, logits.argmax(1), strict=True))
        return [self.choices[found[_words_of(q)]] for q in questions]


@dataclass(frozen=True, eq=False)
class ImageOnly:
    """A linear classifier of a picture, whatever the question.

    Attributes:
        encode: Name of a picture to its encoding (D,), such as the mean of an image encoder's output over its places.
        mean: (D,) of the encodings in training.
        spread: (D,) their standard deviation; 1 where they do not vary.
        choices: A answers.
        weights: (D + 1, A), the bias last.
    """

    encode: Callable[[str], np.ndarray]
    mean: np.ndarray
    spread: np.ndarray
    choices: Sequence[str]
    weights: np.ndarray

    @classmethod
    def fit(cls, train: Iterable[Question], encode: Callable[[str], np.ndarray], l2: float = _IMAGE_L2) -> ImageOnly:
        """Fit the classifier on the pictures of training.

        Args:
            train: Training questions.
            encode: Name of a picture to its encoding (D,); asked once for each picture.
            l2: See :func:`~rsdet.metrics.linear_softmax.fit_linear_softmax`.
        """
        answers, counts = _counts(train, lambda q: q.image, MOST_ROWS)
        seen = np.stack([np.asarray(encode(image), np.float64) for image in counts])
        mean, spread = seen.mean(0), seen.std(0)
        spread = np.where(spread > 1e-9 * np.abs(mean).max(initial=1e-300), spread, 1.0)
        weights = fit_linear_softmax((seen - mean) / spread, _table(answers, counts), l2)
        return cls(encode, mean, spread, answers, weights)

    def answers(self, questions: Sequence[Question]) -> list[str]:
        """One answer for each question."""
        found = {}
        for image in dict.fromkeys(q.image for q in questions):
            z = (np.asarray(self.encode(image), np.float64) - self.mean) / self.spread
            found[image] = self.choices[int((z @ self.weights[:-1] + self.weights[-1]).argmax())]
        return [found[q.image] for q in questions]


def fit_baselines(train: Sequence[Question], encode: Callable[[str], np.ndarray] | None = None) -> dict[str, Baseline]:
    """All baselines by their names in tables.

    Args:
        train: Training questions.
        encode: As :meth:`ImageOnly.fit` takes it; None leaves that baseline out.

    Raises:
        DataError: No training question has an answer.
    """
    words = QuestionOnly.fit(train)
    found: dict[str, Baseline] = {
        "most frequent": MostFrequent.fit(train),
        "per question": PerQuestion.fit(train, words),
        "question only": words,
    }
    return found if encode is None else {**found, "image only": ImageOnly.fit(train, encode)}


def _words_of(question: Question) -> frozenset[str]:
    return frozenset(question_key(question.text).split())


def _counts(
    train: Iterable[Question], key: Callable[[Question], Hashable], most: int | None = None
) -> tuple[list[str], dict[Hashable, Counter[int]]]:
    """Answers in the order of their names, and how often each (by its place there) was given for each key.

    Of more keys than ``most``, those with most answers are kept, of equal ones the first.
    """
    known = [(key(q), answer_key(q.answer), q.answer) for q in train if answer_key(q.answer)]
    if not known:
        raise DataError("no training question has an answer, so no baseline can be fitted; look at train: of the data")
    spelled: dict[str, str] = {}
    for _, answer, text in known:
        spelled.setdefault(answer, on_one_line(text))
    place = {answer: i for i, answer in enumerate(sorted(spelled))}
    counts: dict[Hashable, Counter[int]] = {}
    for group, answer, _ in known:
        counts.setdefault(group, Counter())[place[answer]] += 1
    if most is not None and len(counts) > most:
        counts = dict(sorted(counts.items(), key=lambda item: -item[1].total())[:most])
    return [spelled[answer] for answer in place], counts


def _top(answers: Sequence[str], counts: Counter[int]) -> str:
    return answers[min(counts, key=lambda i: (-counts[i], i))]


def _table(answers: Sequence[str], counts: Mapping[Hashable, Counter[int]]) -> np.ndarray:
    """(N, A) counts."""
    table = np.zeros((len(counts), len(answers)))
    for row, n in zip(table, counts.values(), strict=True):
        row[list(n)] = list(n.values())
    return table


def _bags(asked: Iterable[frozenset[str]], words: Mapping[str, int]) -> np.ndarray:
    """(N, words): 1 where a question has a word."""
    asked = list(asked)
    bags = np.zeros((len(asked), len(words)))
    for row, bag in zip(bags, asked, strict=True):
        row[[words[word] for word in bag if word in words]] = 1
    return bags
