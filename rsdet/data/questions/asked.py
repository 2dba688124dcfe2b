"""Questions that a user asks of pictures: one, or a file of them; nothing is known of their answers."""

from __future__ import annotations

from pathlib import Path

from rsdet.data.questions.reading import read_questions
from rsdet.data.questions.words import check_question, question_key
from rsdet.errors import DataError
from rsdet.textfiles import text_of


def asked_questions(path: str | Path) -> list[str]:
    """The questions of a file, each once, in their order.

    Args:
        path: A text with one question a line, of which those that begin with ``#`` are comments; or a file in one of
            the formats of :mod:`rsdet.data.questions.reading`, of which the texts alone are taken.

    Raises:
        DataError: No such file, no question in it, or one that is none, with its line.
    """
    path = Path(path)
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson", ".csv", ".tsv"):
        found = [q.text for q in read_questions(path)]
    else:
        lines = enumerate(text_of(path, DataError, "a text with one question a line").splitlines(), 1)
        asked = [(number, line) for number, line in lines if line.strip() and not line.lstrip().startswith("#")]
        found = [check_question(line, f"line {number} of {path}") for number, line in asked]
    if not found:
        raise DataError(f"{path} holds no question; write one a line.")
    kept: dict[str, str] = {}
    for text in found:
        kept.setdefault(question_key(text), text)
    return list(kept.values())
