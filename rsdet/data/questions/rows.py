"""Rows of a file of questions on their way to records: good ones are kept, bad ones told all at once."""

from __future__ import annotations

import logging
import math
from collections import Counter
from pathlib import Path
from typing import Any

from rsdet.data.annotations import Dropped, kind_of
from rsdet.data.questions.records import Question, Questions
from rsdet.data.questions.words import on_one_line, question_key, question_problem, short
from rsdet.errors import DataError
from rsdet.names import lies_below

_NAMED = 5  # rows that a message names
_MOST_ANSWER = 2000  # characters


class Rows:
    """Takes the rows of one file.

    Args:
        path: The file, for messages.

    Attributes:
        questions: Rows that can be used, in their order.
        dropped: Rows that were left out by a rule of the format, and why.
        problems: Rows that are wrong, in words.
    """

    def __init__(self, path: Path):
        self.path = path
        self.questions: Questions = []
        self.dropped: list[Dropped] = []
        self.problems: list[str] = []
        self._seen: dict[tuple[str, str], set[str]] = {}

    def add(self, where: str, image: Any, text: Any, answer: Any = None, kind: Any = None) -> None:
        """Take one row.

        Args:
            where: Line number or place in the file, for messages.
            image: File name of the picture.
            text: The question.
            answer: Text, number, or yes/no as a truth value; None and an empty text are withheld.
            kind: Type of the question.
        """
        said = answer_text(answer)
        if isinstance(image, int) and not isinstance(image, bool):
            image = str(image)
        if not isinstance(image, str) or not image.strip():
            self.problems.append(f"{where} names no image")
        elif not lies_below(image.strip()):
            self.problems.append(f"{where}: the image {short(image)} is not below the folder of images")
        elif not isinstance(text, str):
            self.problems.append(f"{where} has no question")
        elif problem := question_problem(text):
            self.problems.append(f"the question of {where} {problem}")
        elif said is None:
            self.problems.append(f"{where}: its answer must be a text or a number, not {short(repr(answer))}")
        else:
            self._keep(
                where, Question(image.strip(), on_one_line(text), said, "" if kind is None else str(kind).strip())
            )

    def drop(self, where: str, reason: str) -> None:
        """Leave a row out; ``reason`` begins with a fixed phrase and a colon."""
        self.dropped.append(Dropped(self.path.name, where, reason))

    def finish(self) -> Questions:
        """The questions, once it is known that no row is wrong; what was left out is told.

        Raises:
            DataError: Rows that are wrong, the first of them by name; or no row at all.
        """
        if self.problems:
            more = f" (and {len(self.problems) - _NAMED} more)" if len(self.problems) > _NAMED else ""
            raise DataError(
                f"{self.path}: {len(self.problems)} rows cannot be used: {'; '.join(self.problems[:_NAMED])}{more}; "
                "mend them or take them out."
            )
        log = logging.getLogger("rsdet")
        for reason, n in Counter(kind_of(d.reason) for d in self.dropped).items():
            log.warning("%s: %d questions left out: %s.", self.path, n, reason)
        if two := [(image, key) for (image, key), answers in self._seen.items() if len(answers - {""}) > 1]:
            log.warning(
                "%s: %d questions have several answers for one picture, such as %s of %s; all are kept.",
                self.path, len(two), short(two[0][1]), two[0][0],
            )  # fmt: skip
        if not self.questions:
            raise DataError(f"{self.path} holds no question; check the file and format=.")
        return self.questions

    def _keep(self, where: str, question: Question) -> None:
        answers = self._seen.setdefault((question.image, question_key(question.text)), set())
        key = question.answer.casefold()
        if key in answers:
            self.drop(where, f"the same question and answer of the same picture: {question.image}")
            return
        answers.add(key)
        self.questions.append(question)


def answer_text(answer: Any) -> str | None:
    """An answer as text on one line: whole numbers without decimals, truth values as yes and no; None for none."""
    if answer is None:
        return ""
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    if isinstance(answer, int | float):
        if not math.isfinite(answer):
            return None
        return str(int(answer)) if answer == int(answer) and abs(answer) < 1e15 else repr(answer)
    if not isinstance(answer, str) or len(answer) > _MOST_ANSWER:
        return None
    return on_one_line(answer)
