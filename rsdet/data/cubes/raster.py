"""Cubes that are rasters of GDAL's formats, mostly GeoTIFF: windows through :mod:`rsdet.scenes`, bands and all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.cubes.cube import CubeFile
from rsdet.data.cubes.wavelengths import in_nm
from rsdet.data.tiling import Tile
from rsdet.errors import DataError
from rsdet.quiet import say
from rsdet.scenes.blocks import sample_type
from rsdet.scenes.georef import Georef
from rsdet.scenes.opening import check_file, gdal, open_dataset
from rsdet.scenes.raster import Raster, open_raster

_DESCRIBED = re.compile(r"(\d+(?:\.\d+)?)\s*(nm|nanomet(?:er|re)s?|um|µm|μm|micromet(?:er|re)s?)\b", re.IGNORECASE)


def open_raster_cube(path: Path) -> CubeFile:
    """Open a raster as a cube; alpha is no band of it.

    Raises:
        DataError: It cannot be read.
        MissingDependencyError: rasterio is not installed.
    """
    raster = open_raster(path)
    try:
        info = raster.info
        kept = [b - 1 for b in raster.bands_of(None)] if info.bands == info.count - (info.alpha is not None) else []
        return CubeFile(
            path, (*info.size_hw, info.bands), sample_type(info.dtype),
            lambda rows, cols, bands: _window(raster, rows, cols, bands, info.bands),
            wavelengths_nm=_wavelengths(path, kept or range(info.bands)),
            georef=_georef(raster),
            nodata=info.nodata,
            nodatas=[info.nodatas[b] for b in kept] if kept and len(info.nodatas) > max(kept) else None,
            scale=_each(info.scales, kept, info.bands, 1.0),
            offset=_each(info.offsets, kept, info.bands, 0.0),
            windowed=True,
            closing=raster.close,
            files=check_file(path)[0],
        )  # fmt: skip
    except BaseException:
        raster.close()
        raise


def _window(raster: Raster, rows: slice, cols: slice, bands: Sequence[int] | slice, count: int) -> np.ndarray:
    places = range(count)[bands] if isinstance(bands, slice) else bands
    wanted = raster.bands_of(None)
    tile = Tile(rows.start, cols.start, rows.stop - rows.start, cols.stop - cols.start)
    if not tile.height or not tile.width or not len(places):
        return np.zeros((tile.height, tile.width, len(places)), sample_type(raster.info.dtype))
    raw, valid = raster.read(tile, bands=tuple(wanted[b] for b in places))
    left_out = ~valid  # by opacity or a mask; single samples are judged by their values, whichever bands are read
    if raw.dtype.kind == "f":
        left_out &= np.isfinite(raw).all(axis=2)
    if not left_out.any():
        return raw
    out = raw if raw.dtype.kind == "f" else raw.astype(np.float32)
    out[left_out] = np.nan
    return out


def _each(values: Sequence[float], kept: Sequence[int], count: int, usual: float) -> np.ndarray:
    return np.array([values[b] for b in kept] if kept and len(values) > max(kept) else [usual] * count, np.float64)


def _georef(raster: Raster) -> Georef | None:
    try:
        georef = Georef.of(raster.info)
    except DataError as e:
        say(f"{str(e).rstrip('.')}; until then, results lie nowhere on a map.")
        return None
    return georef if georef.placed else None


def _wavelengths(path: Path, kept: Sequence[int]) -> np.ndarray | None:
    """Middles of the bands as GDAL's drivers and common writers note them; None unless every band has one."""
    dataset = open_dataset(path)
    with gdal(path):
        found = [_of_band(dataset, b + 1) for b in kept]
        dataset.close()
    if None in found or len({unit for _, unit in found}) != 1:  # type: ignore[misc]
        return None
    return in_nm([value for value, _ in found], found[0][1], path)  # type: ignore[misc, index]


def _of_band(dataset: Any, band: int) -> tuple[float, str] | None:
    tags = {k.lower(): v for k, v in dataset.tags(band).items()}
    imagery = {k.lower(): v for k, v in dataset.tags(band, ns="IMAGERY").items()}
    if "central_wavelength_um" in imagery:
        return _number(imagery["central_wavelength_um"], "um")
    for name in ("wavelength", "wavelengths", "center_wavelength", "central_wavelength"):
        if name in tags:
            return _number(tags[name], tags.get("wavelength_units", tags.get("wavelength_unit", "")))
    said = _DESCRIBED.search(dataset.descriptions[band - 1] or "")
    return _number(said[1], said[2]) if said else None


def _number(text: str, unit: str) -> tuple[float, str] | None:
    try:
        return float(text), unit.strip().lower()
    except ValueError:
        return None
