"""Rasters that are restored by windows: which these are, and how samples become pictures and pictures samples again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet._version import __version__
from rsdet.data.decoding import has_rasterio
from rsdet.data.geotiff import geo_of_bands, geo_of_dataset
from rsdet.data.raster_io import (
    ImageMeta,
    check_unit,
    extremes,
    full_range,
    to_channels,
    to_floats,
    to_samples,
    too_dark,
)  # fmt: skip
from rsdet.data.sar.header import read_sar_header
from rsdet.data.tiling import Tile, tile_grid
from rsdet.enhance.base import check_output
from rsdet.enhance.running import tiling
from rsdet.errors import DataError, RSDetError
from rsdet.progress import Line, Tiles
from rsdet.quiet import say
from rsdet.scenes.dense import Form, write_dense
from rsdet.scenes.opening import open_dataset
from rsdet.scenes.reader import Raster, open_raster
from rsdet.tasks.restore.results import SceneResults

WHOLE_PX = 2**24  # rasters with more pixels are never held in memory
_RASTERS = (".tif", ".tiff", ".jp2")
_SCAN_PX = 2048
_ROWS = 64  # that become samples at once, in float64


def by_windows(files: Iterable[Path], tile: int | None) -> set[Path]:
    """Files that are restored by windows: rasters too large to be held, and those with a place on Earth that are cut.

    Args:
        files: Pictures of any kind.
        tile: What the user asks for; 0 for none.
    """
    if tile == 0 or not has_rasterio():
        return set()
    return {path for path in files if path.suffix.lower() in _RASTERS and _is_scene(path, bool(tile))}


def _is_scene(path: Path, cut: bool) -> bool:
    try:
        header = read_sar_header(path)
        if header.width * header.height > WHOLE_PX:
            return True
        if not cut:
            return False
        with open_raster(path) as raster:
            return raster.info.transform is not None or raster.info.gcps
    except RSDetError:
        return False  # whoever reads it whole says what is wrong


def restore_scene(
    run: Any,
    path: Path,
    target: Path,
    *,
    tile: int | None,
    overlap: int | None,
    bands: list[int] | None,
    value_range: tuple[float, float] | None,
    facts: Mapping[str, Any],
    line: Line,
) -> SceneResults:
    """Restore a raster of any size into a GeoTIFF; one that was stopped goes on.

    Args:
        run: What :func:`rsdet.tasks.restore.running.runner_of` gave.
        path: The raster.
        target: Where the result shall lie.
        tile: As in :func:`rsdet.tasks.restore.running.apply`.
        overlap: As there.
        bands: As in :func:`rsdet.data.raster_io.read_image`.
        value_range: As there.
        facts: Plain values that tell this model from all others.
        line: What says how far it is.

    Raises:
        DataError: The channels do not fit, or a part of the file cannot be read; what is done is kept.
        WriteError: The disk is full; what is done is kept.
    """
    began = time.perf_counter()
    with open_raster(path) as raster:
        scene = _Scene.of(raster, run, bands, value_range)
        if hasattr(run, "for_whole"):
            run = run.for_whole(scene.whole())
        tile_hw, shared = tiling(run, raster.info.size_hw, tile, overlap)
        told = {"scene": raster.info.identity, "range": scene.range, "bands": scene.bands, "rsdet": __version__}
        write_dense(
            lambda x: check_output(run(x), x, run), scene.read, scene.encode, raster.info.size_hw, target, scene.form,
            tile=tile_hw, overlap=shared, facts={**facts, **told}, progress=Tiles(line),
        )  # fmt: skip
    if value_range is None and (dark := too_dark(scene.form.dtype, scene.peak)):
        say(f"{path}: {dark}", logging.WARNING)
    ms = {"inference": (time.perf_counter() - began) * 1e3}
    return SceneResults(str(path), target, raster.info.size_hw, run.scale, scene.channels, scene.meta, ms)


@dataclass
class _Scene:
    """One raster on its way through a model.

    Attributes:
        raster: Open.
        bands: Those that are read, counted from 1.
        alpha: The band that is kept aside as opacity; None without one.
        range: Values of the file that become 0 and 1.
        channels: Of the model's input.
        form: Of the result.
        meta: What the source is.
        peak: Largest sample that was read.
    """

    raster: Raster
    bands: tuple[int, ...]
    alpha: int | None
    range: tuple[float, float]
    channels: int
    form: Form
    meta: ImageMeta = field(repr=False)
    peak: float = 0.0

    @classmethod
    def of(cls, raster: Raster, run: Any, bands: list[int] | None, value_range: Any) -> _Scene:
        info, path = raster.info, raster.info.path
        if info.dtype.startswith("complex"):
            raise DataError(f"{path} holds complex samples; make amplitudes of them first.")
        taken = raster.bands_of(None if bands is None else tuple(bands))
        # As of whole files: without bands=, gray for colour and colour for gray.
        one_px, wanted = np.zeros((1, 1, len(taken)), np.float32), run.channels if bands is None else None
        channels, (height, width) = to_channels(one_px, wanted, str(path)).shape[2], info.size_hw
        if run.channels not in (None, channels):
            raise DataError(f"{path} has {channels} channels, the model takes {run.channels}; choose them with bands=.")
        if min(height, width) < run.min_px:
            raise DataError(f"{path} is {width}x{height} px, the model takes {run.min_px} px or more; enlarge it.")
        alpha = None if info.alpha is None or info.alpha + 1 in taken else info.alpha + 1
        with open_dataset(path) as f:
            geo = geo_of_bands(geo_of_dataset(f), [b - 1 for b in taken])
        count = 1 if (len(taken), channels) == (1, 3) else channels
        form = Form(count + (alpha is not None), info.dtype, geo, int(run.scale), alpha is not None)
        span = value_range or full_range(info.dtype) or _scanned(raster, taken)
        span = (float(span[0]), float(span[1]))
        meta = ImageMeta(
            path, info.dtype, span, nodata=info.nodata, geo=geo, bands=bands and tuple(bands), channels=len(taken)
        )
        return cls(raster, taken, alpha, span, channels, form, meta)

    def samples(self, window: Tile) -> tuple[np.ndarray, np.ndarray]:
        """Samples of a window and which are valid; what is transparent is restored as all else."""
        raw, valid = self.raster.read(window, bands=self.bands)
        if self.raster.info.alpha is not None:
            valid = np.isfinite(raw).all(axis=2)
        return raw, valid

    def read(self, window: Tile) -> np.ndarray:
        """(h, w, channels) float32 in [0, 1]."""
        raw, valid = self.samples(window)
        if self.form.dtype == "uint16" and valid.any():
            self.peak = max(self.peak, float(raw[valid].max()))
        return to_channels(to_floats(raw, valid, self.range), self.channels)

    def whole(self) -> np.ndarray:
        """The scene, small, as :meth:`read` gives windows of it."""
        raw, valid = self.raster.overview(_SCAN_PX, self.bands)
        return to_channels(to_floats(raw, valid, self.range), self.channels)

    def encode(self, band: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples of finished rows, alpha among them, and which are valid."""
        scale, (rows, width) = self.form.scale, band.shape[:2]
        out = np.empty((rows, width, self.form.bands), self.form.dtype)
        colours = self.form.bands - self.form.alpha
        for start in range(0, rows, _ROWS):
            part = band[start : start + _ROWS]
            part = to_channels(part, 1) if (colours, part.shape[2]) == (1, 3) else part
            out[start : start + _ROWS, :, :colours] = to_samples(part, self.form.dtype, self.range, self.meta.nodata)
        window = Tile(top // scale, 0, rows // scale, width // scale)
        valid = self.samples(window)[1].repeat(scale, 0).repeat(scale, 1)
        if self.alpha is not None:
            size = None if scale == 1 else (rows, width)
            out[..., -1:] = self.raster.read(window, size, bands=(self.alpha,))[0]
        if top + rows == self.raster.info.size_hw[0] * scale:
            self._check_unchanged()
        return out, valid

    def _check_unchanged(self) -> None:
        with open_raster(self.raster.info.path) as now:
            if now.info.identity != self.raster.info.identity:
                raise DataError(f"{now.info.path} was changed while it was read; run again once it is whole.")


def _scanned(raster: Raster, bands: tuple[int, ...]) -> tuple[float, float]:
    """Values of 0 and 1 of samples whose type does not say them, once all have been looked at."""
    found: list[float] = []
    for window in tile_grid(raster.info.size_hw, _SCAN_PX, 0):
        found += extremes(*raster.read(window, bands=bands)) or ()
        found = [min(found), max(found)] if found else found
    return check_unit(raster.info.dtype, (found[0], found[1]) if found else None, raster.info.path)
