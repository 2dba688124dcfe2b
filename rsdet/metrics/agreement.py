"""Answers beside the boxes of a detector on the same picture: which agree, which differ, which cannot be compared.

Neither of the two is the truth. A difference says where to look.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.questions.numbers import range_of
from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import answer_key
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.asked_objects import AskedObjects
from rsdet.names import printable
from rsdet.writing import json_text, write_csv, write_if_changed

AGREE, DIFFER, NOT_COMPARABLE = VERDICTS = ("agree", "differ", "not comparable")
_REASONS = 5  # that a table names


@dataclass(frozen=True)
class Comparison:
    """One answer beside the boxes.

    Attributes:
        image: Name of the picture.
        question: The question.
        answer: The answer given.
        asked: ``count`` or ``presence``; empty where it is neither, or no class of the detector.
        classes: Names of the classes whose boxes count.
        boxes: How many boxes of these there are; None where that is not known.
        verdict: One of :data:`VERDICTS`.
        why: Why it cannot be compared, or by which synonym it was; else empty.
    """

    image: str
    question: str
    answer: str
    asked: str
    classes: tuple[str, ...]
    boxes: int | None
    verdict: str
    why: str = ""


COLUMNS = tuple(Comparison.__dataclass_fields__)


def compare_answers(
    questions: Sequence[Question],
    answers: Sequence[str],
    boxes: Mapping[str, Sequence[int] | np.ndarray],
    names: Mapping[int, str],
    synonyms: Mapping[str, Sequence[str]] | None = None,
    tolerance: int = 0,
) -> list[Comparison]:
    """Compare answers with boxes, one by one.

    Args:
        questions: N questions; their true answers are not looked at.
        answers: N given answers.
        boxes: Picture to the (M,) class numbers of its boxes, those above the detector's threshold; M = 0 where it
            looked and found none. A picture that is missing was not looked at.
        names: Class number to name, those of the detector.
        synonyms: As :class:`~rsdet.metrics.asked_objects.AskedObjects` takes them.
        tolerance: Counts that differ by no more agree; so does a count within a range, as ``more than 20``.

    Raises:
        ConfigError: A tolerance below 0, or a synonym for a class that is not there.
        DataError: Not one answer for each question.
    """
    if not tolerance >= 0:
        raise ConfigError(f"tolerance={tolerance} is below 0; give the largest difference of counts that agree")
    if len(questions) != len(answers):
        raise DataError(f"{len(answers)} answers for {len(questions)} questions; give one for each question")
    asked = AskedObjects(names, synonyms)
    parsed = {text: asked.parse(text) for text in dict.fromkeys(q.text for q in questions)}
    rows = []
    for question, answer in zip(questions, answers, strict=True):
        what, here = parsed[question.text], boxes.get(question.image)
        row = {"image": question.image, "question": question.text, "answer": answer}
        if isinstance(what, str):
            rows.append(Comparison(**row, asked="", classes=(), boxes=None, verdict=NOT_COMPARABLE, why=what))
            continue
        row |= {"asked": what.what, "classes": tuple(asked.names[i] for i in what.classes)}
        if here is None:
            why = "the detector did not look at this picture"
            rows.append(Comparison(**row, boxes=None, verdict=NOT_COMPARABLE, why=why))
            continue
        found = int(np.isin(np.asarray(here, np.int64), what.classes).sum())
        agrees = _agrees(what.what, answer, found, tolerance)
        if agrees is None:
            verdict, why = NOT_COMPARABLE, f"the answer is {'no number' if what.what == 'count' else 'not yes or no'}"
        else:
            verdict, why = AGREE if agrees else DIFFER, f"{what.thing} by synonym" if what.by == "synonym" else ""
        rows.append(Comparison(**row, boxes=found, verdict=verdict, why=why))
    return rows


def _agrees(what: str, answer: str, found: int, tolerance: int) -> bool | None:
    """Whether an answer and a number of boxes say the same; None where the answer says neither."""
    if what == "count":
        counts = range_of(answer)
        return None if counts is None else counts[0] - tolerance <= found <= counts[1] + tolerance
    return {"yes": found > 0, "no": found == 0}.get(answer_key(answer))


def agreement_rows(rows: Sequence[Comparison]) -> list[dict[str, Any]]:
    """How often answers and boxes agree: all together, then by what is asked and of which classes.

    Returns:
        Rows with ``asked``, ``classes``, a number for each of :data:`VERDICTS`, and ``rate``, the part of what can be
        compared that agrees; NaN where nothing can.
    """
    groups: dict[tuple[str, str], Counter[str]] = {("all", ""): Counter()}
    for row in rows:
        groups["all", ""][row.verdict] += 1
        if row.asked:
            groups.setdefault((row.asked, ", ".join(row.classes)), Counter())[row.verdict] += 1
    found = []
    for (asked, classes), n in sorted(groups.items(), key=lambda item: (item[0][0] != "all", item[0])):
        compared = n[AGREE] + n[DIFFER]
        rate = n[AGREE] / compared if compared else math.nan
        found.append({"asked": asked, "classes": classes, **{v: n[v] for v in VERDICTS}, "rate": rate})
    return found


def agreement_table(rows: Sequence[Comparison]) -> str:
    """The numbers of what was compared in plain text, and the most frequent reasons why answers cannot be."""
    groups = agreement_rows(rows)
    labels = [printable(f"{g['asked']} {g['classes']}".strip()) for g in groups]
    width = max(12, *map(len, labels))
    lines = [f"{'answers':{width}}{'agree':>8}{'differ':>8}{'not comparable':>16}{'agree, %':>10}"]
    for label, g in zip(labels, groups, strict=True):
        rate = "-" if math.isnan(g["rate"]) else f"{100 * g['rate']:.1f}"
        lines.append(f"{label:{width}}{g[AGREE]:>8}{g[DIFFER]:>8}{g[NOT_COMPARABLE]:>16}{rate:>10}")
    why = Counter(row.why for row in rows if row.verdict == NOT_COMPARABLE)
    lines += [f"not comparable: {n} times {printable(reason)}" for reason, n in why.most_common(_REASONS)]
    left = len(why) - _REASONS
    return "\n".join(lines + [f"not comparable: {left} more reasons stand in agreement.csv"] * (left > 0))


def write_agreement(folder: Path, rows: Sequence[Comparison]) -> Path:
    """Write ``agreement.csv``, a row per answer, and ``agreement.json`` with the numbers as well.

    Args:
        folder: Of the run.
        rows: What was compared.

    Returns:
        The JSON file.
    """
    path = folder / "agreement.json"
    write_if_changed(path, json_text({"summary": agreement_rows(rows), "answers": [asdict(r) for r in rows]}))
    write_csv(folder / "agreement.csv", COLUMNS, [{**asdict(r), "classes": ", ".join(r.classes)} for r in rows])
    return path
