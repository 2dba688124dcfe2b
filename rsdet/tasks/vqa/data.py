"""From a data YAML of questions to what a training and a validation ask.

``images:`` names the folder of the pictures, ``train:``, ``val:`` and ``test:`` files of questions below ``path:``, and
``format:`` their form where it is not to be found by what they hold. ``directions:`` says whether answers may change
where a picture is turned or mirrored; without it, the words of the questions and answers say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdet.data.download import check_dataset
from rsdet.data.pictures import PictureReader, reader_of
from rsdet.data.questions.reading import read_questions, resolve_images
from rsdet.data.questions.records import Questions
from rsdet.data.questions.vocabulary import Vocabulary
from rsdet.data.questions.words import tokens_of
from rsdet.errors import ConfigError, DataError

DIRECTIONS = frozenset({
    "north", "south", "east", "west", "northern", "southern", "eastern", "western", "northeast", "northwest",
    "southeast", "southwest", "left", "right", "upper", "lower", "top", "bottom", "above", "below",
})  # fmt: skip


@dataclass(frozen=True)
class AskedData:
    """Questions about pictures.

    Attributes:
        path: The data YAML.
        splits: Questions by the name of their split.
        files: Path of each picture by the name that questions have for it.
        directed: Why an answer may change where a picture is turned or mirrored; empty where it may not.
        bands: Bands of the files to take, counted from 1.
    """

    path: Path
    splits: Mapping[str, Questions]
    files: Mapping[str, Path]
    directed: str = ""
    bands: Sequence[int] | None = None

    @property
    def name(self) -> str:
        """Name of the data YAML."""
        return self.path.stem if self.path.stem != "data" else self.path.parent.name

    def reader(self) -> PictureReader:
        """What reads the pictures, (H, W, 3) uint8 in BGR."""
        reader = reader_of(None, 3, self.bands)
        assert isinstance(reader, PictureReader)
        return reader

    def described(self) -> dict[str, Any]:
        """What a model YAML says of a training with these data: its vocabulary, and bands where they were chosen."""
        known = {"vocabulary": Vocabulary.of(self.splits["train"]).as_dict()}
        return known | ({} if self.bands is None else {"bands": list(self.bands)})


def read_asked(data: str | Path, splits: Sequence[str], also: Sequence[str] = ()) -> AskedData:
    """Read questions and find all their pictures.

    Args:
        data: Path of the data YAML.
        splits: Splits that are needed.
        also: Splits that are read where the YAML names them.

    Raises:
        ConfigError: The YAML does not say what it must.
        DataError: A split is missing, a file cannot be read, or pictures are not there, all of them told at once.
    """
    content = check_dataset(data)
    path, root = Path(content["yaml_file"]), Path(content["path"])
    if not isinstance(content.get("images"), str):
        raise ConfigError(f"{path}: images: must name the folder of the pictures, received {content.get('images')!r}.")
    found: dict[str, Questions] = {}
    for split in dict.fromkeys((*splits, *(name for name in also if content.get(name)))):
        named = content.get(split)
        several = [named] if isinstance(named, str) else named
        if not isinstance(several, list) or not several or not all(isinstance(n, str) for n in several):
            raise DataError(f"{path}: {split}: must name a file of questions, received {named!r}; mend the file.")
        found[split] = [q for name in several for q in read_questions(root / name, content.get("format"))]
    files = resolve_images([q for questions in found.values() for q in questions], root / content["images"])
    stated = content.get("directions")
    said = f"{path.name} says so" if stated else ""
    directed = _direction(found.get("train", [])) if stated is None else said
    return AskedData(path, found, files, directed, content.get("bands"))


def _direction(questions: Questions) -> str:
    """The first question that has a direction in it, or its answer, in words; empty where none has."""
    for q in questions:
        if words := DIRECTIONS.intersection((*tokens_of(q.text), *tokens_of(q.answer))):
            return f"such as {q.text!r} ({sorted(words)[0]}); directions: false in the data YAML says that they are not"
    return ""
