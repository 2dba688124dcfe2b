"""Whether rasters lie on one grid: a cube, its LiDAR, its label maps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from rsdet.data.cubes.cube import CubeFile
from rsdet.data.decoding import has_rasterio
from rsdet.data.sar.coherence import Grid
from rsdet.errors import DataError


def grid_of(cube: CubeFile) -> Grid:
    """Size, reference system and place of a cube, as far as they are known."""
    if cube.georef is None or not has_rasterio():
        return Grid(cube.size_hw)
    from rasterio.crs import CRS

    wkt = cube.georef.crs_wkt
    return Grid(cube.size_hw, CRS.from_wkt(wkt) if wkt else None, cube.georef.transform)


def check_same_grid(cube: CubeFile, other: CubeFile, what: str = "LiDAR") -> None:
    """Refuse a raster that does not lie pixel upon pixel on a cube.

    Args:
        cube: The cube.
        other: The raster.
        what: What it is, for the message.

    Raises:
        DataError: Another size, reference system or place; the message says which ``axes`` would fit.
    """
    if unlike := grid_of(cube).unlike(grid_of(other)):
        raise DataError(
            f"{cube.path} and its {what} {other.path} {unlike}{axes_that_fit(cube.shape, other.shape, what)}; resample "
            "it to the grid of the cube."
        )


def check_same_size(cube: CubeFile, size_hw: Sequence[int], path: Path, what: str) -> None:
    """Refuse a map of another size than the cube's.

    Raises:
        DataError: It has another.
    """
    if tuple(size_hw) != cube.size_hw:
        (a, b), (c, d) = cube.size_hw, size_hw
        hint = axes_that_fit(cube.shape, (c, d), what)
        raise DataError(
            f"{cube.path} and {what} {path} have {b}x{a} and {d}x{c} pixels{hint}; give maps of this very cube."
        )


def axes_that_fit(shape: Sequence[int], other: Sequence[int], what: str) -> str:
    """A hint in brackets: in which order the axes of either would agree; empty where none does."""
    size = tuple(other[:2])
    if tuple(shape[:2]) == size[::-1]:
        return f" (it is transposed: give axes=WH or WHB for {what})"
    fits = ["".join("HWB"[order.index(k)] for k in range(3)) for order in itertools.permutations(range(3))
            if (shape[order[0]], shape[order[1]]) == size]  # fmt: skip
    return f" (axes={fits[0]} of the cube would fit)" if fits and shape[2] > 1 else ""
