"""Accuracy of answers to questions about pictures: micro, by type of question, closed and open, and of counts.

An answer is right where its text is the true one, letter case and spaces aside, as EarthVQA and RSVQA count by classes
of answers; ``three`` for ``3`` is another class and wrong, which is told. Questions whose answer is withheld count
nowhere. A true answer that the model cannot give, for its training never had it, counts as wrong, and is told too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rsdet.data.questions.numbers import number_of
from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import Vocabulary, answer_key, closed_questions
from rsdet.data.questions.words import question_key
from rsdet.errors import DataError

UNTYPED = "(no type)"
OTHER = "(other)"


@dataclass(frozen=True)
class GroupScores:
    """The numbers of some questions.

    Attributes:
        group: ``all``, ``kind`` (type by the data set) or ``type`` (closed or open).
        of: Which of them; empty for all.
        questions: Those that have a true answer.
        withheld: Those that have none, and count nowhere.
        right: Those that are answered rightly.
        unseen: Those whose true answer the model cannot give, counted as wrong.
        accuracy: right / questions in [0, 1]; NaN without questions.
        numbers: Questions whose true answer is a number.
        no_numbers: Of these, those whose given answer is none; RMSE is over the others.
        rmse: Root of the mean squared difference of given and true numbers; NaN without a pair of them.
    """

    group: str
    of: str
    questions: int
    withheld: int
    right: int
    unseen: int
    accuracy: float
    numbers: int
    no_numbers: int
    rmse: float


@dataclass(frozen=True, eq=False)
class AnswerScores:
    """What answers to questions are worth.

    Attributes:
        questions: N questions with their true answers.
        answers: N given answers.
        known: Answers that the model can give; None where that is not known, and no answer counts as unseen.
        closed: N times whether the question is closed (yes or no), None for one of unknown type; None without types.
        routed: N times whether the model took it for closed; None for a model without a router.
    """

    questions: Sequence[Question]
    answers: Sequence[str]
    known: Collection[str] | None = None
    closed: Sequence[bool | None] | None = None
    routed: Sequence[bool] | None = None

    def __post_init__(self) -> None:
        for what, given in (("answers", self.answers), ("types", self.closed), ("routed types", self.routed)):
            if given is not None and len(given) != len(self.questions):
                raise DataError(f"{len(given)} {what} for {len(self.questions)} questions; give one for each question")

    @cached_property
    def truth(self) -> list[str]:
        """N keys of the true answers; empty where withheld."""
        return [answer_key(q.answer) for q in self.questions]

    @cached_property
    def given(self) -> list[str]:
        """N keys of the given answers."""
        return [answer_key(answer) for answer in self.answers]

    @cached_property
    def counted(self) -> np.ndarray:
        """(N,) whether a true answer is there to compare with."""
        return np.array([bool(key) for key in self.truth], bool)

    @cached_property
    def right(self) -> np.ndarray:
        """(N,) whether the answer is right; False where the true one is withheld."""
        same = [t == g for t, g in zip(self.truth, self.given, strict=True)]
        return np.array(same, bool) & self.counted

    @cached_property
    def unseen(self) -> np.ndarray:
        """(N,) whether the true answer is one that the model cannot give."""
        keys = None if self.known is None else {answer_key(answer) for answer in self.known}
        return np.array([bool(t) and keys is not None and t not in keys for t in self.truth], bool)

    @cached_property
    def numbers(self) -> np.ndarray:
        """(N, 2) true and given number; NaN where the answer is none."""
        pairs = [(q.answer, a) for q, a in zip(self.questions, self.answers, strict=True)]
        number = {text: number_of(text) for text in {text for pair in pairs for text in pair}}
        return np.array([(number[t], number[a]) for t, a in pairs], np.float64).reshape(-1, 2)  # None becomes NaN

    @property
    def other_text(self) -> int:
        """Wrong answers that are the true number in other letters, as ``three`` is for ``3``."""
        return int((self.counted & ~self.right & (self.numbers[:, 0] == self.numbers[:, 1])).sum())

    @property
    def accuracy(self) -> float:
        """All that is right by all that is counted (micro), in [0, 1]; NaN with nothing to count."""
        return self.overall.accuracy

    @property
    def router_accuracy(self) -> float:
        """Part of the questions of known type, with withheld answers too, that the router took for what they are."""
        if self.closed is None or self.routed is None:
            return math.nan
        pairs = [(c, r) for c, r in zip(self.closed, self.routed, strict=True) if c is not None]
        return _part(len(pairs), sum(bool(c == r) for c, r in pairs))

    @property
    def overall(self) -> GroupScores:
        """The numbers of all questions."""
        return self._group("all", "", np.ones(len(self.questions), bool))

    def groups(self) -> list[GroupScores]:
        """The numbers of all questions, by the data set's types in the order of their names, of closed and of open."""
        return [self._group(*which) for which in self._masks()]

    def _masks(self) -> Iterator[tuple[str, str, np.ndarray]]:
        yield "all", "", np.ones(len(self.questions), bool)
        kinds = np.array([q.kind for q in self.questions], object)
        if any(kinds):
            yield from (("kind", kind or UNTYPED, kinds == kind) for kind in sorted(set(kinds)))
        if self.closed is not None:
            closed = np.array(self.closed, object)
            yield from (("type", name, closed == value) for name, value in (("closed", True), ("open", False)))

    def _group(self, group: str, of: str, mask: np.ndarray) -> GroupScores:
        counted, right = mask & self.counted, int(self.right[mask].sum())
        numbers = self.numbers[mask & ~np.isnan(self.numbers[:, 0])]
        pairs = numbers[~np.isnan(numbers[:, 1])]
        return GroupScores(
            group=group,
            of=of,
            questions=int(counted.sum()),
            withheld=int(mask.sum() - counted.sum()),
            right=right,
            unseen=int(self.unseen[mask].sum()),
            accuracy=_part(int(counted.sum()), right),
            numbers=len(numbers),
            no_numbers=len(numbers) - len(pairs),
            rmse=float(np.sqrt(np.mean((pairs[:, 1] - pairs[:, 0]) ** 2))) if len(pairs) else math.nan,
        )

    def confusion(self, most: int = 20) -> tuple[list[str], np.ndarray]:
        """The most frequent true answers against what was given for them.

        Args:
            most: Number of answers; of equally frequent ones those first by name.

        Returns:
            Names, in the spelling met first, ``(other)`` last where there are others, and (K, K) int64 questions, truth
            in rows. In the last cell, right and wrong answers meet.
        """
        pairs = [(t, g) for t, g in zip(self.truth, self.given, strict=True) if t]
        counts = Counter(t for t, _ in pairs)
        index = {key: i for i, key in enumerate(sorted(counts, key=lambda key: (-counts[key], key))[:most])}
        spelled: dict[str, Any] = {}
        for q, key in zip(self.questions, self.truth, strict=True):
            spelled.setdefault(key, q.answer)
        matrix = np.zeros((len(index) + 1,) * 2, np.int64)
        for t, g in pairs:
            matrix[index.get(t, len(index)), index.get(g, len(index))] += 1
        names = [" ".join(str(spelled[key]).split()) for key in index]
        others = bool(matrix[-1].any() or matrix[:, -1].any())
        return ([*names, OTHER], matrix) if others else (names, matrix[:-1, :-1])


def question_types(questions: Sequence[Question], vocabulary: Vocabulary) -> list[bool]:
    """Whether each question is closed (yes or no): by training, and where it was not asked there, by its own answers.

    Args:
        questions: Those that are measured.
        vocabulary: Of the training.
    """
    trained = set(vocabulary.asked)
    new = closed_questions(q for q in questions if question_key(q.text) not in trained)
    return [question_key(q.text) in vocabulary.closed or question_key(q.text) in new for q in questions]


def _part(of: int, some: int) -> float:
    return some / of if of else math.nan
