"""From scenes to the questions of a data set, and to its files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rsdet.data.questions.generator.balance import balanced, distribution, majority_accuracy, only_asked
from rsdet.data.questions.generator.ground import ground_questions
from rsdet.data.questions.generator.objects import NEXT_TO, object_questions
from rsdet.data.questions.generator.scene import Scene
from rsdet.data.questions.generator.templates import DIRECTED, KINDS
from rsdet.data.questions.generator.themes import theme_questions
from rsdet.data.questions.jsonl import write_questions
from rsdet.data.questions.records import Question, Questions
from rsdet.errors import ConfigError, DataError, nearest
from rsdet.writing import write_csv, write_text

TABLE = "distribution.csv"
_COLUMNS = ("split", "type", "question", "answer", "number")


def make_questions(
    scenes: Mapping[str, Sequence[Scene]],
    seed: int = 0,
    kinds: Sequence[str] = KINDS,
    next_to: float = NEXT_TO,
) -> dict[str, Questions]:
    """Questions of each split, balanced by :mod:`~.balance`; those that training does not ask are asked nowhere.

    Args:
        scenes: Split to its pictures.
        seed: Another number chooses other questions.
        kinds: Types of questions, of :data:`~.templates.KINDS`.
        next_to: See :data:`~.objects.NEXT_TO`.

    Raises:
        ConfigError: An unknown type.
        DataError: No question has two answers in training.
    """
    if unknown := [k for k in kinds if k not in KINDS]:
        raise ConfigError(f"kinds: {unknown[0]!r} is none of {', '.join(KINDS)}.{nearest(unknown[0], KINDS)}")
    found: dict[str, Questions] = {}
    for split, some in scenes.items():
        asked = (q for s in some for q in questions_about(s, next_to))
        found[split] = balanced((q for q in asked if q.kind in kinds), seed)
    first = "train" if "train" in found else next(iter(found))
    if not found[first]:
        raise DataError(
            f"no question has two answers in the {len(scenes[first])} pictures of {first}: labels of more pictures, or "
            "of pictures that differ, are needed."
        )
    return {split: some if split == first else only_asked(some, found[first]) for split, some in found.items()}


def questions_about(scene: Scene, next_to: float = NEXT_TO) -> Iterator[Question]:
    """All questions about a picture that its labels answer for certain, before any are chosen."""
    yield from object_questions(scene, next_to)
    yield from ground_questions(scene)
    yield from theme_questions(scene)


def write_set(
    folder: Path, questions: Mapping[str, Questions], images: str, facts: Mapping[str, Any] | None = None
) -> Path:
    """Write the files of a set: questions of each split, how often each answer is given, and the data YAML.

    Args:
        folder: Where to; it is there.
        questions: Split to its questions.
        images: Folder of the images, as the data YAML shall say it.
        facts: More for the data YAML, such as the licence.

    Returns:
        Path of the data YAML.
    """
    data: dict[str, Any] = {"task": "vqa", **(facts or {}), "images": images}
    rows: list[dict[str, Any]] = []
    for split, some in questions.items():
        file = write_questions(folder / f"{split}.jsonl", some)
        data |= {split: file.name} if some else {}
        rows += [
            dict(zip(_COLUMNS, (split, kind, text, answer, n), strict=True))
            for (kind, text), answers in distribution(some).items()
            for answer, n in answers.most_common()
        ]
    data["format"] = "jsonl"
    if any(q.kind in DIRECTED for some in questions.values() for q in some):
        data["directions"] = True  # of the picture: no mirroring and turning in training
    write_csv(folder / TABLE, _COLUMNS, rows)
    text = "# Made by rsdet: questions and answers that follow from labels.\n"
    return write_text(folder / "data.yaml", text + yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def summary(questions: Mapping[str, Questions]) -> list[str]:
    """What a set holds, a line for each split and type, with the accuracy of each question's most frequent answer.

    That answer is the one of training: what a network has to beat that sees no picture.
    """
    trained = next(iter(questions.values()))
    lines = []
    for split, some in questions.items():
        images = len({q.image for q in some})
        lines.append(f"{split}: {len(some)} questions about {images} pictures, {_majority(some, trained)}")
        for kind in KINDS:
            of_kind = [q for q in some if q.kind == kind]
            if of_kind:
                lines.append(f"  {kind}: {_described(of_kind)}, {_majority(of_kind, trained)}")
    return lines


def _described(some: Questions) -> str:
    answers = Counter(q.answer for q in some)
    shown = ", ".join(f"{a} {n}" for a, n in answers.most_common(6)) + (", ..." if len(answers) > 6 else "")
    return f"{len(some)} of {len({q.text for q in some})} texts ({shown})"


def _majority(some: Questions, trained: Questions) -> str:
    value = majority_accuracy(some, trained)
    return "nothing asked" if math.isnan(value) else f"most frequent answer {100 * value:.1f} %"
