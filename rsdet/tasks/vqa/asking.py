"""What is asked: one question, a file of questions, or whatever somebody types."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsdet.data.questions.asked import asked_questions
from rsdet.data.questions.reading import read_questions
from rsdet.data.questions.records import Question
from rsdet.data.questions.words import check_question
from rsdet.errors import ConfigError, DataError

_PROMPT = "question (empty to end)> "


@dataclass(frozen=True)
class Asked:
    """Questions about pictures.

    Attributes:
        of_all: Asked of every picture.
        of_one: Asked of one picture, by its name or the name without suffix.
    """

    of_all: tuple[Question, ...] = ()
    of_one: dict[str, tuple[Question, ...]] | None = None

    @property
    def texts(self) -> list[str]:
        """Every question, once."""
        groups = (self.of_all, *(self.of_one or {}).values())
        return list(dict.fromkeys(q.text for group in groups for q in group))

    def missing(self, paths: Iterable[Path]) -> list[str]:
        """Pictures that are asked about and are not among these."""
        here = {name for p in paths for name in (p.name, p.stem)}
        return [name for name in self.of_one or () if name not in here]

    def about(self, path: Path) -> list[Question]:
        """Questions about a picture; none where the file asks nothing of it."""
        if self.of_one is None:
            return list(self.of_all)
        return list(self.of_one.get(path.name, self.of_one.get(path.stem, ())))

    @classmethod
    def of(cls, question: str | Sequence[str] | None, questions: str | Path | None) -> Asked | None:
        """What the user asks; None where nothing is said and there is a terminal to ask at.

        Args:
            question: One question, or several.
            questions: A text file with a question a line, or a file of a format of
                :func:`rsdet.data.questions.reading.read_questions`, whose questions belong to its pictures.

        Raises:
            ConfigError: Both, or neither without a terminal.
            DataError: Text that is no question, a file without any.
        """
        if question is not None and questions is not None:
            raise ConfigError("question= and questions= are both given; keep one of them.")
        if question is not None:
            several = [question] if isinstance(question, str) else list(question)
            if not several:
                raise ConfigError("question= is an empty list; write a question, such as 'Are there ships?'.")
            return cls(tuple(Question("", check_question(str(text))) for text in several))
        if questions is not None:
            return _of_file(Path(questions))
        if sys.stdin is None or not sys.stdin.isatty():
            raise ConfigError(
                "predict needs question='How many ships are there?', or questions=list.txt with a question a line; "
                "without them it asks at a terminal, and there is none."
            )
        return None


def _of_file(path: Path) -> Asked:
    if not path.is_file():
        raise DataError(f"questions={str(path)!r} does not exist; pass a text file with a question a line.")
    if path.suffix.lower() == ".txt":
        return Asked(tuple(Question("", text) for text in asked_questions(path)))
    found: dict[str, tuple[Question, ...]] = {}
    for q in read_questions(path):
        found[q.image] = (*found.get(q.image, ()), q)
    names = {Path(name).name: name for name in found}
    return Asked(of_one={short: found[name] for short, name in names.items()})


def typed(read: Callable[[str], str] = input) -> Iterator[Question]:
    """Questions that somebody types, until an empty line or the end of the input; what is none is asked for again."""
    while True:
        try:
            text = read(_PROMPT)
        except EOFError:
            return
        if not text.strip():
            return
        try:
            yield Question("", check_question(text))
        except DataError as e:
            print(e)
