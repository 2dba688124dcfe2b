"""One restored picture: its pixels at full depth, and what is needed to write it as the kind of file it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.raster_io import WRITABLE, ImageMeta, write_image
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


def suffix_for(source: str | Path, meta: ImageMeta) -> str:
    """Suffix under which the result of a file is written: its own where that loses nothing, else .png or .tif."""
    suffix = Path(source).suffix.lower()
    dtype = "float32" if np.dtype(meta.dtype).kind == "f" else meta.dtype
    if meta.geo is not None:
        return suffix if suffix in (".tif", ".tiff") else ".tif"
    if suffix in LOSSLESS and dtype in WRITABLE[suffix]:
        return suffix
    return ".png" if dtype in WRITABLE[".png"] else ".tif"
