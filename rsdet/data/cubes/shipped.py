"""Scenes that rsdet knows by name: the owner's files, as they were unpacked. Nothing is copied.

A shipped YAML names the files as they are passed around, which go by several names and lie in folders of several. From
it and what lies below ``<datasets>/<name>-original``, a plain data YAML is written to ``<datasets>/<name>``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsdet.data.cubes.labels import MAPS
from rsdet.data.original import Original
from rsdet.errors import DataError


def prepare(path: Path, content: dict[str, Any], root: Path) -> Path:
    """Find the files of a shipped scene.

    Args:
        path: The shipped YAML.
        content: What it says.
        root: Folder of the data sets.

    Returns:
        The plain data YAML, in ``<root>/<name>``.

    Raises:
        DataError: The owner's files are not there, all of those told at once; the message says where to put them.
    """
    known = Original.of(path, content, root)
    name, original, how = known
    known.check_there()
    files = sorted(p for p in original.rglob("*") if p.is_file())
    data = known.plain(content)
    missing = []
    for what in ("cube", "lidar", *MAPS, "general"):
        entries = content.get(what)
        if entries is None:
            continue
        several = [_located(e, files, original, name) for e in (entries if isinstance(entries, list) else [entries])]
        missing += [f"{what} ({' or '.join(e)})" for e in several if isinstance(e, list)]
        data[what] = several if isinstance(entries, list) else several[0]
    if missing:
        raise DataError(f"{name}: {', '.join(missing)} is missing in {original}; {how}")
    return known.write(data)


def _located(entry: Any, files: list[Path], original: Path, name: str) -> dict[str, Any] | list[str]:
    """An entry with the file that is there, anywhere below the folder, capitals or not; the names where none is."""
    said = dict(entry) if isinstance(entry, dict) else {"file": entry}
    wanted = said["file"] if isinstance(said["file"], list) else [said["file"]]
    for one in wanted:
        fits = [p for p in files if p.relative_to(original).as_posix().lower().endswith(one.lower())]
        fits = [p for p in fits if p.name.lower() == Path(one).name.lower()]
        if len(fits) > 1:
            both = ", ".join(p.relative_to(original).as_posix() for p in fits[:3])
            raise DataError(f"{name}: {original} holds {len(fits)} files {one}: {both}; leave one of them there.")
        if fits:
            return {**said, "file": fits[0].relative_to(original).as_posix()}
    return wanted
