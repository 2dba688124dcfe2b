"""Sets of pairs that rsdet knows by name: the owner's files, as they were unpacked, listed as pairs.

Nothing is copied. A shipped YAML says which folders hold inputs and targets (``layout``), who belongs to which split
where the owner says nothing (``split``), and the rest that every dataset YAML says (licence, citation, instruction).
From that and what lies in ``<datasets>/<name>-original``, lists and a plain data YAML are written to
``<datasets>/<name>``; they are written anew where they differ, so a changed source is followed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from rsdet.data.original import Original
from rsdet.data.pairs.matching import Pair, Problems, list_pictures, match
from rsdet.data.splitting import seeded_split
from rsdet.errors import ConfigError, DataError, nearest
from rsdet.writing import disk_errors, write_if_changed

_COPIED = ("task", "kind", "licence", "homepage", "citation", "degrade", "metrics", "channels", "bands", "range")


def prepare(path: Path, content: dict[str, Any], root: Path, part: str | None = None) -> Path:
    """List the pairs of a shipped set.

    Args:
        path: The shipped YAML.
        content: What it says.
        root: Folder of the data sets.
        part: One of its ``parts``; None takes all.

    Returns:
        The plain data YAML, in ``<root>/<name>``.

    Raises:
        ConfigError: No such part.
        DataError: The owner's files are not there, or do not pair; the message says where to put them.
    """
    known = Original.of(path, content, root)
    name, original, instruction = known
    parts = list(content.get("parts") or [])
    if part is not None and part not in parts:
        there = ", ".join(parts) or "none"
        raise ConfigError(f"data={name}-{part}: {name} has the parts {there}.{nearest(part, parts)}")
    known.check_there()
    folders = _folders(original)
    problems = Problems()
    found: dict[str, list[Pair]] = {}
    for entry in content["layout"]:
        if part is None or entry.get("part", part) == part:
            for split, pairs in _entry(entry, content, original, folders, problems, instruction).items():
                found.setdefault(split, []).extend(pairs)
    problems.raise_any(name, f"Compare with the owner's files; {instruction}")
    title = f"{name}-{part}" if part else name
    _warn_of_gaps(title, content, part, found)
    return _write(root / name, title, content, original, found)


def _folders(original: Path) -> list[str]:
    """All folders below the owner's files, as relative paths with slashes."""
    return sorted(Path(f).relative_to(original).as_posix() for f, _, _ in os.walk(original) if Path(f) != original)


def _matching(pattern: str, folders: list[str]) -> list[str]:
    """Folders whose path ends with a pattern, whatever stands above; case does not matter."""
    wanted = pattern.lower()
    return [f for f in folders if fnmatch(f.lower(), wanted) or fnmatch(f.lower(), f"*/{wanted}")]


def _side(wanted: Any, original: Path, folders: list[str], instruction: str) -> list[tuple[Path, Path]]:
    """Pictures of one side of an entry: of the folder that fits one of several names, or of all folders of a list."""
    patterns = [wanted] if isinstance(wanted, str) else list(wanted)
    every = isinstance(wanted, list)
    places: list[str] = []
    for pattern in patterns:
        fits = [f for name in pattern.split("|") for f in _matching(name.strip(), folders)]
        if len(fits) > 1:
            raise DataError(
                f"{original} holds {len(fits)} folders {pattern}: {', '.join(fits[:3])}; leave one copy of the files"
            )
        if not fits:
            raise DataError(f"{original} holds no folder {pattern}; {instruction}")
        places += fits
    return [
        (p, (original / place).parent if every else folder)
        for place in places
        for p, folder in list_pictures(place, original, str(original))
    ]


def _entry(
    entry: dict[str, Any], content: dict[str, Any], original: Path, folders: list[str], problems: Problems, how: str
) -> dict[str, list[Pair]]:
    inputs = _side(entry["input"], original, folders, how) if "input" in entry else None
    targets = _side(entry["target"], original, folders, how)
    if inputs is not None:
        pairs = match(inputs, targets, content.get("pairing") or {}, problems)
    else:
        problems.look_at(path for path, _ in targets)
        pairs = [Pair(p.relative_to(base).with_suffix("").as_posix(), None, p) for p, base in targets]
    if "split" in entry:
        return {entry["split"]: pairs}
    return _divided(pairs, float(content["split"]["val"]), int(content["split"].get("seed", 0)))


def _divided(pairs: list[Pair], fraction: float, seed: int) -> dict[str, list[Pair]]:
    """A seeded split, within each class where the pictures lie in folders of classes."""
    classes: dict[str, list[Pair]] = {}
    for pair in pairs:
        classes.setdefault(pair.key.rpartition("/")[0], []).append(pair)
    out: dict[str, list[Pair]] = {"train": [], "val": []}
    for members in classes.values():
        of = seeded_split((p.key.rpartition("/")[2] for p in members), fraction, seed)
        for pair in members:
            out[of[pair.key.rpartition("/")[2]]].append(pair)
    return out


def _warn_of_gaps(title: str, content: dict[str, Any], part: str | None, found: dict[str, list[Pair]]) -> None:
    parts = content.get("parts") or [None]
    for split, facts in (content.get("splits") or {}).items():
        stated = int(facts["images"]) * (1 if part or parts == [None] else len(parts))
        if stated != (have := len(found.get(split, []))):
            logging.getLogger("rsdet").warning(
                "%s: %s has %d pictures, its owner states %d", title, split, have, stated
            )


def _lines(paths: Iterable[Path], original: Path) -> str:
    return "".join(f"{p.relative_to(original).as_posix()}\n" for p in paths)


def _write(folder: Path, title: str, content: dict[str, Any], original: Path, found: dict[str, list[Pair]]) -> Path:
    data: dict[str, Any] = {"name": title, **{k: content[k] for k in _COPIED if k in content}, "path": str(original)}
    data["pairing"] = "order"
    with disk_errors(folder):
        for split in ("train", "val", "test"):
            pairs = sorted(found.get(split, []), key=lambda p: p.target.as_posix())
            if not pairs:
                continue
            sides = {"input": [p.input for p in pairs], "target": [p.target for p in pairs]}
            data[split] = {}
            for side, paths in sides.items():
                if paths[0] is not None:
                    listed = folder.resolve() / f"{title}-{split}-{side}.txt"
                    write_if_changed(listed, _lines(paths, original))
                    data[split][side] = str(listed)
        if "val" not in data and "test" in data:
            data["val"] = data["test"]
        head = f"# Made by rsdet of the files in {original.name}; the i-th input belongs to the i-th target.\n"
        text = head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        write_if_changed(folder / f"{title}.yaml", text)
    return folder / f"{title}.yaml"
