"""k folds of a data set as data YAMLs with lists: nothing is copied, each picture is validated on exactly once.

What belongs together, such as the tiles of a scene or the frames of a flight, is in one fold: pictures that show the
same ground on both sides would make validation a test of memory. As in :mod:`rsdet.data.splitting`, no random generator
is asked, and neither order nor place of the files matters: groups are ordered by their size and the SHA-256 of
``"<seed>/<group>"``, and each goes to the fold that has the fewest pictures.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import yaml

from rsdet.data.resolve import resolve_data, split_files, tasks_of, tasks_stated
from rsdet.data.splitting import scene_of
from rsdet.errors import ConfigError, DataError, nearest
from rsdet.quiet import say
from rsdet.textfiles import read_yaml
from rsdet.writing import write_if_changed

_TASKS = {"detect", "obb", "segment", "semantic"}  # whose pictures stand in lists; others have pairs, tables or cubes
_LAST_NUMBER = re.compile(r"[\W_]*\d+\D*$")
_MADE = re.compile(r"fold\d+(\.yaml|-(train|val)\.txt)")
_NOT_KEPT = ("train", "val", "path", "download", "yaml_file")


def _sequence_of(stem: str) -> str:
    """A name up to its last number: what the frames of a flight share."""
    return _LAST_NUMBER.sub("", stem)


_RULES: dict[str, Callable[[str], str]] = {"scene": scene_of, "sequence": _sequence_of}


def split(
    data: str,
    k: int = 5,
    by: str = "scene",
    seed: int = 0,
    out: str | None = None,
    task: str | None = None,
) -> list[Path]:
    """Divide the pictures that a data set has for training and validation into folds, for cross-validation.

    Writes ``out/fold1.yaml`` and so on, each with a list of its training and one of its validation pictures. The rest
    of the data YAML stays, its ``test`` part too. Labels lie where they are.

    Args:
        data: Data YAML or the name of a shipped data set, whose ``train`` and ``val`` are put together.
        k: Number of folds, 2 or more.
        by: What must not be divided: scene (tiles as convert and DOTA's kit name them), sequence (names that differ in
            their last number only), image (nothing), or a regular expression, whose first group, or what it fits, is
            the name of the group.
        seed: Another number draws other folds.
        out: Folder; <name of the data YAML>-folds where it is left out.
        task: Task that the labels are for; the usual one of the data where it is left out.

    Returns:
        The data YAMLs, one a fold.

    Raises:
        ConfigError: A value out of its range, or data whose pictures do not stand in lists.
        DataError: Fewer groups than folds, or names that the pattern does not fit.
    """
    check_given(k)
    _check_asked(data, tasks_stated(data), task)  # before anything is drawn or fetched
    _check_task(data, tasks_stated(data))
    path = resolve_data(data, task)
    content = read_yaml(path)
    _check_task(data, tasks_of(path, content), "names" in content)
    files = {os.path.abspath(f) for part in ("train", "val") for f in split_files(path, part, 10**9, task)[0]}
    root = Path(split_files(path, "train", 1, task)[1]["path"])
    groups = _groups(sorted(files), root, by)
    folds = _folds(groups, k, seed)
    folder = Path(out or f"{path.stem}-folds").expanduser().absolute()
    names = [f"fold{i + 1}" for i in range(k)]
    texts, counts = {}, []
    for i, name in enumerate(names):
        parts = {
            "train": [f for j in range(k) if j != i for group in folds[j] for f in groups[group]],
            "val": [f for group in folds[i] for f in groups[group]],
        }
        for part, members in parts.items():
            texts[folder / f"{name}-{part}.txt"] = "".join(f"{f}\n" for f in sorted(members))
        lists = {part: str(folder / f"{name}-{part}.txt") for part in parts}
        kept = {key: v for key, v in content.items() if key not in _NOT_KEPT}
        text = yaml.safe_dump({"path": str(root), **lists, **kept}, sort_keys=False, allow_unicode=True)
        texts[folder / f"{name}.yaml"] = text
        counts.append(f"{name}: {len(parts['train'])} train, {len(parts['val'])} val, of {len(folds[i])} groups")
    for there in sorted(folder.glob("fold*")):  # something may have been trained on them
        if _MADE.fullmatch(there.name) and there.read_bytes() != texts.get(there, "").encode():
            raise DataError(f"{folder} holds {there.name} of another split; choose another out=, or remove the folder")
    for file, text in texts.items():
        write_if_changed(file, text)
    for line in counts:
        say(line)
    if len(groups) == len(files) and by != "image":
        say(f"by={by} found no two pictures that belong together; by=sequence or by=PATTERN may, such as by='^[^_]+'")
    return [folder / f"{name}.yaml" for name in names]


def check_given(k: int = 5, task: str | None = None, **others: Any) -> None:
    """Refuse what no data could be divided by.

    Args:
        k: As in :func:`split`.
        task: Likewise.
        **others: Its other arguments, which are looked at with the data.

    Raises:
        ConfigError: Fewer than two folds, or a task whose pictures do not stand in lists.
    """
    if k < 2:
        raise ConfigError(f"k={k} must be 2 or more: one fold validates, the others train; e.g. k=5")
    if task is not None and task not in _TASKS:
        fit = sorted(_TASKS)
        raise ConfigError(
            f"task={task!r} must be one whose pictures stand in lists: {', '.join(fit)}.{nearest(task, fit)} Leave "
            "task= out for the usual one of the data."
        )


def _check_asked(data: str, known: tuple[str, ...], task: str | None) -> None:
    """Refuse a task that data are not made for, or that there is not.

    Raises:
        ConfigError: It is one.
    """
    fit = sorted(_TASKS & {*known} or _TASKS)
    if task is not None and task not in fit:
        raise ConfigError(
            f"task={task!r} must be a task that data={data} are for: {', '.join(fit)}.{nearest(task, fit)} Leave task= "
            "out for the usual one."
        )


def _check_task(data: str, known: tuple[str, ...], listed: bool = True) -> None:
    if not listed or (known and not _TASKS & {*known}):
        which = f"task={', '.join(known)}" if known else "another task"
        raise ConfigError(
            f"data={data} is for {which}, whose pictures do not stand in lists; split takes data for "
            f"{', '.join(sorted(_TASKS))}"
        )


def _groups(files: list[str], root: Path, by: str) -> dict[str, list[str]]:
    """Pictures by what they belong to.

    Args:
        files: Absolute paths, in order.
        root: Folder of the set, on which the names of groups do not depend.
        by: See :func:`split`.
    """
    if bad := [f for f in files if any("\ud800" <= c <= "\udfff" for c in f) or len(f.splitlines()) > 1]:
        raise DataError(f"the file name {bad[0]!r} cannot stand in a list; rename the file")
    try:
        pattern = re.compile(by)
    except re.error as e:
        raise ConfigError(f"by={by!r} is no rule and no regular expression ({e}); e.g. by=scene, or by='^[^_]+'") from e

    def group(file: str) -> str:
        stem = Path(file).stem
        if by == "image":
            return PurePath(os.path.relpath(file, root)).as_posix()
        if by in _RULES:
            return _RULES[by](stem)
        found = pattern.search(stem)
        fits = found and (found[1] if pattern.groups else found[0])
        if not fits:
            raise DataError(
                f"by={by!r} does not fit the name {stem}, so that nobody knows what it belongs to."
                f"{nearest(by, [*_RULES, 'image'])} Give a pattern that fits every name"
            )
        return fits

    groups: dict[str, list[str]] = {}
    for file in files:
        groups.setdefault(group(file), []).append(file)
    return groups


def _folds(groups: dict[str, list[str]], k: int, seed: int) -> list[list[str]]:
    """Names of the groups of each fold, as equal in pictures as whole groups allow."""
    if len(groups) < k:
        raise DataError(
            f"{len(groups)} groups ({', '.join(sorted(groups)[:3])}, ...) cannot make k={k} folds; lower k="
        )

    def order(group: str) -> tuple[int, bytes, str]:
        return -len(groups[group]), hashlib.sha256(f"{seed}/{group}".encode("utf-8", "surrogateescape")).digest(), group

    folds: list[list[str]] = [[] for _ in range(k)]
    sizes = [0] * k
    for group in sorted(groups, key=order):
        least = min(range(k), key=lambda i: (sizes[i], i))
        folds[least].append(group)
        sizes[least] += len(groups[group])
    return folds
