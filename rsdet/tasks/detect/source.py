"""What ``source=`` stands for: existing, readable images are kept, everything else is named."""

from __future__ import annotations

import contextlib
import csv
import glob
import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from rsdet.data.images import SUFFIXES, header_of, no_pixel_limit
from rsdet.data.pictures import PictureReader
from rsdet.data.sar import SarReader, read_sar_header
from rsdet.errors import DataError, nearest
from rsdet.names import printable
from rsdet.quiet import say, silent_opencv

# What Ultralytics opens besides: videos, and images that need one more package. Its own lists would bring PyTorch.
VIDEOS = {
    ".asf", ".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv",
}  # fmt: skip
_OTHER_SUFFIXES = VIDEOS | {".dng", ".heic", ".heif"}


LISTS = (".txt", ".csv")


@dataclass
class Usable:
    """A source that can be read.

    Attributes:
        source: What to hand to Ultralytics.
        files: The images in it; empty for videos, streams and arrays.
        skipped: One line for each file that was left out.
    """

    source: Any
    files: list[Path] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def check_read(self, read: set[str], reasons: Mapping[str, str] | None = None) -> None:
        """Add the images whose pixels could not be decoded to ``skipped``.

        Args:
            read: Paths of the images that were.
            reasons: Path -> one line that says why not, where it is known.

        Raises:
            DataError: There was none at all.
        """
        lost, why = [p for p in self.files if str(p.absolute()) not in read], dict(reasons or {})
        unknown = "cannot be decoded (damaged or cut short); copy it again"
        lines = [why.pop(str(p.absolute()), f"{p} {unknown}") for p in lost]
        lines = [line.rstrip(".") for line in [*lines, *why.values()]]  # also of what Ultralytics has fetched itself
        self.skipped += lines
        if lines and len(lost) == len(self.files):
            raise DataError(_first_of(lines))
        for line in lines:
            say(f"left out: {printable(line)}", logging.WARNING)


def _first_of(skipped: list[str]) -> str:
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"{skipped[0]}{more}."


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    return torch is not None and isinstance(value, torch.Tensor)


def files_of(source: str | Path) -> list[Path] | None:
    """Image files that a path or glob stands for; ``None`` where Ultralytics looks itself (video, URL, camera)."""
    text = str(source)
    if "://" in text or text.isnumeric() or text.partition(" ")[0] == "screen":
        return None
    path = Path(text)
    if path.is_file() and path.suffix.lower() in LISTS:
        return _listed(path)
    if path.is_file():
        return [path] if path.suffix.lower() in SUFFIXES else None
    known = {*SUFFIXES, *_OTHER_SUFFIXES}
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix.lower() in known)
    found = glob.glob(text, recursive=True) if glob.has_magic(text) else []
    parts = [part.strip() for part in text.split(",")]
    if not found and len(parts) > 1 and all(os.path.lexists(part) or glob.has_magic(part) for part in parts):
        return together(parts, map(files_of, parts))
    if glob.has_magic(text):
        return sorted(p for p in map(Path, found) if p.suffix.lower() in known)
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise DataError(f"source {text!r} does not exist.{nearest(path.name, beside)} Pass an image, a folder or a glob.")


def together(sources: Sequence[str | Path], groups: Iterable[list[Path] | None]) -> list[Path]:
    """The files of several sources, each once; of one that holds none its name, to be told as what is missing."""
    several = len(sources) > 1
    pairs = zip(sources, groups, strict=True)
    return list(dict.fromkeys(p for s, group in pairs for p in group or ([Path(s)] if several else [])))


def _listed(file: Path) -> list[Path]:
    """Files that a list names: one a line, or in a CSV one a cell, as Ultralytics reads it.

    A name is looked for in the working folder, then beside the list; folders and globs stand for what is in them. What
    does not exist is kept, to be named. A line that starts with ``#`` is a comment.

    Raises:
        DataError: The list is no text.
    """
    try:
        lines = file.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise DataError(f"{file} is no list of images (no text in UTF-8); pass a file with one path a line.") from e
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    if file.suffix.lower() == ".csv":
        rows = list(csv.reader(lines))
        lines = [cell for row in rows[rows[:1] == [["source"]] :] for cell in row]  # the header is optional
    found: list[Path] = []
    for name in filter(None, map(str.strip, lines)):
        here = Path(name), file.parent / name
        found += _there(here[0]) or _there(here[1]) or [next((p for p in here if p.exists()), here[0])]
    return found


def _there(path: Path) -> list[Path]:
    """What a line of a list stands for; nothing where nothing is there."""
    if path.is_dir() or (glob.has_magic(str(path)) and not path.exists()):
        return files_of(path) or []
    return [path] if path.exists() else []


def name_problem(path: Path) -> str:
    """Why a path cannot be an image that is here, in words; empty where it can."""
    if path.suffix.lower() in _OTHER_SUFFIXES:
        return "is a video or needs an extra package; pass it by itself"
    if glob.has_magic(str(path)) and not os.path.lexists(path):
        return "matches no image; check the folder and the pattern"
    name = str(path.absolute())
    if len(name.splitlines()) > 1 or name != name.strip() or any(c == "*" or "\ud800" <= c <= "\udfff" for c in name):
        return "has a name that cannot be listed (a line break, a star or no UTF-8); rename it"
    return ""


