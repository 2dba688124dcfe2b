"""An open cube: what its header says, and windows of it as values, whatever its file is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rsdet.data.decoding import within_memory
from rsdet.errors import ConfigError, DataError
from rsdet.scenes.georef import Georef

Sampler = Callable[[slice, slice, "Sequence[int] | slice"], np.ndarray]


@dataclass(eq=False)
class CubeFile:
    """A cube, read by windows where its format allows; a context manager.

    A value is ``sample * scale + offset``.

    Attributes:
        path: Its file; the header of an ENVI cube.
        shape: (H, W, B): rows, columns, bands. A raster of one band has B = 1.
        dtype: NumPy's type of the stored samples.
        sampler: From rows, columns (slices with bounds) and bands (places from 0) to (h, w, b) samples as stored.
        key: Variable of the file that is read; None for files that hold one array.
        wavelengths_nm: (B,) float64 middles of the bands in nanometres; None where nobody says.
        good: (B,) bool, False for bands that the file calls bad.
        georef: Where it lies; None where it lies nowhere on a map.
        nodata: Value of a sample that means "no data" in every band; None without one.
        nodatas: Of each band, where they differ.
        scale: (B,) float64.
        offset: (B,) float64.
        windowed: Whether a window is read without the rest; else the whole is held in memory.
        closing: What closes the file.
        files: All that it is read from; ``path`` alone where nobody says.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype
    sampler: Sampler
    key: str | None = None
    wavelengths_nm: np.ndarray | None = None
    good: np.ndarray = field(default=None)  # type: ignore[assignment]
    georef: Georef | None = None
    nodata: float | None = None
    nodatas: Sequence[float | None] | None = None
    scale: np.ndarray = field(default=None)  # type: ignore[assignment]
    offset: np.ndarray = field(default=None)  # type: ignore[assignment]
    windowed: bool = False
    closing: Callable[[], None] | None = None
    files: Sequence[Path] = ()

    def __post_init__(self) -> None:
        if not all(self.shape):
            raise DataError(f"{self.path} has no pixels ({_size(self.shape)}); check how it was written.")
        if self.dtype.kind not in "biuf":
            what = "complex samples" if self.dtype.kind == "c" else f"samples of type {self.dtype}"
            raise DataError(f"{self.path} holds {what}; save it as real numbers.")
        bands, self.files = self.shape[2], self.files or (self.path,)
        self.good = np.ones(bands, bool) if self.good is None else self.good
        self.scale = np.ones(bands) if self.scale is None else self.scale
        self.offset = np.zeros(bands) if self.offset is None else self.offset

    def __enter__(self) -> CubeFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self.closing is not None:
            self.closing()
            self.closing = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.shape[:2]

    def read(
        self, rows: slice | None = None, cols: slice | None = None, bands: Sequence[int] | None = None
    ) -> np.ndarray:
        """Read a window.

        Args:
            rows: Rows from 0, without a step; None for all.
            cols: Columns likewise.
            bands: Places of the bands from 0, in the order they are wanted; None for all.

        Returns:
            (h, w, b) float32 values, contiguous; NaN where a sample is no data or not finite.

        Raises:
            ConfigError: There are no such bands.
            DataError: The file cannot be read there, or the window is larger than the memory.
        """
        height, width, count = self.shape
        window = _within(rows, height), _within(cols, width)
        if bands is not None and not all(0 <= b < count for b in bands):
            raise ConfigError(f"{self.path} has {count} bands, received {list(bands)}; their places go from 0.")
        taken = slice(0, count) if bands is None else list(bands)
        with within_memory(self.path):
            raw = self.sampler(*window, taken)
            values = np.ascontiguousarray(raw, np.float32) if raw.dtype != np.float32 else np.array(raw, order="C")
            missing = self._missing(raw, taken)
            scale, offset = self.scale[taken], self.offset[taken]
            if (scale != 1).any() or (offset != 0).any():
                values *= scale.astype(np.float32)
                values += offset.astype(np.float32)
            if missing is not None:
                values[missing] = np.nan
            if raw.dtype.kind == "f":
                values[~np.isfinite(values)] = np.nan
            return values

    def _missing(self, raw: np.ndarray, taken: Sequence[int] | slice) -> np.ndarray | None:
        """(h, w, b) bool, which samples are no data."""
        if self.nodatas is None and self.nodata is None:
            return None
        nodatas = np.array([self.nodata] * self.shape[2] if self.nodatas is None else self.nodatas, object)[taken]
        out = np.zeros(raw.shape, bool)
        for value in {v for v in nodatas if v is not None and v == v}:
            if raw.dtype.kind == "f" or (float(value).is_integer() and _fits(value, raw.dtype)):
                which = np.array([v == value for v in nodatas], bool)
                out |= (raw == raw.dtype.type(value)) & which
        return out if out.any() else None


def _fits(value: float, dtype: np.dtype) -> bool:
    if dtype.kind == "b":
        return value in (0, 1)
    return np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def _within(part: slice | None, length: int) -> slice:
    if part is None:
        return slice(0, length)
    start, stop, step = part.indices(length)
    if step != 1:
        raise ConfigError(f"windows have no step, received {part}; read all and take what is wanted.")
    return slice(start, max(start, stop))


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
