"""What a set of questions means to a network: its vocabulary, how its pictures are read, whether they may be turned."""

from __future__ import annotations

from typing import Any

from rsdet.data.pictures import PictureReader
from rsdet.data.questions.datasets import QuestionData
from rsdet.data.questions.vocabulary import Vocabulary
from rsdet.data.questions.words import tokens_of

DIRECTIONS = frozenset({
    "north", "south", "east", "west", "northern", "southern", "eastern", "western", "northeast", "northwest",
    "southeast", "southwest", "left", "right", "upper", "lower", "top", "bottom", "above", "below",
})  # fmt: skip


def reader_for(data: QuestionData) -> PictureReader:
    """What reads the pictures of a set, (H, W, 3) uint8 in BGR."""
    return PictureReader(3, data.content.get("bands"))


def described(data: QuestionData) -> dict[str, Any]:
    """What a model YAML says of a training with these data: their vocabulary, and bands where they were chosen."""
    bands = data.content.get("bands")
    known = {"vocabulary": Vocabulary.of(data.split("train").questions).as_dict()}
    return known | ({} if bands is None else {"bands": list(reader_for(data).bands or ())})


def directed(data: QuestionData) -> str:
    """Why answers may change where a picture is turned or mirrored; empty where they do not.

    The data YAML says it by ``directions:``; without that, the words of questions and answers do.
    """
    if "directions" in data.content:
        return f"as {data.path.name} says" if data.directions else ""
    for q in data.split("train").questions:
        if words := DIRECTIONS.intersection((*tokens_of(q.text), *tokens_of(q.answer))):
            return f"such as {q.text!r} ({min(words)}); directions: false in the data YAML says that they are not"
    return ""
