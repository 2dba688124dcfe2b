"""Data YAMLs of questions about pictures.

.. code-block:: yaml

    task: vqa
    path: harbours                 # as in Ultralytics' data YAMLs; left out: the folder of the YAML
    images: images                 # folder, or {train: Train/images_png, val: Val/images_png}
    train: train.jsonl             # a file, {questions: file, images: folder}, or a list of these
    val: val.jsonl
    test: test.jsonl               # answers may be withheld
    format: jsonl                  # left out: found by the content, see rsdet.data.questions.reading
    directions: true               # questions name left, right, north: pictures are not mirrored or turned in training
    split: {val: 0.1, seed: 0}     # in the place of val: a part of the pictures of train, by the hash of their names

Where there are several folders, pictures are called by those as well (``UCM/images/1.tif``), for numbers repeat.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsdet.data.groups import image_key
from rsdet.data.questions.reading import check_format, read_questions, resolve_images
from rsdet.data.questions.records import Questions
from rsdet.data.resolve import check_task, root_of, tasks_of
from rsdet.data.splitting import seeded_split
from rsdet.errors import ConfigError, DataError
from rsdet.textfiles import read_yaml

SPLITS = ("train", "val", "test")
_EXAMPLE = "such as {images: images, train: train.jsonl, val: val.jsonl}"


@dataclass(frozen=True)
class Split:
    """Questions of a split and their pictures.

    Attributes:
        questions: In the order of their files.
        images: Image name to absolute path.
    """

    questions: Questions
    images: dict[str, Path]


@dataclass(frozen=True)
class Entry:
    """A file of questions and the folder of its pictures.

    Attributes:
        questions: The file.
        images: The folder.
        prefix: What is put before the names of its pictures, so that those of several folders differ.
    """

    questions: Path
    images: Path
    prefix: str = ""


@dataclass
class QuestionData:
    """A set of questions whose data YAML has been read; files are read when a split is asked for.

    Attributes:
        path: The data YAML.
        name: Its name, for messages and tables.
        entries: Split to its files.
        format: Of all of them; None finds it.
        directions: Whether mirroring or turning a picture changes answers.
        part: Part of the training pictures that is ``val``, and the seed that draws it; None where ``val`` has files.
        content: All of the YAML.
    """

    path: Path
    name: str
    entries: dict[str, list[Entry]]
    format: str | None = None
    directions: bool = False
    part: tuple[float, int] | None = None
    content: dict[str, Any] = field(default_factory=dict)
    _read: dict[str, Split] = field(default_factory=dict, repr=False)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that there are."""
        return tuple(s for s in SPLITS if s in self.entries or (s == "val" and self.part))

    def split(self, name: str) -> Split:
        """Questions of a split and their pictures, read once.

        Raises:
            DataError: No such split, files that cannot be used, or pictures that are not there, all told at once.
        """
        if name not in self.splits:
            raise DataError(f"{self.path} has no {name}:, it has {', '.join(self.splits)}; add it or choose split=")
        if name not in self._read:
            divided = self.part is not None and name in ("train", "val")
            found = self._files("train" if divided else name)
            for split, some in (self._divided(found) if divided else {name: found}).items():
                self._read[split] = some
                self._warn_of_gaps(split, some)
        return self._read[name]

    def _files(self, name: str) -> Split:
        questions: Questions = []
        images: dict[str, Path] = {}
        for entry in self.entries[name]:
            some = read_questions(entry.questions, self.format)
            places = resolve_images(some, entry.images)
            images |= {entry.prefix + image: place for image, place in places.items()}
            questions += [replace(q, image=entry.prefix + q.image) for q in some] if entry.prefix else some
        return Split(questions, images)

    def _divided(self, found: Split) -> dict[str, Split]:
        """Training and validation: all questions about a picture, and about tiles of one scene, are in one of them."""
        fraction, seed = self.part or (0.0, 0)
        of = seeded_split((_key(image) for image in found.images), fraction, seed)
        return {
            split: Split(
                [q for q in found.questions if of[_key(q.image)] == split],
                {image: place for image, place in found.images.items() if of[_key(image)] == split},
            )
            for split in ("train", "val")
        }

    def _warn_of_gaps(self, name: str, found: Split) -> None:
        stated = (self.content.get("splits") or {}).get(name) or {}
        have = {"questions": len(found.questions), "images": len(found.images)}
        for what, n in have.items():
            if isinstance(stated, dict) and stated.get(what) not in (None, n):
                logging.getLogger("rsdet").warning(
                    "%s: %s has %d %s, its owner states %s.", self.name, name, n, what, stated[what]
                )


def read_question_data(path: str | Path) -> QuestionData:
    """Read a data YAML of questions; their files are looked at when a split is asked for.

    Args:
        path: The YAML; see :func:`rsdet.data.resolve.resolve_data` for names.

    Raises:
        ConfigError: The YAML is none, is for another task, or has wrong values.
    """
    path = Path(path)
    content = read_yaml(path)
    check_task(path, tasks_of(path, content), "vqa")
    format = content.get("format")
    check_format(format, f"{path}: ")
    if not isinstance(content.get("directions", False), bool):
        raise ConfigError(f"{path}: directions must be true or false, received {content['directions']!r}.")
    root = root_of(path, content)
    entries = {s: _entries(path, content, root, s) for s in SPLITS if content.get(s)}
    if not entries:
        raise ConfigError(f"{path} has none of {', '.join(SPLITS)}; add files of questions, {_EXAMPLE}.")
    return QuestionData(
        path.resolve(), str(content.get("name") or path.stem), entries, format, content.get("directions", False),
        _part(path, content, entries), content,
    )  # fmt: skip


def _entries(path: Path, content: dict[str, Any], root: Path, split: str) -> list[Entry]:
    given = content[split] if isinstance(content[split], list) else [content[split]]
    shared = content.get("images")
    shared = shared.get(split) if isinstance(shared, dict) else shared
    found = []
    for item in given:
        one = item if isinstance(item, dict) else {"questions": item}
        images = one.get("images", shared)
        if not isinstance(one.get("questions"), str) or not set(one) <= {"questions", "images"}:
            raise ConfigError(f"{path}: {split}: must name files of questions, received {item!r}; {_EXAMPLE}.")
        if not isinstance(images, str):
            raise ConfigError(f"{path}: images: must name the folder of the pictures of {split}; {_EXAMPLE}.")
        prefix = "" if images == content.get("images") else f"{Path(images).as_posix()}/"
        found.append(Entry(root / Path(one["questions"]).expanduser(), root / Path(images).expanduser(), prefix))
    return found


def _part(path: Path, content: dict[str, Any], entries: dict[str, Any]) -> tuple[float, int] | None:
    part = content.get("split")
    if part is None:
        return None
    known = isinstance(part, dict) and set(part) <= {"val", "seed"} and type(part.get("seed", 0)) is int
    if not known or not isinstance(part.get("val"), float) or not 0 < part["val"] < 1:
        raise ConfigError(f"{path}: split must be such as {{val: 0.1, seed: 0}}, received {part!r}.")
    if "val" in entries or "train" not in entries:
        raise ConfigError(f"{path}: split divides the pictures of train where there is no val:; leave one of them out.")
    return part["val"], part.get("seed", 0)


def _key(image: str) -> str:
    """Name of a picture without its suffix, with the folders it was told apart by."""
    folder, stroke, name = image.rpartition("/")
    return f"{folder}{stroke}{image_key(name)}"
