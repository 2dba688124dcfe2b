"""Answers about counts and presence beside the boxes that a detector finds in the same pictures.

Neither of the two is the truth: a difference says where to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.questions.records import Question
from rsdet.errors import ConfigError
from rsdet.loadedmodel import opened
from rsdet.metrics.agreement import DIFFER, Comparison, agreement_table, compare_answers, write_agreement
from rsdet.runtime.results import detections_of
from rsdet.tasks.vqa.results import VqaResults
from rsdet.tasks.vqa.visual import captioned
from rsdet.writing import write_picture

FINDERS = ("detect", "obb", "segment")
FOLDER = "check"


class BoxCheck:
    """A detector that looks at what questions are asked about.

    Args:
        model: Weights or exported file of a detector, whatever the form of its boxes.
        conf: Confidence from which a box counts, in [0, 1].
        tolerance: Counts that differ by no more agree.

    Attributes:
        boxes: Picture to the class numbers of its boxes.

    Raises:
        ConfigError: It finds no objects.
    """

    def __init__(self, model: str | Path, conf: float, tolerance: int):
        self.detector = opened(str(model))
        if self.detector.task not in FINDERS:
            raise ConfigError(f"check={model} is a model for task={self.detector.task}; pass one that finds objects.")
        self.conf, self.tolerance = conf, tolerance
        self.boxes: dict[str, np.ndarray] = {}
        self._shown: dict[str, Any] = {}

    def look(self, name: str, source: Any) -> None:
        """Find the objects of a picture.

        Args:
            name: What answers call it.
            source: Its path, or (H, W, 3) uint8 in BGR.
        """
        (self._shown[name],) = self.detector.predict(source, conf=self.conf, save=False, verbose=False)
        self.boxes[name] = detections_of(self._shown[name]).classes

    def compare(self, results: Mapping[str, VqaResults]) -> list[Comparison]:
        """Compare answers with boxes, one by one."""
        pairs = [(Question(name, a.question), a.best) for name, r in results.items() for a in r.answers]
        asked, given = [q for q, _ in pairs], [answer for _, answer in pairs]
        return compare_answers(asked, given, self.boxes, self.detector.names, tolerance=self.tolerance)

    def draw(self, name: str, rows: list[Comparison], folder: Path | None) -> None:
        """Draw the boxes of a picture about which both differ, where there is a folder; its pixels are let go."""
        shown = self._shown.pop(name)
        differing = [row for row in rows if row.verdict == DIFFER]
        if folder is None or not differing:
            return
        lines = [f"{r.question} {r.answer}; boxes of {', '.join(r.classes)}: {r.boxes}" for r in differing]
        picture = captioned(np.ascontiguousarray(shown.plot()[..., ::-1]), lines)
        write_picture(folder / FOLDER / f"{Path(name).stem}.png", picture[..., ::-1])


def tell_and_write(rows: list[Comparison], folder: Path | None) -> str:
    """The table of what agrees, which is written into the folder of the run where there is one."""
    if folder is not None:
        write_agreement(folder, rows)
    return agreement_table(rows)
