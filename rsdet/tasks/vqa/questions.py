"""``rsdet questions``: questions and answers from the labels of a data set, to train on one's own scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsdet.arguments import check_number
from rsdet.data.questions.generator.loading import load_scenes
from rsdet.data.questions.generator.making import make_questions, summary, write_set
from rsdet.data.questions.generator.objects import NEXT_TO
from rsdet.data.questions.generator.templates import KINDS
from rsdet.errors import ConfigError
from rsdet.modes.mode import say
from rsdet.writing import put, workplace


def questions(
    data: str | Path,
    out: str | Path = "questions",
    labels: str | None = None,
    kinds: str | Sequence[str] | None = None,
    next_to: float = NEXT_TO,
    seed: int = 0,
) -> Path:
    """Make questions and answers of the labels of a data set; each has its answers balanced as far as labels allow.

    Pictures with ignored regions, and classes of which a picture shows a difficult object, are not asked about.

    Args:
        data: Data YAML, or the name of a shipped data set, of boxes, oriented boxes, polygons or maps of classes; or a
            folder with a folder of pictures for each class.
        out: Folder for the questions of each split, ``distribution.csv`` and ``data.yaml``, to be given as ``data=``.
        labels: Form of the labels, where the set has several: ``detect``, ``obb``, ``segment`` or ``semantic``.
        kinds: Types of questions: ``presence``, ``count``, ``comparison``, ``area`` (not of upright boxes),
            ``relation`` (next to), ``where`` and ``theme`` (of folders of classes); all where it is left out.
        next_to: Two objects are next to each other where their edges are less apart than so many times the mean of
            their sizes (sides of squares of their areas).
        seed: Another number chooses other questions.

    Returns:
        Path of the data YAML.

    Raises:
        ConfigError: A value out of its range, or ``out`` holds files.
        DataError: No labels to ask about.
    """
    check_number("next_to", next_to, 0, 1000, "a multiple of the mean size of two objects; e.g. next_to=1")
    named = kinds.split(",") if isinstance(kinds, str) else kinds
    folder = Path(out).expanduser().absolute()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ConfigError(f"out={out} holds files; choose another folder, or remove it.")
    loaded = load_scenes(data, labels, seed)
    made = make_questions(loaded.scenes, seed, KINDS if named is None else named, next_to)
    for reason, n in loaded.left_out.most_common():
        say(f"{n} left out: {reason}")
    for line in summary(made):
        say(line)
    facts = {"name": folder.name} | ({"licence": loaded.licence} if loaded.licence else {})
    with workplace(folder.parent, folder.name) as place:
        (place / folder.name).mkdir()
        write_set(place / folder.name, made, str(loaded.folder), facts)
        put(place / folder.name, folder)
    say(f"Questions saved to {folder}")
    return folder / "data.yaml"
