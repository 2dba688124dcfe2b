"""Our own format: a JSON object a line with ``image``, ``question``, ``answer`` and, where it is known, ``type``.

A JSON list of such objects is taken as well. Answers that are withheld are left out; further keys are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rsdet.data.questions.records import Question
from rsdet.data.questions.rows import Rows
from rsdet.data.questions.words import short
from rsdet.errors import DataError
from rsdet.textfiles import parse_json
from rsdet.writing import write_text

_NEEDED = ("image", "question")


def read(rows: Rows, text: str) -> None:
    """Take the rows of a file.

    Raises:
        DataError: A line that is no JSON, with its number; or one that is no object.
    """
    for where, item in _items(rows.path, text):
        if not isinstance(item, dict):
            raise DataError(f"{rows.path}: {where} is no JSON object but {short(repr(item))}; mend it.")
        if missing := [key for key in _NEEDED if key not in item]:
            have = ", ".join(map(repr, list(item)[:6])) or "no key"
            raise DataError(
                f"{rows.path}: {where} has no {missing[0]}, it has {have}; "
                'expected {"image": "a.png", "question": "How many ships are there?", "answer": "3"}.'
            )
        rows.add(where, item["image"], item["question"], item.get("answer"), item.get("type"))


def write_questions(path: str | Path, questions: Sequence[Question]) -> Path:
    """Write questions, whole or not at all; :func:`read` gives them back."""
    lines = []
    for q in questions:
        row = {"image": q.image, "question": q.text}
        row |= {"answer": q.answer} if q.answer else {}
        row |= {"type": q.kind} if q.kind else {}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return write_text(path, "".join(lines))


def _items(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    if text.lstrip().startswith("["):
        yield from ((f"item {i}", item) for i, item in enumerate(parse_json(text, path), 1))
        return
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: a text may hold other separators
        if line.strip():
            try:
                item = parse_json(line, path)
            except DataError:
                item = parse_json("\n" * (number - 1) + line, path)  # says the line of the file
            yield f"line {number}", item
