"""A raster of any CRS and resolution, read on the grid of another one."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.tiling import Tile
from rsdet.errors import DataError
from rsdet.scenes.georef import Georef
from rsdet.scenes.opening import gdal, open_dataset
from rsdet.scenes.placement import placement_problem
from rsdet.scenes.reader import open_raster


class OnGrid:
    """A raster of one band on the grid of a scene; a context manager.

    Args:
        key: The argument that names it, for messages.
        path: The raster.
        georef: The grid.
        categories: Its values are codes and the nearest is taken; else they are interpolated linearly, over several
            where a pixel of the grid holds many.

    Raises:
        DataError: It cannot be read, has several bands or no place, or lies elsewhere.
        MissingDependencyError: rasterio is not installed.
    """

    def __init__(self, key: str, path: Path, georef: Georef, categories: bool):
        self.key, self.path, self._stack = key, path, ExitStack()
        try:
            self._file = self._stack.enter_context(opened(key, path))
            with gdal(path) as rasterio:
                check_meets(rasterio, f"{key}={path}", self._file, georef)
                how = rasterio.enums.Resampling.nearest if categories else rasterio.enums.Resampling.bilinear
                self._vrt = self._stack.enter_context(warped(rasterio, self._file, georef, how))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> OnGrid:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def read(self, window: Tile) -> tuple[np.ndarray, np.ndarray]:
        """(h, w) float64 values of a window of the grid, and (h, w) bool where there are some."""
        place = (window.top, window.top + window.height), (window.left, window.left + window.width)
        with gdal(self.path, "a part that the map needs"):
            raw, mask = self._vrt.read(1, window=place), self._vrt.read_masks(1, window=place)
        values = raw.astype(np.float64) * self._file.scales[0] + self._file.offsets[0]
        return values, (mask > 0) & np.isfinite(values)


def warped(rasterio: Any, file: Any, georef: Georef, how: Any, **more: Any) -> Any:
    """An open dataset as seen on a grid, a dataset of rasterio; what lies outside of it has no data.

    Args:
        rasterio: From :func:`rsdet.scenes.opening.gdal`.
        file: The dataset.
        georef: The grid.
        how: Rasterio's ``Resampling``.
        **more: Arguments of rasterio's ``WarpedVRT``.
    """
    from rasterio.enums import ColorInterp, MaskFlags
    from rasterio.vrt import WarpedVRT

    height, width = georef.size_hw
    said = file.nodata is not None or ColorInterp.alpha in file.colorinterp
    masked = MaskFlags.per_dataset in file.mask_flag_enums[0]
    if not said:
        more |= {"nodata": np.nan} if file.dtypes[0].startswith("float") and not masked else {"add_alpha": True}
    return WarpedVRT(
        file, crs=rasterio.CRS.from_wkt(georef.crs_wkt), transform=rasterio.Affine(*georef.transform),
        width=width, height=height, resampling=how, **more,
    )  # fmt: skip


def check_meets(rasterio: Any, named: str, file: Any, georef: Georef) -> None:
    """Refuse a raster that lies elsewhere.

    Args:
        rasterio: From :func:`rsdet.scenes.opening.gdal`.
        named: Key and path of the raster, for messages.
        file: The raster, an open dataset.
        georef: The grid.

    Raises:
        DataError: It has no pixel on the grid.
    """
    from rasterio.warp import transform_bounds

    height, width = georef.size_hw
    corners = georef.to_map(np.array([[0, 0], [width, 0], [width, height], [0, height]]))
    grid = (*corners.min(0), *corners.max(0))
    own = file.bounds
    own = (min(own[0], own[2]), min(own[1], own[3]), max(own[0], own[2]), max(own[1], own[3]))
    there = transform_bounds(rasterio.CRS.from_wkt(georef.crs_wkt), file.crs, *grid)
    apart = any(there[i + 2] <= own[i] or there[i] >= own[i + 2] for i in (0, 1))
    if apart and there[0] < there[2] and np.isfinite(there).all():  # not over the antimeridian
        raise DataError(
            f"{named} lies elsewhere: it reaches {_told(own)} in its CRS and the map "
            f"{_told(there)}; pass one of the same place, or check both CRSs."
        )


def opened(key: str, path: Path) -> Any:
    """An open dataset of one band with a place; see :class:`OnGrid`."""
    if not path.is_file():
        raise DataError(f"{key}={path} is no file; check the path.")
    with open_raster(path) as raster:
        info = raster.info
        if problem := placement_problem(info):
            raise DataError(f"{key}={problem.partition(': what is found')[0].rstrip('.')}; give it its CRS and place.")
    file = open_dataset(path)
    if file.count - (info.alpha is not None) != 1:
        file.close()
        raise DataError(f"{key}={path} has {file.count} bands; expected one: gdal_translate -b 1 takes it out.")
    return file


def names_of(file: Any) -> dict[int, str]:
    """Names of the numbers in an open dataset, where it says them as our maps of classes do."""
    tags = file.tags().items()
    return {int(k[6:]): v for k, v in sorted(tags) if k.startswith("class_") and k[6:].isdecimal()}


def _told(bounds: Any) -> str:
    west, south, east, north = bounds
    return f"x {west:.6g} to {east:.6g}, y {south:.6g} to {north:.6g}"
