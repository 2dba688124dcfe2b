"""Answers to the questions about one picture, and what makes them worth something."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.tiling import Tile
from rsdet.metrics.agreement import DIFFER, Comparison
from rsdet.tasks.vqa.visual import captioned, look
from rsdet.writing import write_picture


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        question: As it was asked.
        top: The likeliest answers with their probabilities in [0, 1], the first of them given.
        closed: Whether it was taken for a question of yes or no.
        closed_probability: How sure that is, in [0, 1].
        abstains: The answer is less likely than was asked for, and is not given.
        unknown: Words that no question of the training had.
        nearest: The question of the training that is like it most; empty where these are not known.
        far: It is like none of them.
        kind: Type of the question, where its file says it.
        attention: (N,) where the network looked, as weights of a square grid of visual tokens; None for many tiles.
        merged: How it came about from those of the tiles, see :mod:`rsdet.tasks.vqa.merging`; empty without tiles.
        check: What the boxes of a detector say to it; None where none looked.
    """

    question: str
    top: tuple[tuple[str, float], ...]
    closed: bool
    closed_probability: float
    abstains: bool = False
    unknown: tuple[str, ...] = ()
    nearest: str = ""
    far: bool = False
    kind: str = ""
    attention: np.ndarray | None = field(default=None, repr=False, compare=False)
    merged: str = ""
    check: Comparison | None = None

    @property
    def best(self) -> str:
        """The likeliest answer, whether it is given or not."""
        return self.top[0][0]

    @property
    def confidence(self) -> float:
        """Its probability in [0, 1]."""
        return self.top[0][1]

    @property
    def given(self) -> str:
        """The answer; empty where the network abstains."""
        return "" if self.abstains else self.best

    @property
    def differs(self) -> bool:
        """Whether a detector's boxes say something else."""
        return self.check is not None and self.check.verdict == DIFFER

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know before believing it."""
        unknown = (f"unknown words: {', '.join(self.unknown)}",) if self.unknown else ()
        far = (f"far from all questions of the training, nearest {self.nearest!r}",) if self.far else ()
        return (*unknown, *far)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        c = self.check
        checked = (
            {} if c is None else {"verdict": c.verdict, "boxes": c.boxes, "classes": list(c.classes), "why": c.why}
        )
        return {
            "question": self.question, "type": self.kind, "answer": self.given, "abstains": self.abstains,
            "top": [{"answer": a, "probability": round(p, 6)} for a, p in self.top],
            "closed": self.closed, "closed_probability": round(self.closed_probability, 6),
            "unknown_words": list(self.unknown), "far": self.far, "nearest": self.nearest,
            **({"merged": self.merged} if self.merged else {}), **({"check": checked} if checked else {}),
        }  # fmt: skip


@dataclass(frozen=True)
class TileAnswers:
    """Answers about one tile of a raster.

    Attributes:
        tile: In pixels of the raster.
        answers: One for each question.
        footprint: Where it lies, a geometry of GeoJSON; None where that is not known.
    """

    tile: Tile
    answers: list[Answer]
    footprint: dict[str, Any] | None = None


@dataclass
class VqaResults:
    """Answers about one picture.

    Attributes:
        path: Where it came from.
        orig_img: (H, W, 3) uint8 in BGR; None of a raster that was looked at in tiles.
        orig_shape: Height and width in pixels.
        answers: One for each question.
        footprint: Where it lies, a geometry of GeoJSON; None where that is not known.
        speed: Milliseconds of the parts.
        tiles: Answers about the tiles that it was looked at in; empty where it was looked at as a whole.
    """

    path: str
    orig_img: np.ndarray | None
    orig_shape: tuple[int, int]
    answers: list[Answer]
    footprint: dict[str, Any] | None = None
    speed: dict[str, float] = field(default_factory=dict)
    tiles: list[TileAnswers] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.answers)

    def without_pictures(self) -> VqaResults:
        """The same without pixels, which a run over thousands of pictures must not keep."""
        bare = [replace(a, attention=None) for a in self.answers]
        return replace(self, orig_img=None, answers=bare)

    def summary(self) -> str:
        """Questions and answers in one line."""
        each = (f"{a.question} {a.given or '-'} ({100 * a.confidence:.0f} %)" for a in self.answers[:3])
        more = f" and {len(self) - 3} more" if len(self) > 3 else ""
        return "; ".join(each) + more

    def plot(self, number: int | None = None) -> np.ndarray:
        """Draw the picture with its questions and answers.

        Args:
            number: Of one question, counted from 0, with where the network looked; all without it where None.

        Returns:
            (H', W', 3) uint8 BGR.
        """
        picture = np.zeros((64, 256, 3), np.uint8) if self.orig_img is None else self.orig_img
        chosen = self.answers if number is None else [self.answers[number]]
        if number is not None and self.answers[number].attention is not None:
            picture = look(picture, self.answers[number].attention)
        lines = []
        for a in chosen:
            others = ", ".join(f"{t} {100 * p:.0f} %" for t, p in a.top)
            lines += [a.question, f"  {others}{' (not given)' if a.abstains else ''}", *(f"  {n}" for n in a.notes)]
            lines += (
                [f"  differs: {a.check.boxes} boxes of {', '.join(a.check.classes)}"] if a.check and a.differs else []
            )
        return captioned(np.ascontiguousarray(picture[..., ::-1]), lines)[..., ::-1].copy()

    def save(self, filename: str | Path, number: int | None = None) -> Path:
        """Write what :meth:`plot` draws."""
        return write_picture(filename, self.plot(number))
