"""What ``source=`` stands for: existing, readable images are kept, everything else is named."""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rsdet.data.images import SUFFIXES, header_of, no_pixel_limit, problem_of, read_header
from rsdet.data.sar import SarReader, read_sar_header, sar_problem
from rsdet.errors import DataError, nearest
from rsdet.quiet import say, silent_opencv

# What Ultralytics opens besides: videos, and images that need one more package. Its own lists would bring PyTorch.
_OTHER_SUFFIXES = {
    ".asf", ".avi", ".dng", ".gif", ".heic", ".heif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm",
    ".wmv",
}  # fmt: skip


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
        lost = [p for p in self.files if str(p.absolute()) not in read]
        unknown = "cannot be decoded (damaged or cut short); copy it again"
        lines = [(reasons or {}).get(str(p.absolute()), f"{p} {unknown}").rstrip(".") for p in lost]
        self.skipped += lines
        if lost and len(lost) == len(self.files):
            raise DataError(_first_of(lines))
        for line in lines:
            say(f"left out: {line}", logging.WARNING)


def _first_of(skipped: list[str]) -> str:
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"{skipped[0]}{more}."


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    return torch is not None and isinstance(value, torch.Tensor)


def _files(source: str | Path) -> list[Path] | None:
    """Image files that a path or glob stands for; ``None`` where Ultralytics looks itself (video, URL, camera)."""
    text = str(source)
    if "://" in text or text.isnumeric() or text.partition(" ")[0] == "screen":
        return None
    path = Path(text)
    if path.is_file():
        return [path] if path.suffix.lower() in SUFFIXES else None
    known = {*SUFFIXES, *_OTHER_SUFFIXES}
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix.lower() in known)
    if glob.has_magic(text):
        return sorted(p for p in map(Path, glob.glob(text, recursive=True)) if p.suffix.lower() in known)
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and all(os.path.lexists(part) or glob.has_magic(part) for part in parts):
        return [p for part in parts for p in _files(part) or [Path(part)]]
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise DataError(f"source {text!r} does not exist.{nearest(path.name, beside)} Pass an image, a folder or a glob.")


def _problem(path: Path, channels: int, reader: SarReader | None) -> str:
    if path.suffix.lower() in _OTHER_SUFFIXES:
        return "is a video or needs an extra package; pass it by itself"
    name = str(path.absolute())
    if len(name.splitlines()) > 1 or name != name.strip() or any(c == "*" or "\ud800" <= c <= "\udfff" for c in name):
        return "has a name that cannot be listed (a line break, a star or no UTF-8); rename it"
    if reader is not None:
        return sar_problem(read_sar_header(path), reader.stretch)
    return problem_of(read_header(path), channels)


def _sar_pictures(sources: Sequence[Any], reader: SarReader) -> list[Any]:
    """Arrays, Pillow images and files of SAR values as the pictures that the model takes; tensors as they are."""
    pictures = []
    for i, source in enumerate(sources):
        name = "the array" + (f" {i}" if len(sources) > 1 else "")
        if isinstance(source, (str, Path)):
            pictures.append(reader(source))
        elif isinstance(source, (np.ndarray, Image.Image)):
            if (header := header_of(source)) is not None and header.problem:
                raise DataError(f"{name} {header.problem}.")
            pictures.append(reader.array(np.asarray(source), name))
        else:
            pictures.append(source)
    return pictures


def _check_pictures(sources: Any, channels: int) -> None:
    """Refuse arrays, tensors and Pillow images that would be read wrongly."""
    for i, picture in enumerate(sources):
        header = read_header(picture) if isinstance(picture, (str, Path)) else header_of(picture)
        if header is not None and (why := problem_of(header, channels)):
            raise DataError(f"{header.path}{f' {i}' if len(sources) > 1 else ''} {why}.")
        if _is_tensor(picture) and picture.ndim == 4 and picture.shape[1] != channels:
            raise DataError(f"the tensor has {picture.shape[1]} channels, not {channels}; pass (B, {channels}, H, W).")


@contextlib.contextmanager
def usable_source(source: Any, channels: int = 3, reader: SarReader | None = None) -> Iterator[Usable]:
    """Yield a source that Ultralytics can read; it exists as long as the context is open.

    Args:
        source: Path, glob, several of them in a list or with commas between them, array, PIL image, URL, ...
        channels: Channels that the model takes.
        reader: What will read the files, for a model that was trained with a ``sar:`` section; arrays are then values
            of such files.

    Raises:
        DataError: There is no source, it does not exist, or none of its images can be used.
    """
    if source is None or (isinstance(source, (str, list, tuple)) and not source):
        raise DataError("predict needs source=; pass an image, a folder, a glob, a video or a list of them.")
    listed = isinstance(source, (list, tuple)) and all(isinstance(s, (str, Path)) for s in source)
    if not isinstance(source, (str, Path)) and not listed:
        several = isinstance(source, (list, tuple))
        if reader is not None and not _is_tensor(source):
            source, several = _sar_pictures(source if several else [source], reader), True
        unseen = [s for s in (source if several else [source]) if reader is None or _is_tensor(s)]
        _check_pictures(unseen, channels)
        with silent_opencv():
            yield Usable(source)
        return
    groups = [_files(s) for s in (source if listed else [source])]
    if any(g is None for g in groups):
        if listed and len(source) > 1:
            raise DataError("source lists must hold images only; pass videos and streams one at a time.")
        if reader is not None:
            raise DataError(f"source {str(source)!r} is no image file, and the model takes SAR files; pass those.")
        only = str(source[0]) if listed else str(source)
        if os.path.isfile(only) and Path(only).suffix.lower() not in {*_OTHER_SUFFIXES, ".txt", ".csv"}:
            raise DataError(f"source {only!r} is no image and no video; images end in {', '.join(SUFFIXES)}.")
        with silent_opencv():
            yield Usable(only)
        return
    files = list(dict.fromkeys(p for g in groups if g for p in g))
    if not files:
        raise DataError(
            f"source {str(source)!r} holds no images; they must end in {', '.join(SUFFIXES)} and lie in the folder "
            "itself (a glob such as folder/**/*.jpg looks below it)."
        )
    with no_pixel_limit():
        problems = {p: _problem(p, channels, reader) for p in files}
    skipped = [f"{p} {why}" for p, why in problems.items() if why]
    good = [p for p, why in problems.items() if not why]
    if not good:
        raise DataError(_first_of(skipped))
    for line in skipped:
        say(f"left out: {line}", logging.WARNING)
    # A list would make Ultralytics hold every picture in memory; a text file of paths is read one by one.
    with silent_opencv(), tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "images.txt"
        listing.write_text("\n".join(str(p.absolute()) for p in good), encoding="utf-8-sig")  # a sign of UTF-8
        yield Usable(str(listing) if len(good) > 1 else str(good[0]), good, skipped)
