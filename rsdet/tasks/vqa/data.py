"""What a set of questions means to a network: its vocabulary, how its pictures are read, whether they may be turned."""

from __future__ import annotations

from statistics import median
from typing import Any

from rsdet.data.gsd import gsd_of
from rsdet.data.pictures import PictureReader
from rsdet.data.questions.datasets import QuestionData
from rsdet.data.questions.vocabulary import Vocabulary
from rsdet.data.questions.words import tokens_of
from rsdet.data.sar.header import read_sar_header

DIRECTIONS = frozenset({
    "north", "south", "east", "west", "northern", "southern", "eastern", "western", "northeast", "northwest",
    "southeast", "southwest", "left", "right", "upper", "lower", "top", "bottom", "above", "below",
})  # fmt: skip

_LOOKED_AT = 200  # pictures whose sizes are looked at


def reader_for(data: QuestionData) -> PictureReader:
    """What reads the pictures of a set, (H, W, 3) uint8 in BGR."""
    return PictureReader(3, data.content.get("bands"))


def described(data: QuestionData) -> dict[str, Any]:
    """What a model YAML says of a training with these data.

    That is their vocabulary; ``picture_px``, the median of the longer sides of their pictures, which is the size of the
    tiles of large rasters later on; ``bands`` and ``gsd`` (metres a pixel), where the data YAML says them.
    """
    train, bands, gsd = data.split("train"), data.content.get("bands"), gsd_of(data.content)
    headers = (read_sar_header(path) for path in list(train.images.values())[:_LOOKED_AT])
    sides = [max(h.width, h.height) for h in headers]
    facts = {"bands": None if bands is None else list(reader_for(data).bands or ()), "gsd": gsd}
    known = {"vocabulary": Vocabulary.of(train.questions).as_dict(), "picture_px": int(median(sides))}
    return known | {key: value for key, value in facts.items() if value is not None}


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
