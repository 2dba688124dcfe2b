"""What a network of questions knows by number: words, answers, and which questions are closed.

It is made of the training questions alone, and goes into weights and the metadata of exported files as plain JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from rsdet.data.questions.records import Question
from rsdet.data.questions.words import on_one_line, question_key, tokens_of
from rsdet.errors import ConfigError

__all__ = ["PAD", "UNKNOWN", "Vocabulary", "closed_questions", "tokens_of"]

PAD, UNKNOWN = 0, 1
MOST_ASKED = 2000  # questions that are kept to tell which one a new question is nearest to
_YES_NO = {"yes", "no"}
_LIMITS = {"words": 1_000_000, "answers": 100_000, "closed": 10_000_000, "asked": 100_000}


def closed_questions(questions: Iterable[Question]) -> set[str]:
    """Questions whose every known answer is yes or no, by their :func:`~rsdet.data.questions.words.question_key`.

    One that was asked without a known answer is open: nothing says that yes and no are all there is.
    """
    answers: dict[str, set[str]] = {}
    for q in questions:
        answers.setdefault(question_key(q.text), set()).add(answer_key(q.answer))
    return {key for key, given in answers.items() if (known := given - {""}) and known <= _YES_NO}


def answer_key(answer: str) -> str:
    """What answers that differ in case and spaces alone have in common."""
    return " ".join(answer.split()).casefold()


@dataclass(frozen=True)
class Vocabulary:
    """Words, answers and closed questions of a training.

    Attributes:
        words: Words by their number less two: 0 pads a question, 1 stands for every unknown word.
        answers: Answers by their class; no two differ in case alone.
        closed: Keys of the closed questions, see :func:`closed_questions`.
        asked: Keys of the questions that were trained, the most frequent first, at most :data:`MOST_ASKED`.
    """

    words: tuple[str, ...]
    answers: tuple[str, ...]
    closed: frozenset[str] = frozenset()
    asked: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, questions: Iterable[Question]) -> Vocabulary:
        """Vocabulary of training questions; it depends on their set and how often each stands there, not on the order.

        Of two spellings of an answer (``Yes``, ``yes``) the more frequent one is kept. Answers are sorted, numbers by
        value and before texts; withheld ones are none.
        """
        questions = list(questions)
        words: set[str] = set()
        asked = Counter(question_key(q.text) for q in questions)
        spelt: dict[str, Counter[str]] = {}
        for key in asked:
            words.update(key.split())
        for q in questions:
            if key := answer_key(q.answer):
                spelt.setdefault(key, Counter())[on_one_line(q.answer)] += 1
        answers = [min(forms, key=lambda form, forms=forms: (-forms[form], form)) for forms in spelt.values()]
        frequent = sorted(asked, key=lambda key: (-asked[key], key))
        return cls(
            tuple(sorted(words)), tuple(sorted(answers, key=_order)), frozenset(closed_questions(questions)),
            tuple(frequent[:MOST_ASKED]),
        )  # fmt: skip

    @property
    def size(self) -> int:
        """How many numbers words can have: those of :attr:`words`, the pad and the unknown word."""
        return 2 + len(self.words)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, 2)}

    @cached_property
    def _classes(self) -> dict[str, int]:
        return {answer_key(answer): i for i, answer in enumerate(self.answers)}

    def encode(self, texts: Sequence[str], length: int) -> np.ndarray:
        """Numbers of the words of questions.

        Args:
            texts: B questions.
            length: L numbers for each: what a question has fewer is filled with 0 behind it, what it has more is cut.

        Returns:
            (B, L) int64. A question without any word is one unknown word, so that none is all pads.
        """
        out = np.zeros((len(texts), length), np.int64)
        for row, text in zip(out, texts, strict=True):
            known = [self._numbers.get(word, UNKNOWN) for word in tokens_of(text)[:length]] or [UNKNOWN]
            row[: len(known)] = known
        return out

    def unknown(self, text: str) -> list[str]:
        """Words of a question that no training question had, each once, in their order."""
        return [word for word in dict.fromkeys(tokens_of(text)) if word not in self._numbers]

    def answer_index(self, answer: str) -> int:
        """Class of an answer, whatever its case; -1 for one that was not seen in training, and for a withheld one."""
        return self._classes.get(answer_key(answer), -1)

    def is_closed(self, text: str) -> bool:
        """Whether a question was closed in training; one that was not asked there is not."""
        return question_key(text) in self.closed

    def as_dict(self) -> dict[str, list[str]]:
        """Plain JSON for weights and metadata."""
        return {
            "words": list(self.words), "answers": list(self.answers), "closed": sorted(self.closed),
            "asked": list(self.asked),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Any, where: str = "the file") -> Vocabulary:
        """The vocabulary that :meth:`as_dict` has made plain.

        Args:
            content: As it stands in a file from outside.
            where: The file, for messages.

        Raises:
            ConfigError: It is none.
        """
        if not isinstance(content, Mapping):
            raise ConfigError(f"{where} holds no vocabulary of questions; train with task=vqa, or take other weights.")
        parts: dict[str, tuple[str, ...]] = {}
        for key, most in _LIMITS.items():
            given = content.get(key, [])
            if not isinstance(given, list) or len(given) > most or not all(isinstance(v, str) for v in given):
                raise ConfigError(f"{where}: {key} of its vocabulary must be a list of texts; take other weights.")
            if len(set(given)) < len(given):
                raise ConfigError(f"{where}: {key} of its vocabulary holds a text twice; take other weights.")
            parts[key] = tuple(given)
        if not parts["words"] or not parts["answers"]:
            raise ConfigError(f"{where}: its vocabulary has no words or no answers; take other weights.")
        return cls(parts["words"], parts["answers"], frozenset(parts["closed"]), parts["asked"])


def _order(answer: str) -> tuple[int, float, str]:
    whole = answer.isascii() and answer.isdigit() and len(answer) < 16
    return (0, int(answer), answer) if whole else (1, 0.0, answer)
