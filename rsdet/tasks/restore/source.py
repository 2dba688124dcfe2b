"""What ``source=`` stands for when pictures are restored: files at full depth, arrays, and videos frame by frame."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from rsdet.data.geotiff import Samples
from rsdet.data.images import COLOURS, SUFFIXES, problem_in_memory
from rsdet.data.raster_io import ImageMeta, read_image, take_bands
from rsdet.data.sources import VIDEOS, files_of, name_problem, together
from rsdet.errors import DataError, RSDetError
from rsdet.quiet import say

_OTHER = f"is no image; images end in {', '.join(SUFFIXES)}"


@dataclass
class Source:
    """Pictures to restore, in order.

    Attributes:
        files: Image files; empty for arrays.
        arrays: Pictures in memory, (H, W, C) float32 in [0, 1].
        video: A video file, by itself.
        skipped: One line for each file that was left out.
    """

    files: list[Path] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)
    video: Path | None = None
    skipped: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.files) or len(self.arrays)

    def pictures(
        self, by_windows: Collection[Path] = (), **reading: Any
    ) -> Iterator[tuple[str, np.ndarray | None, ImageMeta]]:
        """Name, picture (H, W, C) float32 in [0, 1] and what its file was; files that cannot be read are noted.

        Of those in ``by_windows``, the name alone.
        """
        arrays = {Path(f"array{i}.png"): array for i, array in enumerate(self.arrays)}
        for path in arrays or self.files:
            if path in by_windows:
                yield str(path), None, ImageMeta(path)
                continue
            try:
                if arrays:
                    image, meta = take_bands(Samples(arrays[path]), reading.get("bands"), path)[0], ImageMeta()
                else:
                    image, meta = read_image(path, **reading)
            except RSDetError as e:
                self.skipped.append(str(e).rstrip("."))
                continue
            yield str(path), image, meta


def find(source: Any) -> Source:
    """Make sense of a source.

    Args:
        source: File, folder, glob, several of them in a list or with commas; arrays (H, W) or (H, W, C) in RGB order,
            of whole numbers of 8 or 16 bits or floats in [0, 1]; Pillow images; tensors (C, H, W) or (B, C, H, W).

    Raises:
        DataError: There is none, it does not exist, or it is something else.
    """
    if source is None or (isinstance(source, (str, list, tuple)) and not source):
        raise DataError("predict needs source=; pass an image, a folder, a glob or a list of them.")
    if isinstance(source, Iterator):
        raise DataError(f"source is a {type(source).__name__}, which can be read once only; pass list(...) of it.")
    several = source if isinstance(source, (list, tuple)) else [source]
    if not all(isinstance(s, (str, Path)) for s in several):
        return Source(arrays=[a for s in several for a in _as_arrays(s)])
    if len(several) == 1 and Path(several[0]).is_file() and Path(several[0]).suffix.lower() in VIDEOS:
        return Source(video=Path(several[0]))
    groups = [files_of(s) for s in several]
    if None in groups:
        wrong = str(several[groups.index(None)])
        raise DataError(f"source {wrong!r} is no image file; images end in {', '.join(SUFFIXES)}.")
    files = together(several, groups)
    good = [p for p in files if p.suffix.lower() in SUFFIXES]
    if not good:
        raise DataError(f"source {str(source)!r} holds no images; they must end in {', '.join(SUFFIXES)}.")
    return Source(files=good, skipped=[f"{p} {name_problem(p) or _OTHER}" for p in files if p not in good])


def _as_arrays(picture: Any) -> list[np.ndarray]:
    torch = sys.modules.get("torch")  # without which nobody has a tensor
    if torch is not None and isinstance(picture, torch.Tensor):
        if picture.ndim not in (3, 4) or not picture.is_floating_point():
            raise DataError(f"a tensor must be (C, H, W) or (B, C, H, W) in [0, 1], received {tuple(picture.shape)}.")
        batch = picture[None] if picture.ndim == 3 else picture
        return [_checked(x.permute(1, 2, 0).detach().cpu().float().numpy()) for x in batch]
    if isinstance(picture, Image.Image):
        if picture.mode in COLOURS:
            raise DataError(f"the image holds {COLOURS[picture.mode]}; pass it as RGB.")
        if problem := problem_in_memory(picture):
            raise DataError(f"the image {problem}.")
        picture = ImageOps.exif_transpose(picture)
        if "A" in picture.mode.upper():
            say("alpha of the image is left out; files keep it.", logging.INFO)
        picture = np.asarray(
            picture if picture.mode.startswith(("F", "I")) or picture.mode == "L" else picture.convert("RGB")
        )
    if not isinstance(picture, np.ndarray) or picture.ndim not in (2, 3) or not picture.size:
        raise DataError(f"source must be files, pictures (H, W, C) or tensors, received {type(picture).__name__}.")
    x = picture if picture.ndim == 3 else picture[..., None]
    if x.shape[0] <= 4 < x.shape[2]:
        raise DataError(f"the array has the shape {x.shape}, channels first; pass (H, W, C).")
    if x.dtype.kind == "u" and x.dtype.itemsize <= 2:
        return [x.astype(np.float32) / np.float32(np.iinfo(x.dtype).max)]
    if x.dtype.kind != "f":
        raise DataError(f"the array holds {x.dtype}; pass 8 or 16 bits without sign, or floats in [0, 1].")
    return [_checked(x.astype(np.float32))]


def _checked(x: np.ndarray) -> np.ndarray:
    if not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
        raise DataError("the array holds values outside of [0, 1]; divide by the largest that its kind can have.")
    return np.ascontiguousarray(x)
