"""Answers about counts and presence beside the boxes that a detector finds in the same pictures, or the same tiles.

Neither of the two is the truth: a difference says where to look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.utils import LOGGER

from rsdet.data.questions.records import Question
from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.loadedmodel import opened
from rsdet.metrics.agreement import (
    AGREE,
    DIFFER,
    NOT_COMPARABLE,
    Comparison,
    agreement_table,
    compare_answers,
    write_agreement,
)
from rsdet.metrics.asked_objects import AskedObjects
from rsdet.names import printable
from rsdet.runtime.results import detections_of
from rsdet.tasks.vqa.results import Answer
from rsdet.tasks.vqa.visual import captioned
from rsdet.writing import write_picture

FINDERS = ("detect", "obb", "segment")
FOLDER = "check"
_NAMED = 8  # classes that a message names
Synonyms = Mapping[str, str | Sequence[str]] | str | Sequence[str]


class BoxCheck:
    """A detector that looks at what questions are asked about.

    Args:
        model: Weights or exported file of a detector, whatever the form of its boxes.
        conf: Confidence from which a box counts, in [0, 1].
        tolerance: Counts that differ by no more agree.
        synonyms: Words of questions for classes of the detector, see :func:`synonyms_of`.
        device: What it runs on; its own choice where None.

    Attributes:
        rows: Everything that was compared.

    Raises:
        ConfigError: It cannot be opened, finds no objects or was never trained, or a class that it does not have.
    """

    def __init__(
        self,
        model: str | Path,
        conf: float = 0.25,
        tolerance: int = 0,
        synonyms: Synonyms | None = None,
        device: Any = None,
    ):
        self.name = Path(model).name
        try:
            self.detector = opened(str(model))
        except RSDetError as e:
            raise ConfigError(f"check={model} cannot be opened: {e}") from None
        if self.detector.task not in FINDERS:
            raise ConfigError(f"check={model} is a model for task={self.detector.task}; pass one that finds objects.")
        if self.detector.loaded.untrained:
            raise ConfigError(f"check={model} has never been trained, so that its boxes mean nothing; pass weights.")
        self.synonyms = synonyms_of(synonyms)
        self.asked = AskedObjects(self.detector.names, self.synonyms)
        self.tolerance = tolerance
        self._given = {"conf": conf, "save": False, "verbose": False} | ({} if device is None else {"device": device})
        self.rows: list[Comparison] = []

    def in_vain(self, texts: Sequence[str]) -> str:
        """Why boxes answer none of these questions; empty where they answer one."""
        if not texts or any(not isinstance(self.asked.parse(text), str) for text in texts):
            return ""
        names = list(self.detector.names.values())
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return printable(
            f"check={self.name}: no question asks how many there are, or whether there are any, of "
            f"{', '.join(names[:_NAMED])}{more}, so that nothing is compared; synonyms= says what else they are called."
        )

    def __call__(self, name: str, source: Any, answers: Sequence[Answer], folder: Path | None = None) -> list[Answer]:
        """Compare the answers about a picture with its boxes, and draw these where both differ.

        Args:
            name: What answers call the picture, without folders.
            source: Its path, or (H, W, 3) uint8 in BGR.
            answers: One for each question.
            folder: Of the run; nothing is drawn where None.

        Returns:
            The answers, each with what was compared. Where the network abstains there is nothing to compare.
        """
        boxes: dict[str, np.ndarray] = {}
        try:
            (shown,) = self.detector.predict(source, **self._given)
            boxes[name] = detections_of(shown).classes
        except DataError as e:  # what the network could read, the detector may not: it has other bands
            LOGGER.warning(printable(f"check={self.name} did not look at {name}: {e}"))
        asked, given = [Question(name, a.question) for a in answers], [a.given for a in answers]
        rows = compare_answers(asked, given, boxes, self.detector.names, self.synonyms, self.tolerance)
        self.rows += rows
        differing = [row for row in rows if row.verdict == DIFFER]
        if folder is not None and differing:
            pairs = [
                (r.question, f"  answer {r.answer}, boxes of {', '.join(r.classes)}: {r.boxes}") for r in differing
            ]
            lines = [line for pair in pairs for line in pair]
            picture = captioned(np.ascontiguousarray(shown.plot()[..., ::-1]), lines)
            write_picture(folder / FOLDER / f"{Path(name).stem}.png", picture[..., ::-1])
        return [replace(a, check=row) for a, row in zip(answers, rows, strict=True)]

    def told(self, folder: Path | None = None) -> str:
        """How many answers differ, in a line, and a table; written into the folder of the run where there is one."""
        if folder is not None:
            write_agreement(folder, self.rows)
        n = Counter(row.verdict for row in self.rows)
        pictures = len({row.image for row in self.rows if row.verdict == DIFFER})
        where = f", about {pictures} picture{'s' * (pictures != 1)}" if pictures else ""
        compared, not_compared = n[AGREE] + n[DIFFER], n[NOT_COMPARABLE]
        line = f"check={self.name}: {n[DIFFER]} of {compared} answers differ from the boxes{where}"
        rest = f"; {not_compared} could not be compared" if not_compared else ""
        if not compared:
            line, rest = f"check={self.name}: none of {not_compared} answers could be compared with boxes", ""
        return f"{printable(line)}{rest}\n{agreement_table(self.rows)}"


def synonyms_of(given: Synonyms | None) -> dict[str, list[str]]:
    """Words for classes: ``{"vehicle": ["car", "truck"]}``, or as ``vehicle=car+truck``, several with commas.

    Raises:
        ConfigError: Something else.
    """
    example = "write such as synonyms=vehicle=car+truck,boat=ship"
    if isinstance(given, Mapping):
        pairs: list[tuple[Any, Any]] = list(given.items())
    else:
        texts = [] if given is None else given.split(",") if isinstance(given, str) else list(given)
        parts = [str(text).partition("=") for text in texts]
        pairs = [(word.strip(), [c.strip() for c in classes.split("+")]) for word, _, classes in parts]
    found = {word: [classes] if isinstance(classes, str) else classes for word, classes in pairs}
    for word, classes in found.items():
        whole = isinstance(word, str) and word.strip() and isinstance(classes, (list, tuple)) and classes
        if not whole or not all(isinstance(c, str) and c for c in classes):
            raise ConfigError(f"synonyms: {word!r} stands for {classes!r}, which are no classes; {example}.")
    return {word: list(classes) for word, classes in found.items()}
