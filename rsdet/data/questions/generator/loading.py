"""Labels of this toolkit's data sets as scenes: upright boxes, oriented boxes, polygons, maps of the ground.

A picture is left out, and counted, where its labels do not say for certain what is there: ignored regions (they may
hold objects of any class), rows that cannot be read, a picture that cannot, or a mask that is not there.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rsdet.data.importers._images import BadImageError, calm_pillow, probe
from rsdet.data.questions.generator.label_files import BoxReader, MapReader, UncertainError, check_called_apart
from rsdet.data.questions.generator.scene import Scene
from rsdet.data.questions.generator.themes import is_folder_of_classes, load_folders
from rsdet.data.resolve import resolve_data, split_files, tasks_of
from rsdet.errors import ConfigError, DataError
from rsdet.textfiles import read_yaml

SPLITS = ("train", "val", "test")


@dataclass
class Loaded:
    """Labels of a data set.

    Attributes:
        folder: Folder that the names of the images are relative to.
        scenes: Split to its pictures; only splits that have some.
        left_out: Why pictures were left out, and how many.
        licence: What the data YAML says of it.
    """

    folder: Path
    scenes: dict[str, list[Scene]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    licence: str = ""


def load_scenes(data: str | Path, labels: str | None = None, seed: int = 0) -> Loaded:
    """Read all labels of a data set.

    Args:
        data: Data YAML, the name of a shipped data set, or a folder of classes (:mod:`~.themes`).
        labels: Their form, where the set has several: ``detect``, ``obb``, ``segment`` or ``semantic``. None takes the
            usual one.
        seed: Divides a folder of classes.

    Raises:
        ConfigError: Data of another kind, or classes that are called alike.
        DataError: No picture can be used.
    """
    if is_folder_of_classes(data):
        found = load_folders(Path(data), seed)
        check_called_apart(next(iter(found.values()))[0].themes)
        return Loaded(Path(data).absolute(), found)
    path = resolve_data(data, labels)
    content = read_yaml(path)
    tasks = tasks_of(path, content)
    if not isinstance(content.get("names"), list | dict):
        raise ConfigError(f"data={data} names no classes; give data with labels of objects or of the ground.")
    of_maps = bool(content.get("masks_dir")) or (tasks[:1] == ("semantic",))
    files = {split: split_files(path, split, 10**9) for split in SPLITS if content.get(split)}
    images = [f for some, _ in files.values() for f in some]
    if not images:
        raise DataError(f"data={data} has no images in {', '.join(SPLITS)}; check its path: and splits.")
    folder = Path(os.path.commonpath([f.absolute().parent for f in images]))
    loaded = Loaded(folder, licence=str(content.get("licence") or ""))
    for split, (some, spec) in files.items():
        reader = MapReader(spec) if of_maps else BoxReader(spec, some)
        found = [_scene(reader, f, folder, loaded.left_out) for f in some]
        if scenes := [s for s in found if s is not None]:
            loaded.scenes[split] = scenes
    if not loaded.scenes:
        why = "; ".join(f"{n} for {reason}" for reason, n in loaded.left_out.most_common())
        raise DataError(f"none of the {len(images)} pictures of data={data} can be asked about: left out {why}.")
    return loaded


def _scene(reader: BoxReader | MapReader, file: Path, folder: Path, left_out: Counter[str]) -> Scene | None:
    try:
        with calm_pillow():
            info = probe(file)
        return reader.read(file, file.absolute().relative_to(folder).as_posix(), info.width, info.height)
    except BadImageError:
        left_out["pictures that cannot be read"] += 1
    except UncertainError as e:
        left_out[str(e)] += 1
    return None
