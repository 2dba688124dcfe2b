"""Accuracy of answers beside that of the baselines: the table that is printed, and the files of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rsdet.metrics.answers import AnswerScores, GroupScores
from rsdet.metrics.calibration import BINS, Calibration
from rsdet.names import printable
from rsdet.writing import json_text, write_csv, write_if_changed

COLUMNS = ("model", *GroupScores.__dataclass_fields__)
_LONGEST = 40  # characters of a type of questions in the table


def answer_table(scores: Mapping[str, AnswerScores]) -> str:
    """The accuracies in plain text and percent: a row for all questions and each type, a column for each model.

    Args:
        scores: Name to scores on the same questions, the model first, then its baselines.
    """
    groups = {name: s.groups() for name, s in scores.items()}
    rows = [("accuracy, %", "questions", *groups)]
    for same in zip(*groups.values(), strict=True):
        rows.append((same[0].of or "all", str(same[0].questions), *(_percent(g.accuracy) for g in same)))
    if any(g[0].numbers for g in groups.values()):
        alone = [g[0] for g in groups.values()]
        rows.append(("RMSE of numbers", str(alone[0].numbers), *(_number(g.rmse) for g in alone)))
        rows.append(("answers that are no numbers", "", *(str(g.no_numbers) for g in alone)))
    shown = [(printable(first)[:_LONGEST], *cells) for first, *cells in rows]
    widths = [max(len(row[i]) for row in shown) for i in range(len(shown[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in shown
    )


def answer_notes(scores: AnswerScores) -> list[str]:
    """What the accuracy does not say by itself: lines for the terminal, those that have something to tell."""
    whole = scores.overall
    unrouted = math.isnan(scores.router_accuracy)
    other = scores.other_text
    notes = (
        (not whole.questions, "no question has an answer to compare with: nothing could be measured"),
        (whole.withheld, f"{whole.withheld} questions without a true answer count nowhere"),
        (whole.unseen, f"{whole.unseen} questions have answers that were never trained; they count as wrong"),
        (other, f"{other} answers are the true number in other letters (as three for 3); they count as wrong"),
        (not unrouted, f"router: {_percent(scores.router_accuracy)} % of the questions taken for what they are"),
    )
    return [line for told, line in notes if told]


def calibration_note(calibration: Calibration) -> str:
    """One line about what the probabilities are worth and what abstaining gains."""
    s = calibration.summary()
    return (
        f"expected calibration error {_percent(s['ece'])} % ({BINS} bins of equal width); error at 100 % coverage "
        f"{_percent(s['error_at_100'])} %, at 90 % {_percent(s['error_at_90'])} % (probability of at least "
        f"{_number(s['threshold_at_90'])})"
    )


def reliability_table(calibration: Calibration) -> str:
    """The bins that hold answers, in plain text."""
    lines = [f"{'probability':>13}{'answers':>10}{'mean':>8}{'right':>8}"]
    for b in calibration.reliability():
        if b.questions:
            span = f"{b.low:.3f}-{b.high:.3f}"
            lines.append(f"{span:>13}{b.questions:>10}{_percent(b.confidence):>8}{_percent(b.accuracy):>8}")
    return "\n".join(lines)


def write_answer_metrics(
    folder: Path,
    data: str,
    scores: Mapping[str, AnswerScores],
    calibration: Mapping[str, Calibration] | None = None,
    temperature: float | None = None,
    most: int = 20,
) -> Path:
    """Write ``metrics.json`` and, a row per model and group of questions, ``metrics.csv``.

    Args:
        folder: Of the run.
        data: Name of the data set and its split.
        scores: Name to scores on the same questions, the model first, then its baselines.
        calibration: Name to calibration, as ``{"as trained": ..., "with temperature": ...}``.
        temperature: The fitted one; None where none was.
        most: Answers in the confusion of the model.

    Returns:
        The JSON file.
    """
    rows = [{"model": name, **asdict(group)} for name, s in scores.items() for group in s.groups()]
    first = next(iter(scores.values()))
    names, matrix = first.confusion(most)
    content: dict[str, Any] = {
        "data": data,
        "questions": first.overall.questions,
        "withheld": first.overall.withheld,
        "unseen": first.overall.unseen,
        "accuracy": first.accuracy,
        "router_accuracy": first.router_accuracy,
        "rmse": first.overall.rmse,
        "groups": rows,
        "calibration": {
            name: {**c.summary(), "reliability": [asdict(b) for b in c.reliability()]}
            for name, c in (calibration or {}).items()
        },
        "temperature": temperature,
        "confusion": {"answers": names, "matrix": matrix.tolist()},
    }
    path = folder / "metrics.json"
    write_if_changed(path, json_text(content))
    write_csv(folder / "metrics.csv", COLUMNS, [_measured(row) for row in rows])
    return path


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table without what could not be measured."""
    return {k: v for k, v in row.items() if not (isinstance(v, float) and math.isnan(v))}


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
