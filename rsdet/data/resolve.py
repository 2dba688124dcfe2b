"""From what the user writes after ``data=`` to a data YAML on disk; the ONE place that says which task data are for.

``task:`` of a data YAML names the task, or a list of those that the set can be made for: the first is the usual one,
the sets for others lie beside it (``<name>-obb``). Without it, the labels on disk say what they are for.

``pictures_of: aerial-cars`` names a set that has to be ready first.

``render: {by: "rsdet.data.demo:make_demo", n_train: 400, n_val: 100}`` names what draws a set. Only functions called
``make_demo…`` in :mod:`rsdet.data` are taken, with whole numbers: a data YAML holds no code, and none is run from it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from inspect import signature
from itertools import chain, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rsdet.data.download import check_dataset, find_yaml, list_datasets, set_name
from rsdet.data.label_kind import label_kind
from rsdet.errors import ConfigError, nearest
from rsdet.paths import datasets_dir, home
from rsdet.textfiles import read_yaml

_RENDERER = re.compile(r"(rsdet\.data(?:\.[a-z_]+)+):(make_demo[a-z_]*)")
_NUMBERS = {"n_train", "n_val", "size", "seed"}
_LOOKED_AT = 100  # label files of a split that show what all are for


def datasets_root() -> Path:
    """Folder of the data sets: that of Ultralytics' settings, unless it is the folder of YAMLs in a checkout."""
    from ultralytics.utils import DATASETS_DIR

    return home() / "datasets" if Path(DATASETS_DIR).resolve() == datasets_dir().resolve() else Path(DATASETS_DIR)


def root_of(path: Path, content: dict[str, Any]) -> Path:
    """Folder of a set: as its data YAML says, below the YAML's folder, or below the folder for data sets."""
    place = Path(str(content.get("path") or ".")).expanduser()
    if place.is_absolute():
        return place
    if not content.get("path"):
        return path.resolve().parent
    for base in (Path.cwd(), path.resolve().parent):
        if (base / place).is_dir():
            return (base / place).resolve()
    return datasets_root() / place


def resolve_data(data: str | Path, task: str | None = None) -> Path:
    """Path of a data YAML that is ready: rendered, fetched, converted or listed, where it is not yet.

    Args:
        data: Name of a shipped data set (``demo``, ``visdrone``, or one level of it, ``haze1k-thin``), or path of a
            data YAML.
        task: Task of the model that it is for; None takes the usual one of the data.

    Raises:
        ConfigError: No such data set, one for another task, or a YAML that cannot be used.
        DataError: The files are not there and cannot be fetched; the message says where to put them.
    """
    if not isinstance(data, (str, Path)) or not str(data).strip():
        raise ConfigError(f"data={data!r} must be the name of a shipped dataset or the path of a data YAML.")
    name, part = _whole_and_part(str(data))
    path = find_yaml(name)
    content = read_yaml(path)
    tasks = tasks_of(path, content)
    check_task(data, tasks, task)
    task = task or (tasks[0] if tasks else None)
    if part and content.get("source_format") != "pairs":  # before anything is drawn or fetched for another name
        raise ConfigError(
            f"data={data}: {path.name} has no parts; give data={name}.{nearest(str(data), list_datasets())}"
        )
    if "render" in content:
        return _render(path, content, tasks, task)
    if content.get("source_format") == "pairs":
        from rsdet.data.pairs.shipped import prepare  # the room of pairs stands on this module

        return prepare(path, content, datasets_root(), part)
    if content.get("source_format") == "questions":
        from rsdet.data.questions import shipped  # the room of questions stands on this module

        return shipped.prepare(path, content, datasets_root())
    if content.get("source_format") == "dates":
        from rsdet.data.dates import shipped as two_dates  # the room of dates stands on the room of pairs

        return two_dates.prepare(path, content, datasets_root())
    if content.get("source_format") == "cube":
        from rsdet.data.cubes import shipped as cubes  # so does the room of cubes

        return cubes.prepare(path, content, datasets_root())
    if "pictures_of" in content:  # inputs are made of the pictures of another set, sample by sample
        _ready_first(path, content["pictures_of"])
    ready = check_dataset(path, datasets_root(), task=None if not tasks or task == tasks[0] else task)
    if not tasks:
        check_task(data, label_tasks(ready), task, stated=False)
    return Path(ready["yaml_file"])


def tasks_stated(data: str | Path) -> tuple[str, ...]:
    """Tasks that what stands after ``data=`` says it is for, before anything is drawn or fetched."""
    path = find_yaml(_whole_and_part(str(data))[0])
    return tasks_of(path, read_yaml(path))


def _ready_first(path: Path, other: Any) -> None:
    """Make the set ready whose pictures another one is made of.

    Raises:
        ConfigError: It is none that ships, or is made of another's pictures itself.
    """
    if other not in list_datasets() or "pictures_of" in read_yaml(find_yaml(other)):
        raise ConfigError(f"{path}: pictures_of must name a set that ships (rsdet list datasets), received {other!r}")
    resolve_data(other)


