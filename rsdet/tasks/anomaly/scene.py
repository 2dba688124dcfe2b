"""A cube in which anomalies are sought: its usable bands by windows, as values and as networks take them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.classical.anomaly import Background
from rsdet.data.cubes.cube import CubeFile
from rsdet.data.cubes.opening import open_cube
from rsdet.data.cubes.usable import row_blocks, usable_bands
from rsdet.errors import DataError

SPAN = 0.1  # networks get values in [-SPAN, SPAN]
_PIXEL_BYTES = 12  # that a score, its mask and its picture take
_HELD_BYTES = 2**29  # cubes up to this are read once and kept


class CubeScene:
    """An open cube and the bands of it that are looked at; a context manager.

    Args:
        cube: The cube; closed with the scene.
        bands: What :func:`rsdet.data.cubes.bands.bands_of` takes; constant and empty ones are refused,
            with ``usable`` among these words left out.
        name: For messages and files.

    Attributes:
        places: Places of the bands from 0.
        ranges: Ranges of these bands.
        truth: (H, W), above 0 where there is an anomaly; None where nobody says.

    Raises:
        ConfigError: There are no such bands.
        DataError: None of them says anything, or the scene is too large for this machine.
    """

    truth: np.ndarray | None = None

    def __init__(self, cube: CubeFile, bands: Any = "all", name: str | None = None):
        self.cube, self.name = cube, name or cube.path.stem
        _check_fits(cube)
        self.places, self.ranges = usable_bands(bands, cube)
        height, width = cube.size_hw
        small = 4 * height * width * len(self.places) <= _HELD_BYTES
        self._held = cube.read(bands=self.places) if small else None

    @classmethod
    def open(
        cls, source: str | Path | np.ndarray, bands: Any = "all", key: str | None = None, axes: str | None = None
    ) -> CubeScene:
        """Open a file, or take an array (H, W, B)."""
        if isinstance(source, np.ndarray):
            return cls(_of_array(source), bands)
        cube = open_cube(source, key, axes)
        try:
            return cls(cube, bands)
        except BaseException:
            cube.close()
            raise

    def __enter__(self) -> CubeScene:
        return self

    def __exit__(self, *error: object) -> None:
        self.cube.close()

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.cube.size_hw

    @property
    def bands(self) -> int:
        """Number of bands that are looked at."""
        return len(self.places)

    @property
    def wavelengths_nm(self) -> np.ndarray | None:
        """(B,) middles of these bands in nanometres, where they are known."""
        waves = self.cube.wavelengths_nm
        return None if waves is None else waves[self.places]

    def read(self, rows: slice, columns: slice | None = None) -> np.ndarray:
        """(h, w, B) float32 values, NaN where there is none."""
        if self._held is not None:
            return self._held[rows, columns or slice(None)]
        return self.cube.read(rows, columns, self.places)

    def rows(self) -> Iterator[slice]:
        """Rows of the scene, as many at once as the memory takes."""
        return row_blocks(self.cube, self.bands)

    @cached_property
    def background(self) -> Background:
        """Mean and covariance of the scene."""
        return Background.of(self.read(rows) for rows in self.rows())

    def scaled(self, rows: slice, columns: slice | None = None) -> np.ndarray:
        """(h, w, B) float32 in [-SPAN, SPAN], by the extremes of the whole scene; 0 where there is no value."""
        low, high = float(self.ranges.low.min()), float(self.ranges.high.max())
        x = (self.read(rows, columns) - np.float32(low)) * np.float32(2 * SPAN / (high - low)) - np.float32(SPAN)
        return np.nan_to_num(x, copy=False, nan=0.0)

    def valid(self, rows: slice) -> np.ndarray:
        """(h, W) bool, whether a pixel has a value in every band."""
        return np.isfinite(self.read(rows)).all(-1)

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR for people: bands near 450, 550 and 650 nm, else spread over all, 2 to 98 % stretched."""
        waves, count = self.wavelengths_nm, self.bands
        if waves is not None and waves.min() < 500 and waves.max() > 620:
            chosen = [int(np.abs(waves - w).argmin()) for w in (450, 550, 650)]
        else:
            chosen = [count // 6, count // 2, min(count - 1, 5 * count // 6)]
        planes = [self.cube.read(bands=[self.places[b]])[..., 0] for b in chosen]
        return np.stack([_stretched(plane) for plane in planes], -1)


def _check_fits(cube: CubeFile) -> None:
    """Refuse a cube whose scores would not fit, before hours are spent: a small sparse file may state any size."""
    height, width = cube.size_hw
    if _PIXEL_BYTES * height * width > _memory_bytes():
        raise DataError(
            f"{cube.path} has {width}x{height} pixels, and scores of all do not fit into the memory of this machine; "
            "cut it into parts (gdal_translate -srcwin)."
        )


def _memory_bytes() -> int:
    """Memory of this machine; endless where nothing says, as on Windows without psutil."""
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(ImportError):
        import psutil

        return int(psutil.virtual_memory().total)
    return sys.maxsize


def _stretched(plane: np.ndarray) -> np.ndarray:
    known = plane[np.isfinite(plane)]
    low, high = np.percentile(known, (2, 98)) if known.size else (0.0, 1.0)
    shown = np.nan_to_num((plane - low) / ((high - low) or 1.0), nan=0.0)
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)


def _of_array(x: np.ndarray) -> CubeFile:
    if x.ndim != 3 or not x.size:
        raise DataError(f"an array must be (H, W, B), received {x.shape}; put its bands last.")
    return CubeFile(Path("array"), x.shape, x.dtype, lambda rows, columns, bands: x[rows, columns][..., bands])
