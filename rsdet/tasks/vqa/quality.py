"""The outcome of a validation: each accuracy beside that of what sees less, and what the probabilities are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.metrics.answer_margins import margin_notes
from rsdet.metrics.answer_plots import write_answer_pictures
from rsdet.metrics.answer_report import (
    answer_notes,
    answer_table,
    calibration_note,
    reliability_table,
    write_answer_metrics,
)
from rsdet.metrics.answers import AnswerScores
from rsdet.metrics.calibration import Calibration, fit_temperature, scaled_by_others, softmax
from rsdet.tasks.measures import Measures

MODEL = "model"


@dataclass
class VqaMetrics(Measures):
    """What the answers to the questions of a split are worth; the best checkpoint is chosen by the accuracy.

    Attributes:
        scores: By name, the model's first and the baselines' after it; empty before the first run.
        calibration: By name, the model's as it was trained, and with a temperature.
        temperature: That suits the questions best; None where none was fitted.
        data: Name of the data set and its split.
        images: Pictures that the questions are about.
        save_dir: Folder of the run.
    """

    scores: dict[str, AnswerScores] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)
    temperature: float | None = None
    data: str = ""
    images: int = 0
    save_dir: Path = Path()

    @property
    def accuracy(self) -> float:
        """All that is right by all that was asked, in [0, 1]."""
        return self.scores[MODEL].accuracy if self.scores else math.nan

    @property
    def measures(self) -> dict[str, float]:
        """Accuracy over all, closed and open questions, and of the router, those that could be measured."""
        if not self.scores:
            return {"accuracy": math.nan}
        types = {g.of: g.accuracy for g in self.scores[MODEL].groups() if g.group == "type"}
        found = {"accuracy": self.accuracy, **types, "router": self.scores[MODEL].router_accuracy}
        return {k: v for k, v in found.items() if k == "accuracy" or not math.isnan(v)}

    def line(self) -> str:
        """Accuracies in one line."""
        told = ", ".join(f"{k} {100 * v:.1f} %" for k, v in self.measures.items())
        return f"{self.scores[MODEL].overall.questions} questions: {told}"

    # -- what is added to the model's own -------------------------------------------------------------------------

    def add_calibration(self, logits: Any, answers: Any) -> None:
        """Measure what the probabilities are worth, as they are and by a temperature that never saw the question.

        Args:
            logits: (N, A) of all questions.
            answers: (N,) numbers of the true answers, -1 for those that the model cannot give.
        """
        scores, z, true = self.scores[MODEL], np.asarray(logits, np.float64), np.asarray(answers)
        counted, images = scores.counted, [q.image for q in scores.questions]
        right = scores.right[counted]
        self.calibration = {"as trained": Calibration(softmax(z).max(1)[counted], right)}
        scaled = scaled_by_others(z[counted], true[counted], [i for i, c in zip(images, counted, strict=True) if c])
        self.calibration["with temperature"] = Calibration(scaled, right)
        self.temperature = fit_temperature(z[counted], true[counted])

    def add_baselines(self, answers: Mapping[str, Sequence[str]]) -> None:
        """Put others' answers to the same questions beside the model's."""
        model = self.scores[MODEL]
        self.scores |= {name: replace(model, answers=given, routed=None) for name, given in answers.items()}

    # -- told and written -----------------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """Everything in plain text."""
        first = self.calibration.get("as trained")
        told = [answer_table(self.scores), *answer_notes(self.scores[MODEL])]
        if first is not None:
            told += [reliability_table(first), calibration_note(first)]
        if self.temperature is not None:
            ece = self.calibration["with temperature"].ece()
            told.append(
                f"temperature={self.temperature:.3f} suits these questions; by those of the other half of the pictures "
                f"the calibration error is {100 * ece:.2f} %"
            )
        told += margin_notes(self.scores)
        return [*told, f"{self.scores[MODEL].overall.questions} questions about {self.images} pictures of {self.data}"]

    def write(self, plots: bool) -> Path:
        """Write ``metrics.json`` and ``metrics.csv`` into the folder of the run, and pictures with ``plots``."""
        path = write_answer_metrics(self.save_dir, self.data, self.scores, self.calibration, self.temperature)
        if plots:
            write_answer_pictures(self.save_dir, self.scores[MODEL], self.calibration)
        return path