def tasks_of(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    """Tasks that a data YAML says it is for; none where it says nothing.

    Raises:
        ConfigError: ``task:`` is neither a name nor a list of names.
    """
    tasks = content.get("task") or []
    tasks = [tasks] if isinstance(tasks, str) else tasks
    if not isinstance(tasks, list) or not all(isinstance(t, str) for t in tasks):
        raise ConfigError(f"{path}: task must be a name such as detect, or a list of names; received {tasks!r}")
    return tuple(tasks)


def check_task(data: str | Path, tasks: tuple[str, ...], task: str | None, stated: bool = True) -> None:
    """Refuse data for another task than the model's.

    Args:
        data: What the user gave.
        tasks: Tasks that the data are for; none: whatever is asked for.
        task: Task of the model; None takes any data.
        stated: The data YAML says so; else its labels do.

    Raises:
        ConfigError: The model's task is none of them.
    """
    if not tasks or task is None or task in tasks:
        return
    yamls = ((name, read_yaml(find_yaml(name))) for name in list_datasets())
    fit = [name for name, content in yamls if "render" in content and task in tasks_of(Path(name), content)]
    says = "is" if stated else "has labels"
    raise ConfigError(
        f"data={data} {says} for task={tasks[0]}, the model for task={task}; give data for {task}"
        f"{f' such as {fit[0]}' if fit else ''}, or a model for {tasks[0]} (rsdet list models)"
    )


def label_tasks(data: dict[str, Any]) -> tuple[str, ...]:
    """Tasks that the labels on disk can be taken for; none where there are no labels, or of several kinds.

    Corners may be those of a polygon, and of polygons Ultralytics makes boxes of both kinds.

    Args:
        data: Content of a data YAML with an absolute ``path``.
    """
    if data.get("kpt_shape") or "names" not in data:  # pictures beside which labels happen to lie
        return ()
    files = (islice(_label_files(Path(data["path"]), data.get(split)), _LOOKED_AT) for split in ("train", "val"))
    kind = label_kind(chain.from_iterable(files)).kind
    return {"detect": ("detect",), "obb": ("obb", "segment"), "segment": ("segment", "detect", "obb", "semantic")}.get(
        kind, ()
    )


def _label_files(root: Path, entry: Any) -> Iterator[Path]:
    """Label files of a split, by Ultralytics' rule: the last ``images`` of a path becomes ``labels``."""
    for place in entry if isinstance(entry, list) else [entry]:
        if not isinstance(place, str):
            continue
        folder = root / place
        for image in _listed(folder) if folder.suffix == ".txt" else [folder / "x"]:
            head, sign, tail = str(image).rpartition(f"{os.sep}images{os.sep}")
            label = Path(f"{head}{os.sep}labels{os.sep}{tail}" if sign else image).with_suffix(".txt")
            yield from sorted(label.parent.glob("*.txt")) if image.name == "x" else [label] if label.is_file() else []


def _listed(file: Path) -> Iterable[Path]:
    """Images that a list names, relative to its folder where they begin with a dot."""
    lines = file.read_text("utf-8", "replace").splitlines() if file.is_file() else []
    return [file.parent / line.strip() for line in lines if line.strip()]


def _render(path: Path, content: dict[str, Any], tasks: tuple[str, ...], task: str | None) -> Path:
    """Have a set drawn, or find it drawn already.

    Raises:
        ConfigError: ``render:`` names something else than a function of ours and whole numbers.
    """
    spec = dict(content["render"]) if isinstance(content["render"], dict) else {}
    by = spec.pop("by", None)
    ours = _RENDERER.fullmatch(by) if isinstance(by, str) else None
    if not ours or not set(spec) <= _NUMBERS or not all(type(n) is int for n in spec.values()):
        raise ConfigError(
            f"{path}: render must be {{by: 'rsdet.data.demo:make_demo', n_train: 400, n_val: 100}} or another function "
            f"make_demo… of rsdet.data with whole numbers for {', '.join(sorted(_NUMBERS))}; received "
            f"{content['render']!r}"
        )
    try:
        make = vars(import_module(ours[1]))[ours[2]]
    except (ImportError, KeyError):
        raise ConfigError(f"{path}: render: there is no {by}; the shipped demo.yaml shows what there is") from None
    if unknown := sorted({*spec} - {*signature(make).parameters}):
        raise ConfigError(f"{path}: render: {by} takes no {unknown[0]}; leave it out.")
    name = set_name(path, content)
    return make(home() / (name if task == tasks[0] else f"{name}-{task}"), task=task, **spec)


def split_files(data: str | Path, split: str, most: int, task: str | None = None) -> tuple[list[Path], dict[str, Any]]:
    """Image files of a split of a data set for Ultralytics, spread over it, and what its data YAML says.

    Args:
        data: Data YAML or the name of a shipped dataset.
        split: ``train``, ``val`` or ``test``; without it, there are no files.
        most: No more files than these.
        task: See :func:`resolve_data`.
    """
    from ultralytics.data.base import BaseDataset
    from ultralytics.data.utils import check_det_dataset

    spec = check_det_dataset(str(resolve_data(data, task)))
    listing = SimpleNamespace(prefix="", fraction=1.0)
    files = BaseDataset.get_img_files(listing, spec[split]) if spec.get(split) else []
    return [Path(f) for f in files[:: -(-len(files) // most) or 1]], spec


def _whole_and_part(data: str) -> tuple[str, str | None]:
    """``haze1k-thin`` is a part of the shipped ``haze1k``; names of shipped sets themselves are never cut."""
    stem = data.removesuffix(".yaml")
    known = list_datasets()
    if stem in known or Path(data).exists() or "-" not in stem:
        return data, None
    whole, _, part = stem.rpartition("-")
    return (whole, part) if whole in known else (data, None)
