"""One restored picture: its pixels at full depth, and what is needed to write it as the kind of file it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.raster_io import WRITABLE, ImageMeta, read_image, write_image
from rsdet.tasks.restore.visual import side_by_side

LOSSLESS = {".png", ".tif", ".tiff", ".bmp"}  # other formats are written as PNG: the result is not compressed again


@dataclass
class RestoreResults:
    """Outcome of a prediction on one picture.

    Attributes:
        path: Where the picture came from.
        image: (scale * H, scale * W, C) float32 in [0, 1], RGB.
        orig_image: (H, W, C), the picture as it came, likewise.
        scale: Output pixels per input pixel along each axis.
        meta: Depth, alpha, place on Earth of the source.
        speed: Milliseconds of the parts.
        save_path: Where it was written, if it was.
        stopped: The method was told to stop before it was done; this is the best it had.
        extras: What else the method tells, such as ``kernel`` and ``losses``.
    """

    path: str
    image: np.ndarray
    orig_image: np.ndarray
    scale: int
    meta: ImageMeta = field(default_factory=ImageMeta)
    speed: dict[str, float] = field(default_factory=dict)
    save_path: Path | None = None
    stopped: bool = False
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def orig_shape(self) -> tuple[int, int]:
        """Height and width of the source."""
        return self.orig_image.shape[:2]

    def save(self, path: str | Path) -> Path:
        """Write the picture in the depth of its source, a GeoTIFF with its place; the suffix decides the format."""
        self.save_path = write_image(path, self.image, self.meta, self.scale)
        return self.save_path

    def plot(self) -> np.ndarray:
        """Input and output side by side, (H', W', 3) uint8 BGR."""
        names = f"input {self.orig_shape[1]}x{self.orig_shape[0]}", f"x{self.scale}" if self.scale > 1 else "restored"
        table = side_by_side([[(self.orig_image, names[0]), (self.image, names[1])]])
        return np.ascontiguousarray(table[..., ::-1])


class SceneResults(RestoreResults):
    """Outcome of a prediction on a raster that was restored by windows: ``save_path`` says where it lies.

    No array is in memory. ``image`` and ``orig_image`` are read from the files each time they are asked for, whole.

    Args:
        path: Where the raster came from.
        save_path: What was made of it.
        size_hw: Height and width of the source.
        scale: Output pixels per input pixel along each axis.
        channels: Of the model.
        meta: Depth, value range and bands of the source.
        speed: Milliseconds of the parts.
    """

    def __init__(
        self,
        path: str,
        save_path: Path,
        size_hw: tuple[int, int],
        scale: int,
        channels: int,
        meta: ImageMeta,
        speed: dict[str, float],
    ):
        self.path, self.save_path, self.scale, self.meta, self.speed = path, save_path, scale, meta, speed
        self.size_hw, self.channels, self.stopped, self.extras = size_hw, channels, False, {}

    @property
    def image(self) -> np.ndarray:  # type: ignore[override]
        """The picture that was made; DataError where it is larger than is read at once."""
        return read_image(self.save_path, channels=self.channels, value_range=self.meta.value_range)[0]

    @property
    def orig_image(self) -> np.ndarray:  # type: ignore[override]
        """The source, likewise."""
        bands = None if self.meta.bands is None else list(self.meta.bands)
        return read_image(self.path, channels=self.channels, bands=bands, value_range=self.meta.value_range)[0]

    @property
    def orig_shape(self) -> tuple[int, int]:
        """Height and width of the source."""
        return self.size_hw

    def __repr__(self) -> str:
        return f"SceneResults(path={self.path!r}, save_path={str(self.save_path)!r}, scale={self.scale})"


def suffix_for(source: str | Path, meta: ImageMeta) -> str:
    """Suffix under which the result of a file is written: its own where that loses nothing, else .png or .tif."""
    suffix = Path(source).suffix.lower()
    dtype = "float32" if np.dtype(meta.dtype).kind == "f" else meta.dtype
    if meta.geo is not None:
        return suffix if suffix in (".tif", ".tiff") else ".tif"
    if suffix in LOSSLESS and dtype in WRITABLE[suffix]:
        return suffix
    return ".png" if dtype in WRITABLE[".png"] else ".tif"
