"""What ``source=`` stands for: existing, readable images are kept, everything else is named."""

from __future__ import annotations

import contextlib
import glob
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ultralytics.utils import LOGGER

from rsdet.data.images import SUFFIXES, no_pixel_limit, problem_of, read_header
from rsdet.errors import DataError, nearest


def _files(source: str | Path) -> list[Path] | None:
    """Image files that a path or glob stands for; ``None`` for what Ultralytics reads itself (video, URL, camera)."""
    text = str(source)
    if "://" in text or text.isnumeric() or text == "screen":
        return None
    path = Path(text)
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
    if path.is_file():
        return [path] if path.suffix.lower() in SUFFIXES else None
    if glob.has_magic(text):
        return sorted(p for p in map(Path, glob.glob(text, recursive=True)) if p.suffix.lower() in SUFFIXES)
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise DataError(f"source {text!r} does not exist.{nearest(path.name, beside)} Pass an image, a folder or a glob.")


@contextlib.contextmanager
def usable_source(source: Any) -> Iterator[tuple[Any, list[str]]]:
    """Yield a source that Ultralytics can read, and one line for each file that was left out.

    Args:
        source: Path, glob, list of paths, array, PIL image, URL, ...

    Raises:
        DataError: There is no source, it does not exist, or none of its images can be used.
    """
    if source is None:
        raise DataError("predict needs source=; pass an image, a folder, a glob, a video or a list of them.")
    listed = isinstance(source, (list, tuple)) and all(isinstance(s, (str, Path)) for s in source)
    if not isinstance(source, (str, Path)) and not listed:
        yield source, []
        return
    groups = [_files(s) for s in (source if listed else [source])]
    if any(g is None for g in groups):  # videos, streams: Ultralytics' own readers
        if listed and len(source) > 1:
            raise DataError("source lists must hold images only; pass videos and streams one at a time.")
        yield (str(source[0]) if listed else str(source)), []
        return
    files = [p for g in groups if g for p in g]
    if not files:
        raise DataError(f"source {str(source)!r} holds no images; known suffixes are {', '.join(SUFFIXES)}.")
    with no_pixel_limit():
        problems = {p: problem_of(read_header(p)) for p in files}
    skipped = [f"{p} {why}" for p, why in problems.items() if why]
    good = [p for p, why in problems.items() if not why]
    if not good:
        more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
        raise DataError(f"{skipped[0]}{more}.")
    for line in skipped:
        LOGGER.warning(f"left out: {line}")
    if len(good) == 1:
        yield str(good[0]), skipped
        return
    # A list would make Ultralytics hold every picture in memory; a text file of paths is read one by one.
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "images.txt"
        listing.write_text("\n".join(str(p.absolute()) for p in good), encoding="utf-8")
        yield str(listing), skipped
