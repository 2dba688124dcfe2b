"""Scenes that ``source=`` stands for: raster files that are here; everything else is named."""

from __future__ import annotations

import glob
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdet.data.images import SUFFIXES as PICTURES
from rsdet.data.sources import OTHER_SUFFIXES, files_of, first_of, name_problem, together
from rsdet.errors import DataError
from rsdet.quiet import say
from rsdet.scenes.assets import REMOTE, assets_of, is_remote
from rsdet.scenes.reader import open_raster

SUFFIXES = (*PICTURES, ".vrt")  # looked for in folders; a file passed by name may end in anything
_ITEMS = (".json", ".geojson")
_URL = re.compile(r"(?<=\w\w):/(?!/)")  # what a path makes of ://


@dataclass(frozen=True)
class Scenes:
    """What a source stands for.

    Attributes:
        files: Rasters, each once, in the order of the source; those of a folder by name.
        skipped: One line for each file that was left out.
    """

    files: list[Path]
    skipped: list[str]


def scenes_of(source: Any) -> Scenes:
    """Find the scenes and tell which files are left out.

    Args:
        source: A raster, a folder of them, a glob, a list of paths in a ``.txt`` or ``.csv`` file, STAC items as JSON;
            or several of these in a list or with commas between them.

    Raises:
        DataError: There is no source, it is no file, or nothing of it can be used.
    """
    several = source if isinstance(source, (list, tuple)) else [source]
    for s in several:
        if s is not None and not isinstance(s, (str, Path)):
            raise DataError(f"tile= is for files, received {type(s).__name__}; pass a path, or leave tile= out.")
    if not all(several) or not several:
        raise DataError("predict needs source=; pass a raster, a folder, a glob, STAC items or a list of them.")
    found: list[Path] = []
    skipped: list[str] = []
    for path in together(several, [_named(s, alone=len(several) == 1) for s in several]):
        try:
            files, without = assets_of(path, SUFFIXES) if _is_items(path) else ([path], [])
            found += files
            skipped += without
        except DataError as e:
            skipped.append(str(e).rstrip("."))
    good: dict[str, Path] = {}
    for path in dict.fromkeys(found):
        try:
            _check(path)
            good.setdefault(os.path.realpath(path), path)
        except DataError as e:
            skipped.append(str(e).rstrip("."))
    if not good:
        raise DataError(first_of(skipped))
    for line in skipped:
        say(f"left out: {line}", logging.WARNING)
    return Scenes(list(good.values()), skipped)


def _named(source: str | Path, alone: bool) -> list[Path]:
    """What a source stands for; where it is none of several, only itself."""
    text = str(source)
    if glob.has_magic(text) and Path(text).suffix.lower() in _ITEMS:
        return sorted(map(Path, glob.glob(text, recursive=True)))
    if alone or os.path.lexists(text) or glob.has_magic(text):
        return files_of(source, SUFFIXES) or [Path(source)]
    return [Path(source)]


def _is_items(path: Path) -> bool:
    return path.suffix.lower() in _ITEMS and path.is_file()


def _check(path: Path) -> None:
    """Refuse what cannot be a scene.

    Raises:
        DataError: It is not here, or is no raster that can be read.
        MissingDependencyError: rasterio is not installed.
    """
    why = name_problem(path)
    if is_remote(str(path)):
        why = f"is on another machine; {REMOTE}"
    elif path.suffix.lower() in OTHER_SUFFIXES:
        why = "is a video or no raster; leave tile= out"
    elif path.is_dir():
        why = f"is a folder without rasters; they end in {', '.join(SUFFIXES)} (folder/**/*.tif looks below it)"
    elif not why and not path.exists():
        why = "does not exist; check the path"
    elif not why and not path.stat().st_size:
        why = "is empty (0 bytes); copy it again"
    if why:
        raise DataError(f"{_URL.sub('://', str(path), count=1)} {why}.")
    with open_raster(path):
        pass
