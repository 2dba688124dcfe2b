"""Two rasters on one grid: refused with the command that brings them onto one, or the second read on that of the first.

A pixel of one must be the pixel of the other. What differs is said: size, reference system, place.
"""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.sar.coherence import Grid
from rsdet.errors import DataError
from rsdet.scenes.georef import Georef
from rsdet.scenes.info import SceneInfo
from rsdet.scenes.opening import gdal, open_dataset
from rsdet.scenes.optional import optional
from rsdet.scenes.placement import problem_of
from rsdet.scenes.warped import check_meets, warped

_TOLERANCE_PX = 0.02  # by which a place may be off where it is found between others: far below what a shift is told of


def check_same_grid(first: SceneInfo, second: SceneInfo) -> None:
    """Make sure that two rasters have the same pixels.

    Args:
        first: Raster that the other one is compared with.
        second: Raster that the command of the message would bring onto its grid.

    Raises:
        DataError: They do not, or one of them does not say where it lies; the message ends in the command that helps,
            where there is one: none does for rasters of two places.
    """
    if problem := grid_difference(first, second):
        raise DataError(f"{first.path} and {second.path} {problem}; {_remedy(first, second)}.")


def grid_difference(first: SceneInfo, second: SceneInfo) -> str:
    """How the pixels of two rasters differ, in a few words that begin with a verb; empty where they do not."""
    for info in (first, second):  # points or a camera alone: whether pixels agree is not known
        if info.gcps or info.rpcs:
            raise DataError(problem_of(info)[0])
    if unlike := _grid(first).unlike(_grid(second)):
        return unlike
    if (first.transform is None) != (second.transform is None) or (first.crs_wkt is None) != (second.crs_wkt is None):
        return "do not both say where they lie"
    return ""


def _grid(info: SceneInfo) -> Grid:
    crs = optional("rasterio").CRS.from_wkt(info.crs_wkt) if info.crs_wkt else None
    return Grid(info.size_hw, crs, info.transform)


def _has_area(transform: tuple[float, ...] | None) -> bool:
    return (
        transform is not None
        and np.isfinite(transform).all()
        and transform[0] * transform[4] != transform[1] * transform[3]
    )


def _remedy(first: SceneInfo, second: SceneInfo) -> str:
    a, b = (info.crs_wkt is not None and _has_area(info.transform) for info in (first, second))
    if a and b:
        with open_dataset(second.path) as f, gdal(second.path) as rasterio:
            check_meets(rasterio, str(second.path), f, Georef.of(first))  # else nothing would be left on the grid
        if command := gdalwarp_line(first, second):
            return f"pass resample=True to read the second on the grid of the first, or make a file of it: {command}"
        return "pass resample=True to read the second on the grid of the first"
    if first.size_hw == second.size_hw and (a or b):
        like, other = (first.path, second.path) if a else (second.path, first.path)
        return (
            f"where both have the same pixels, rio edit-info --like {shlex.quote(str(like))} --crs like --transform "
            f"like {shlex.quote(str(other))} says so"
        )
    lacks = [str(info.path) for info, placed in ((first, a), (second, b)) if not placed]
    return f"{' and '.join(lacks)} must first say where on Earth it lies (rio edit-info), or both be cut to one size"


def gdalwarp_line(first: SceneInfo, second: SceneInfo) -> str:
    """The command that writes the second raster on the grid of the first; empty where gdalwarp makes no such grid.

    Args:
        first: With a CRS and a geotransform.
        second: Likewise.
    """
    a, b, x, d, e, y = first.transform  # type: ignore[misc]
    if b or d or a <= 0 or e >= 0:  # turned, or with rows from south to north
        return ""
    height, width = first.size_hw
    crs = optional("rasterio").CRS.from_wkt(first.crs_wkt).to_string()
    bounds = " ".join(repr(float(v)) for v in (x, y + e * height, x + a * width, y))
    outside = "" if second.nodata is not None or second.alpha is not None else "-dstalpha "
    new = second.path.with_name(f"{second.path.stem}-on-grid.tif")
    return (
        f"gdalwarp -t_srs {shlex.quote(crs)} -te {bounds} -ts {width} {height} -r bilinear {outside}"
        f"{shlex.quote(str(second.path))} {shlex.quote(str(new))}"
    )


def on_grid_of(first: SceneInfo, second: SceneInfo, folder: Path) -> Path:
    """Make a virtual raster that gives the second one on the grid of the first, window by window.

    Values between pixels are interpolated linearly, over several where pixels of the first are larger; where the
    second does not reach there are no data.

    Args:
        first: With a place on Earth.
        second: Likewise.
        folder: Where the small file of it shall lie, which is of use as long as the second one is where it is.

    Raises:
        DataError: One of them has no place, they do not meet, or the samples of the second cannot be interpolated.
    """
    for info in (first, second):
        if not Georef.of(info).placed:
            raise DataError(f"resample=True needs to know where on Earth both lie: {problem_of(info)[0]}")
    out = folder / f"{second.path.stem}.vrt"
    with ExitStack() as stack:
        f = stack.enter_context(open_dataset(second.path))
        if f.colorinterp[0].name == "palette" or np.dtype(f.dtypes[0]).kind == "c":
            raise DataError(
                f"{second.path} holds numbers of colours or complex samples, between which there are none; make "
                "colours or amplitudes of them first (gdal_translate -expand rgb)."
            )
        with gdal(second.path) as rasterio:
            check_meets(rasterio, f"source2={second.path}", f, Georef.of(first))
            vrt: Any = stack.enter_context(
                warped(rasterio, f, Georef.of(first), rasterio.enums.Resampling.bilinear, tolerance=_TOLERANCE_PX)
            )
            optional("rasterio.shutil").copy(vrt, out, driver="VRT")
    return out
