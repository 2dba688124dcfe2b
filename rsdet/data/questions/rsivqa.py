"""RSIVQA's text: ``image:question?answer`` a line, the image with or without its suffix.

The files do not say the type of a question; it is told by how the question begins (``how many`` is a count). Numbers
stand there as digits (DOTA, HRRSD) and as words (UCM): counts become digits. Questions of UCM that have lost their
object (``How many  in the picture?``) cannot be answered and are left out.
Source: Zheng et al., IEEE TGRS 60, 2022; https://github.com/spectralpublic/RSIVQA
"""

from __future__ import annotations

import re

from rsdet.data.questions.numbers import number_of
from rsdet.data.questions.rows import Rows, answer_text
from rsdet.data.questions.words import short
from rsdet.errors import DataError

LINE = re.compile(r"\s*([^:?{}\[\]]+?)\s*:([^?]*\?)(.*)")
_NAMED = 3
_KINDS = {
    "how many": "count",
    "does this picture": "presence",
    "what is the theme": "theme",
    "what is the location": "where",
}


def read(rows: Rows, text: str) -> None:
    """Take the rows of a file.

    Raises:
        DataError: Lines of another form, with the numbers of the first.
    """
    wrong = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        found = LINE.fullmatch(line.rstrip("\r"))
        if found is None:
            wrong.append(f"line {number} ({short(line)})")
            continue
        image, question, answer = found.groups()
        if "  " in question.strip():
            rows.drop(f"line {number}", f"the question has lost its object: {short(question)}")
            continue
        kind = next((k for begin, k in _KINDS.items() if question.strip().lower().startswith(begin)), "")
        rows.add(f"line {number}", image, question, _counted(answer) if kind == "count" else answer, kind)
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise DataError(f"{rows.path}: {', '.join(wrong[:_NAMED])}{more}: expected image:question?answer; mend them.")


def _counted(answer: str) -> str:
    """A count in digits, where it is a number in digits or words; ``about eighty`` stays as it is."""
    number = number_of(answer)
    return answer if number is None else answer_text(number) or answer
