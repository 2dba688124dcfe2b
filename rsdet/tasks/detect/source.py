"""What ``source=`` stands for: existing, readable images are kept, everything else is named."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from rsdet.data.images import SUFFIXES, header_of, no_pixel_limit
from rsdet.data.pictures import PictureReader
from rsdet.data.sar import SarReader, read_sar_header
from rsdet.data.sources import OTHER_SUFFIXES, VIDEOS, files_of, first_of, name_problem, together
from rsdet.errors import DataError
from rsdet.names import printable
from rsdet.quiet import say, silent_opencv


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
            read: Paths of the images and videos that were.
            reasons: Path -> one line that says why not, where it is known.

        Raises:
            DataError: There was none at all.
        """
        lost, why = [p for p in self.files if str(p.absolute()) not in read], dict(reasons or {})
        unknown = "cannot be decoded (damaged or cut short); copy it again"
        lines = [why.pop(str(p.absolute()), f"{p} {unknown}") for p in lost]
        lines = [line.rstrip(".") for line in [*lines, *why.values()]]  # also of what Ultralytics has fetched itself
        self.skipped += lines
        if lines and (len(lost) == len(self.files) if self.files else not read):
            raise DataError(first_of(lines))
        for line in lines:
            say(f"left out: {printable(line)}", logging.WARNING)


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    return torch is not None and isinstance(value, torch.Tensor)


def _check_tensor(batch: Any, channels: int) -> None:
    """Refuse a tensor of which a network would make something without a word; what is left Ultralytics says.

    Raises:
        DataError: It has other channels, or values that no picture has.
    """
    if batch.ndim == 4 and batch.shape[1] != channels:
        raise DataError(f"the tensor has {batch.shape[1]} channels, not {channels}; pass (B, {channels}, H, W).")
    if batch.numel() and batch.is_floating_point():
        low, high = (float(x) for x in batch.detach().aminmax())  # NaN where there is one
        if not (low >= 0 and high < float("inf")):
            raise DataError(f"the tensor holds values from {low:g} to {high:g}; pass RGB from 0 to 1, not normalized.")


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
            if _is_tensor(source):
                _check_tensor(source, reader.channels)
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
    if isinstance(source, Iterator):
        raise DataError(f"source is a {type(source).__name__}, which can be read once only; pass list(...) of it.")
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
        if os.path.isfile(only) and Path(only).suffix.lower() not in OTHER_SUFFIXES:
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
    skipped = [printable(f"{p} {why}") for p, why in problems.items() if why]
    good = [p for p, why in problems.items() if not why]
    if not good:
        raise DataError(first_of(skipped))
    for line in skipped:
        say(f"left out: {printable(line)}", logging.WARNING)
    if headers and not reader.of_values:
        reader.note([headers[p] for p in good])
    # A list would make Ultralytics hold every picture in memory; a text file of paths is read one by one.
    with silent_opencv(), tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "images.txt"
        listing.write_text("\n".join(str(p.absolute()) for p in good), encoding="utf-8-sig")  # a sign of UTF-8
        yield Usable(str(listing) if len(good) > 1 else str(good[0]), [] if videos else good, skipped)
