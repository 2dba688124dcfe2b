"""Files of questions in all formats, and the pictures that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from rsdet.data.annotations import Dropped
from rsdet.data.images import SUFFIXES
from rsdet.data.questions import earthvqa, jsonl, rsivqa, rsvqa, table
from rsdet.data.questions.records import Question, Questions
from rsdet.data.questions.rows import Rows
from rsdet.errors import ConfigError, DataError, nearest
from rsdet.textfiles import text_of

FORMATS: dict[str, Callable[[Rows, str], None]] = {
    "jsonl": jsonl.read,
    "csv": table.read,
    "earthvqa": earthvqa.read,
    "rsvqa": rsvqa.read,
    "rsvqa-lr": partial(rsvqa.read, counts="ranges"),
    "rsvqa-hr": partial(rsvqa.read, counts="exact"),
    "rsivqa": rsivqa.read,
}
_NAMED = 5  # pictures that a message names
_RSVQA = re.compile(r'\{\s*"(questions|answers|images)"\s*:\s*\[')


def read_questions(path: str | Path, format: str | None = None) -> Questions:
    """Read a file of questions; what is left out is told.

    Args:
        path: The file; of RSVQA, that of the questions.
        format: One of :data:`FORMATS`; None finds it by the content.

    Raises:
        ConfigError: Unknown format.
        DataError: No such file, not of that format, or rows that cannot be used, all told at once.
    """
    return read_with_drops(path, format)[0]


def read_with_drops(path: str | Path, format: str | None = None) -> tuple[Questions, list[Dropped]]:
    """As :func:`read_questions`, with the rows that were left out by a rule of the format."""
    path = Path(path)
    check_format(format)
    text = text_of(path, DataError, "a file of questions").replace("\r\n", "\n")
    rows = Rows(path)
    FORMATS[format or format_of(path, text)](rows, text)
    return rows.finish(), rows.dropped


def check_format(format: Any, where: str = "") -> None:
    """Refuse the name of a format that there is none of; None is taken.

    Raises:
        ConfigError: There is none; ``where`` begins the message.
    """
    if format is not None and format not in FORMATS:
        known = ", ".join(FORMATS)
        raise ConfigError(
            f"{where}format={format!r} is unknown; expected one of {known}.{nearest(str(format), FORMATS)}"
        )


def format_of(path: Path, text: str) -> str:
    """Format of a file of questions, by what it holds.

    Raises:
        DataError: It is none of those that are known.
    """
    begin = text.lstrip()
    first = begin.partition("\n")[0]
    if begin.startswith("["):
        return "jsonl"
    if begin.startswith("{"):
        if _RSVQA.match(begin):
            return "rsvqa"
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            return "jsonl"
        try:
            alone = json.loads(first)  # an object that ends with its line
        except (ValueError, RecursionError):
            return "earthvqa"
        lists = any(isinstance(v, list) for v in alone.values())
        return "earthvqa" if lists and "question" not in alone else "jsonl"
    if path.suffix.lower() in (".csv", ".tsv") or re.search(r"\bquestion\b", first, re.IGNORECASE):
        return "csv"
    if rsivqa.LINE.fullmatch(first):
        return "rsivqa"
    if not begin:
        raise DataError(f"{path} is empty; expected a file of questions.")
    raise DataError(
        f"{path} has no column of questions and none of the known forms; expected JSON lines with image, question and "
        f"answer, a table with such columns, or format= one of {', '.join(FORMATS)}."
    )


def resolve_images(questions: Iterable[Question], folder: str | Path) -> dict[str, Path]:
    """The picture of each question.

    A name may differ from that of the file in case and, where no other picture has that stem, in the suffix: owners
    leave it out, and sets are stored in other formats than they were published in.

    Args:
        questions: Their :attr:`~rsdet.data.questions.records.Question.image` is looked for.
        folder: Folder of the images.

    Returns:
        Image name to absolute path.

    Raises:
        DataError: Pictures that are not there, all counted and the first named.
    """
    folder = Path(folder).expanduser().absolute()
    if not folder.is_dir():
        raise DataError(f"the folder of images {folder} does not exist; put the images there, or mend images:.")
    names = dict.fromkeys(q.image for q in questions)
    listed: dict[Path, _Folder] = {}
    found, missing = {}, []
    for name in names:
        place = folder / name
        if place.parent not in listed:
            listed[place.parent] = _Folder(place.parent)
        path = listed[place.parent].find(place.name)
        if path is None:
            missing.append(name)
        else:
            found[name] = path
    if missing:
        more = f" (and {len(missing) - _NAMED} more)" if len(missing) > _NAMED else ""
        raise DataError(
            f"{len(missing)} of {len(names)} images that the questions name are not in {folder}: "
            f"{', '.join(missing[:_NAMED])}{more}; put them there, mend images:, or take their questions out."
        )
    return found


class _Folder:
    """Names of the pictures of a folder, looked at once."""

    def __init__(self, folder: Path):
        files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES] if folder.is_dir() else []
        self.exact = {p.name: p for p in files}
        self.alike: dict[str, list[Path]] = {}
        for p in files:
            for key in {p.name.casefold(), p.stem.casefold()}:
                self.alike.setdefault(key, []).append(p)

    def find(self, name: str) -> Path | None:
        """The picture of a name, where there is no doubt which it is."""
        if name in self.exact:
            return self.exact[name]
        stem = name[: name.rindex(".")] if name.lower().endswith(SUFFIXES) else name
        same = self.alike.get(name.casefold()) or self.alike.get(stem.casefold()) or []
        return same[0] if len(same) == 1 else None
