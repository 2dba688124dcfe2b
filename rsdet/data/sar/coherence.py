"""Where a velocity can be believed: a raster of coherence beside each file, on the same grid."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsdet.data.decoding import has_rasterio, raster
from rsdet.data.sar.header import SarHeader, read_sar_header
from rsdet.data.sar.reader import read_sar
from rsdet.errors import DataError
from rsdet.quiet import say

_MOST_APART_PX = 0.01  # between the corners of two grids that are the same


class Grid(NamedTuple):
    """Where the pixels of a raster lie.

    Attributes:
        size_hw: Height and width in pixels.
        crs: Rasterio's reference system; None where nobody said.
        transform: a, b, c, d, e, f of x = a * column + b * row + c, y = d * column + e * row + f; likewise.
    """

    size_hw: tuple[int, int]
    crs: Any = None
    transform: tuple[float, ...] | None = None

    @classmethod
    def of(cls, header: SarHeader) -> Grid:
        """That of a file; without rasterio only its size is known."""
        size_hw = header.height, header.width
        if not (header.tiff and has_rasterio()):
            return cls(size_hw)
        with raster(header, "has a place on Earth") as f:
            return cls(size_hw, f.crs, None if f.transform.is_identity else tuple(f.transform)[:6])

    def unlike(self, other: Grid) -> str:
        """How another grid differs, in a few words; an empty string where nothing is known to."""
        if self.size_hw != other.size_hw:
            (a, b), (c, d) = self.size_hw, other.size_hw
            return f"have {b}x{a} and {d}x{c} pixels"
        if None not in (self.crs, other.crs) and self.crs != other.crs:
            return f"have the reference systems {_called(self.crs)} and {_called(other.crs)}"
        if self.transform is None or other.transform is None:
            return ""
        (height, width), ours, theirs = self.size_hw, *(np.reshape(g.transform, (2, 3)) for g in (self, other))
        if np.array_equal(ours, theirs, equal_nan=True):
            return ""
        if not all(np.isfinite(t).all() and np.linalg.det(t[:, :2]) for t in (ours, theirs)):
            return "do not both say where they lie (a geotransform has no area)"
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1]]).T
        moved = np.linalg.solve(ours[:, :2], (theirs - ours) @ corners)
        return f"lie up to {np.abs(moved).max():.3g} pixels apart" if np.abs(moved).max() > _MOST_APART_PX else ""


def _called(crs: Any) -> str:
    """The number of a CRS, else its name: one without a number is a page of text."""
    said = str(crs.to_string())
    return said.split('"')[1] if said.count('"') > 1 else said


def coherence_file(path: str | Path, folder: str) -> Path:
    """The coherence of a file: ``images/train/a.tif`` has ``<folder>/train/a.tif``, any other ``<folder>/a.tif``."""
    path = Path(path)
    parts = path.parent.parts
    if "images" not in parts:
        return path.parent / folder / path.name
    at = len(parts) - 1 - parts[::-1].index("images")
    return Path(*parts[:at], folder, *parts[at + 1 :], path.name)


def coherence_problem(header: SarHeader, folder: str) -> str:
    """Say in a few words why the coherence of a file cannot be used; an empty string where it can, or is not there."""
    file = coherence_file(header.path, folder)
    if not file.is_file():
        return ""
    theirs = read_sar_header(file)
    if theirs.problem or theirs.bands != 1:
        return f"has the coherence {file}, which {theirs.problem or f'has {theirs.bands} bands; save the one'}"
    return grid_problem(Grid.of(header), Grid.of(theirs), file)


def grid_problem(ours: Grid, theirs: Grid, file: Path) -> str:
    """Say in a few words that velocities and the coherence in a file do not lie on one grid, where that is so."""
    unlike = ours.unlike(theirs)
    return f"and its coherence {file} {unlike}; resample it to the grid of the velocities" if unlike else ""


def coherent(header: SarHeader, folder: str, least: float) -> np.ndarray | None:
    """(H, W) bool, which pixels of a file are coherent enough; None where there is no coherence of it, which is said.

    Args:
        header: Of the velocities.
        folder: Of the coherence.
        least: From 0 to 1.

    Raises:
        DataError: The coherence cannot be read, is of another grid, or no coherence.
    """
    file = coherence_file(header.path, folder)
    if not file.is_file():
        say_missing(file.parent)
        return None
    if problem := coherence_problem(header, folder):
        raise DataError(f"{header.path} {problem}.")
    image = read_sar(file)
    check_coherence(image.values[image.valid], file)
    return image.valid & (image.values >= np.float32(least))


def check_coherence(values: np.ndarray, file: Path) -> None:
    """Make sure that values lie between 0 and 1, as a coherence does.

    Raises:
        DataError: They do not.
    """
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0 or high > 1.001:
        raise DataError(f"{file} holds {low:.4g} to {high:.4g}, and a coherence lies in 0 to 1; scale it to that.")


@lru_cache(maxsize=256)
def say_missing(folder: Path) -> None:
    """Say once that files have no coherence beside them."""
    say(f"no coherence in {folder}: velocities without one are taken as coherent.", logging.WARNING)
