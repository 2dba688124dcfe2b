"""EarthVQA's JSON: ``{image: [{"Type": …, "Question": …, "Answer": …}, …]}``; answers of the test set are withheld.

Counts may stand there as whole numbers. Source: https://github.com/Junjue-Wang/EarthVQA
"""

from __future__ import annotations

from typing import Any

from rsdet.data.questions.rows import Rows
from rsdet.data.questions.words import short
from rsdet.errors import DataError
from rsdet.textfiles import parse_json


def read(rows: Rows, text: str) -> None:
    """Take the rows of a file.

    Raises:
        DataError: It is no JSON, or of another shape.
    """
    content = parse_json(text, rows.path)
    if not isinstance(content, dict):
        raise DataError(f"{rows.path} must hold {{image: [questions]}}, received a {type(content).__name__}.")
    for image, items in content.items():
        if not isinstance(items, list):
            raise DataError(f"{rows.path}: {short(image)} must have a list of questions, it has {short(repr(items))}.")
        for i, item in enumerate(items, 1):
            _take(rows, f"question {i} of {short(image)}", image, item)


def _take(rows: Rows, where: str, image: str, item: Any) -> None:
    if not isinstance(item, dict) or "Question" not in item:
        have = ", ".join(map(repr, list(item)[:6])) if isinstance(item, dict) else short(repr(item))
        raise DataError(f"{rows.path}: {where} has no Question, it has {have or 'nothing'}; mend the file.")
    rows.add(where, image, item["Question"], item.get("Answer"), item.get("Type"))