def _video_problem(path: Path) -> str:
    with silent_opencv():
        return "" if cv2.VideoCapture(str(path)).isOpened() else "is no video that can be read; copy it again"


def _in_memory(sources: Sequence[Any], reader: SarReader | PictureReader) -> list[Any]:
    """Arrays, Pillow images and files among them as Ultralytics takes them; tensors as they are.

    Raises:
        DataError: One would be read wrongly.
    """
    pictures = []
    for i, source in enumerate(sources):
        which = f" {i}" if len(sources) > 1 else ""
        if isinstance(source, (str, Path)):
            pictures.append(reader(source))
        elif isinstance(source, (np.ndarray, Image.Image)):
            header = header_of(source)
            if header.problem:
                raise DataError(f"{header.path}{which} {header.problem}.")
            if reader.of_values:
                pictures.append(reader.array(np.asarray(source), f"{header.path}{which}"))
                continue
            picture = reader.array(source, f"{header.path}{which}")
            # Pillow images of a file keep its name, which results carry, where Ultralytics makes the same of them.
            pictures.append(source if reader.bands is None and reader.channels in (1, 3) else picture)
        else:
            if _is_tensor(source) and source.ndim == 4 and source.shape[1] != reader.channels:
                has, takes = source.shape[1], reader.channels
                raise DataError(f"the tensor has {has} channels, not {takes}; pass (B, {takes}, H, W).")
            pictures.append(source)
    return pictures


@contextlib.contextmanager
def usable_source(source: Any, reader: SarReader | PictureReader | None = None) -> Iterator[Usable]:
    """Yield a source that Ultralytics can read; it exists as long as the context is open.

    Args:
        source: Path, glob, list of paths in a ``.txt`` or ``.csv`` file, several of them in a list or with commas
            between them, array, PIL image, URL, ...
        reader: What will read the files; that of 3 channels where not given. For a model that was trained with a
            ``sar:`` section arrays are values of its files.

    Raises:
        DataError: There is no source, it does not exist, or none of its images can be used.
    """
    reader = reader or PictureReader()
    if source is None or (isinstance(source, (str, list, tuple)) and not source):
        raise DataError("predict needs source=; pass an image, a folder, a glob, a video or a list of them.")
    listed = isinstance(source, (list, tuple)) and all(isinstance(s, (str, Path)) for s in source)
    if not isinstance(source, (str, Path)) and not listed:
        several = isinstance(source, (list, tuple))
        pictures = _in_memory(source if several else [source], reader)
        with silent_opencv():
            yield Usable(pictures if several or not _is_tensor(source) else source)
        return
    groups = [files_of(s) for s in (source if listed else [source])]
    if listed and len(source) > 1:
        films = [Path(s).is_file() and Path(s).suffix.lower() in VIDEOS for s in source]
        groups = [[] if film else group for film, group in zip(films, groups, strict=True)]
    if any(g is None for g in groups):
        if listed and len(source) > 1:
            raise DataError("source lists must hold images only; pass videos and streams one at a time.")
        if reader.of_values:
            raise DataError(f"source {str(source)!r} is no image file, and the model takes SAR files; pass those.")
        only = str(source[0]) if listed else str(source)
        if os.path.isfile(only) and Path(only).suffix.lower() not in _OTHER_SUFFIXES:
            raise DataError(f"source {only!r} is no image and no video; images end in {', '.join(SUFFIXES)}.")
        with silent_opencv():
            yield Usable(only)
        return
    files = together(source if listed else [source], groups)
    if not files:
        raise DataError(
            f"source {str(source)!r} holds no images; they must end in {', '.join(SUFFIXES)} and lie in the folder "
            "itself (a glob such as folder/**/*.jpg looks below it)."
        )
    videos = not reader.of_values and all(p.suffix.lower() in VIDEOS for p in files)
    why_not = _video_problem if videos else name_problem
    with no_pixel_limit():
        headers = {p: read_sar_header(p) for p in files if not videos and not name_problem(p)}
    problems = {p: reader.header_problem(headers[p]) if p in headers else why_not(p) for p in files}
    skipped = [f"{p} {why}" for p, why in problems.items() if why]
    good = [p for p, why in problems.items() if not why]
    if not good:
        raise DataError(_first_of(skipped))
    for line in skipped:
        say(f"left out: {printable(line)}", logging.WARNING)
    if headers and not reader.of_values:
        reader.note([headers[p] for p in good])
    # A list would make Ultralytics hold every picture in memory; a text file of paths is read one by one.
    with silent_opencv(), tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "images.txt"
        listing.write_text("\n".join(str(p.absolute()) for p in good), encoding="utf-8-sig")  # a sign of UTF-8
        yield Usable(str(listing) if len(good) > 1 else str(good[0]), [] if videos else good, skipped)
