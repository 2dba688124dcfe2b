"""RSVQA's JSON files: ``…questions.json``, ``…answers.json`` and ``…images.json`` of one split, beside one another.

Each lists all of the set, and ``active`` marks what belongs to the split; of other entries only the number may be
there. Where a split names questions without their texts, these are taken from the file of the whole set beside it
(``all_questions.json``, ``USGSquestions.json``). Pictures are called by their number, ``<img_id>.tif``.

As its authors do for their classes, areas are put into ranges, and in the low resolution counts are, too: ``0``,
``between 0 and 10`` (1 to 10), ``between 10 and 100`` (11 to 100), ``between 100 and 1000``, ``more than 1000``.
Source: Lobry et al., IEEE TGRS 58(12), 2020; https://rsvqa.sylvainlobry.com
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsdet.data.questions.rows import Rows
from rsdet.errors import DataError
from rsdet.textfiles import parse_json, read_json

_AREA = re.compile(r"(\d+(?:\.\d+)?)\s*m2", re.IGNORECASE)
_WHOLE_SETS = {
    "questions": ("all_questions.json", "USGSquestions.json"),
    "answers": ("all_answers.json", "USGSanswers.json"),
}
_RANGES = (10, 100, 1000)


def read(rows: Rows, text: str, counts: str = "auto") -> None:
    """Take the active questions of a split.

    Args:
        rows: Of the file of questions; those of answers and images lie beside it.
        text: What it holds.
        counts: ``ranges`` (low resolution), ``exact`` (high resolution), or ``auto``: ranges where the split asks for
            rural or urban, which the low resolution alone does.

    Raises:
        DataError: It is no JSON, of another shape, or its answers are not there.
    """
    path = rows.path
    questions = _entries(parse_json(text, path), "questions", path)
    active = {i: q for i, q in questions.items() if q.get("active")}
    texts = _complete(active, "questions", "question", path)
    answers = _answers(path)
    images = _images(path)
    ranges = counts == "ranges" or (counts == "auto" and any(q.get("type") == "rural_urban" for q in texts.values()))
    for i, q in texts.items():
        where, image = f"question {i}", q.get("img_id")
        if images is not None and not (_is_id(image) and images.get(image, {}).get("active")):
            rows.drop(where, f"its picture is not active in this split: {image}")
        elif (answer := _answer_of(q, i, answers)) is None:
            rows.drop(where, "it has no active answer: in the file of answers")
        else:
            said = in_ranges(str(answer), ranges) if isinstance(answer, str | int) else answer
            rows.add(where, f"{image}.tif" if isinstance(image, int) else None, q.get("question"), said, q.get("type"))


def in_ranges(answer: str, counts: bool) -> str:
    """An answer in the classes of the authors.

    Args:
        answer: ``37``, ``120m2`` or words.
        counts: Whether counts have ranges as well as areas.
    """
    area = _AREA.fullmatch(answer.strip())
    if area is None and not (counts and answer.strip().isdecimal()):
        return answer
    value, unit = (float(area[1]), "m2") if area else (float(answer), "")
    if value == 0:
        return f"0{unit}"
    for low, high in zip((0, *_RANGES), _RANGES, strict=False):
        if value <= high:
            return f"between {low}{unit} and {high}{unit}"
    return f"more than {_RANGES[-1]}{unit}"


def _entries(content: Any, key: str, path: Path) -> dict[Any, dict[str, Any]]:
    items = content.get(key) if isinstance(content, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) and _is_id(item.get("id")) for item in items):
        raise DataError(f'{path} must hold {{"{key}": [{{"id": 0, …}}, …]}} as RSVQA has it; check format=.')
    return {item["id"]: item for item in items}


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _beside(path: Path, kind: str) -> Path:
    """File of answers or images of the same split."""
    head, found, tail = path.name.rpartition("questions")
    return path.with_name(f"{head}{kind}{tail}" if found else f"{kind}.json")


def _complete(active: Mapping[Any, dict], kind: str, key: str, path: Path) -> dict[Any, dict]:
    """Active entries with what they ask or say, from the file of the whole set where the split has numbers alone."""
    if all(key in item for item in active.values()):
        return dict(active)
    whole = next((p for name in _WHOLE_SETS[kind] if (p := path.with_name(name)).is_file()), None)
    if whole is None:
        raise DataError(f"{path} names {kind} by number alone; put {' or '.join(_WHOLE_SETS[kind])} beside it.")
    known = _entries(read_json(whole), kind, whole)
    return {i: {**known.get(i, {}), **item} for i, item in active.items()}


def _answers(path: Path) -> dict[Any, Any]:
    """Active answers by their number, and as ``("question", number)`` by that of their question."""
    file = _beside(path, "answers")
    if not file.is_file():
        raise DataError(f"{path}: its answers are not beside it, expected {file.name}; put the file there.")
    active = {i: a for i, a in _entries(read_json(file), "answers", file).items() if a.get("active")}
    found = _complete(active, "answers", "answer", file)
    return found | {("question", a["question_id"]): a for a in found.values() if _is_id(a.get("question_id"))}


def _images(path: Path) -> dict[Any, dict] | None:
    file = _beside(path, "images")
    return _entries(read_json(file), "images", file) if file.is_file() else None


def _answer_of(question: Mapping[str, Any], number: Any, answers: Mapping[Any, Any]) -> Any:
    ids = question.get("answers_ids")
    for i in ids if isinstance(ids, list) else ():
        if _is_id(i) and i in answers:
            return answers[i].get("answer")
    return answers.get(("question", number), {}).get("answer")
