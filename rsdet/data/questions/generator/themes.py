"""Questions about the theme of a picture, by the folder of its class: ``harbour/1.jpg``, or ``train/harbour/1.jpg``.

- **Theme**: ``What is the theme of the picture?``, answered by the class in words.
- **Presence** of a theme: ``Is this a picture of harbour?``, yes for those of the class and no for all others.

A folder without ``train`` is divided, an equal part of each class, by the hash of the names of its pictures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from rsdet.data.images import SUFFIXES
from rsdet.data.questions.generator import templates as say
from rsdet.data.questions.generator.nouns import noun
from rsdet.data.questions.generator.scene import Scene
from rsdet.data.questions.records import Question
from rsdet.data.splitting import seeded_split
from rsdet.errors import DataError

VAL = 0.2  # part of each class where the folder has no splits
_LETTER = re.compile(r"[a-z](?=[A-Z])")  # RSSCN7 puts its classes in order by a letter: aGrass, bField


def theme_questions(scene: Scene) -> Iterator[Question]:
    """Questions about the theme of a picture, before any are chosen; none where it has no theme."""
    if not scene.theme:
        return
    yield Question(scene.image, say.THEME, noun(scene.theme), "theme")
    for name in scene.themes:
        yield Question(scene.image, say.of_theme(name), say.judged(name == scene.theme), "presence")


def load_folders(folder: Path, seed: int = 0) -> dict[str, list[Scene]]:
    """Pictures in folders of classes.

    Args:
        folder: With a folder for each class, or with ``train``, ``val`` and ``test`` of which each has these.
        seed: Another number draws another validation, where the folder has no splits.

    Returns:
        Split to its pictures, called by their paths from the folder.

    Raises:
        DataError: Fewer than two classes.
    """
    parts = {split: _classes(folder / split) for split in ("train", "val", "test") if (folder / split).is_dir()}
    divided = "train" not in parts
    whole = {"train": _classes(folder)} if divided else parts
    names = sorted({name for some in whole.values() for name in some})
    if len(names) < 2:
        raise DataError(
            f"data={folder} has {len(names)} folders with pictures, expected one for each of two classes and more; or "
            "give a data YAML."
        )
    short = {n: _LETTER.sub("", n, count=1) if all(map(_LETTER.match, names)) else n for n in names}
    found: dict[str, list[Scene]] = {}
    for split, classes in whole.items():
        for name, files in classes.items():
            of = seeded_split((f.name for f in files), VAL, seed) if divided and len(files) > 1 else {}
            for file in files:
                scene = Scene(
                    file.relative_to(folder).as_posix(), 0, 0, theme=short[name], themes=tuple(short[n] for n in names)
                )
                found.setdefault(of.get(file.name, split), []).append(scene)
    return found


def is_folder_of_classes(data: str | Path) -> bool:
    """Whether ``data=`` stands for a folder without a data YAML."""
    folder = Path(data)
    return folder.is_dir() and not any(p.suffix.lower() in (".yaml", ".yml") for p in folder.iterdir())


def _classes(folder: Path) -> dict[str, list[Path]]:
    found = {}
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.is_dir() and not entry.name.startswith("."):
            files = sorted(p for p in Path(entry.path).iterdir() if p.suffix.lower() in SUFFIXES)
            found |= {entry.name: files} if files else {}
    return found
