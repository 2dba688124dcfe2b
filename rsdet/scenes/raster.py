"""One open scene, read by windows: samples and which pixels are valid, each by its place alone.

View and overview are resampled from the pixels of the file, or from a stored overview that is at least twice as fine.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.data.decoding import by_opencv, within_memory
from rsdet.data.images import upright
from rsdet.data.sar.coherence import Grid, check_coherence, grid_problem
from rsdet.data.tiling import Tile, tile_grid
from rsdet.errors import ConfigError, DataError
from rsdet.scenes.blocks import Blocks, Held, sample_type
from rsdet.scenes.info import SceneInfo, is_masked, palette_of, scene_info, spread_of
from rsdet.scenes.opening import check_file, check_overviews, gdal, open_dataset
from rsdet.scenes.resampling import Taps, floats, resampled

_TURNED_PX = 2**28  # a file that is turned upright is held in memory
_DECODED_PX = 2**26  # so is a JPEG
_CELL_PX = 2048  # sides of what is resampled at once, in pixels of the file
_SAMPLED, _SAMPLED_PX = 16, 128  # windows along each side that values are measured on, and their sides in pixels
_ENOUGH = 2**14  # pixels of them
_FINER = 2  # a stored overview may stand for the pixels where it is so much finer than what is asked for


def open_raster(path: str | Path) -> Raster:
    """Open a scene.

    Args:
        path: GeoTIFF, COG, BigTIFF, VRT, JPEG 2000, PNG, JPEG, WebP or BMP of any size.

    Raises:
        DataError: It cannot be read as a scene.
        MissingDependencyError: rasterio is not installed.
    """
    return Raster(Path(path))


class Raster:
    """A scene that is open; a context manager. Reading is safe from several threads.

    Attributes:
        info: What its header says.

    Raises:
        DataError: It cannot be read as a scene.
        MissingDependencyError: rasterio is not installed.
    """

    info: SceneInfo

    def __init__(self, path: Path):
        files, turn = check_file(path)
        f = open_dataset(path)
        try:
            with gdal(path):
                self._interpret(f, files, turn)
        finally:
            f.close()

    def _interpret(self, f: Any, files: list[Path], turn: int) -> None:
        path = files[0]
        check_overviews(path, f)
        self.info = scene_info(f, files, turn)
        self._palette, self._spread, self._masked = palette_of(f), spread_of(f), is_masked(f)
        self._whole: tuple[Any, ...] | None = None
        self._coherence: tuple[Raster, float] | None = None
        self._levels: list[Blocks | Held]
        if turn > 1 and (f.width * f.height > _TURNED_PX or self.info.transform is not None):
            raise DataError(f"{path} is turned by an orientation tag; save it upright.")
        if f.driver == "JPEG" and f.width * f.height <= _DECODED_PX and f.count in (1, 3):
            self._levels = [self._decoded()]
            return
        if turn > 1:
            self._levels = [self._turned(f, turn)]
            return
        factors = [1.0, *map(float, f.overviews(1))]
        self._levels = [Blocks(path, n - 1 if n else None, self._masked, x) for n, x in enumerate(factors)]

    def _decoded(self) -> Held:
        """A JPEG as every other reader of pictures decodes it: GDAL does not smooth its colours."""
        path = self.info.path
        with within_memory(path):
            picture = by_opencv(path, cv2.IMREAD_COLOR if self.info.bands == 3 else cv2.IMREAD_GRAYSCALE)
            if picture is None:
                raise DataError(f"{path} cannot be decoded (damaged or cut short); copy it again.")
            planes = picture[None] if picture.ndim == 2 else np.moveaxis(picture, -1, 0)[::-1]
            return Held(np.ascontiguousarray(planes), None)

    def _turned(self, f: Any, turn: int) -> Held:
        with within_memory(self.info.path):
            planes = upright(np.moveaxis(f.read(), 0, -1), turn)
            mask = upright(f.read_masks(1), turn) if self._masked else None
        return Held(np.ascontiguousarray(np.moveaxis(planes, -1, 0)), mask)

    def __enter__(self) -> Raster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        for level in self._levels:
            level.close()
        if self._coherence is not None:
            self._coherence[0].close()

    def limit_to(self, file: Path, least: float) -> str:
        """From now on, only pixels of some coherence are valid.

        Args:
            file: Raster of the coherence, on the same grid.
            least: From 0 to 1.

        Returns:
            SHA-256 that changes when the file does.

        Raises:
            DataError: It cannot be read, lies on another grid, or holds no coherence.
        """
        if self._coherence is None:
            coherence, self._whole = open_raster(file), None
            try:
                if problem := grid_problem(self._grid(), coherence._grid(), file):
                    raise DataError(f"{self.info.path} {problem}.")
                check_coherence(coherence.sample(), file)
            except BaseException:
                coherence.close()
                raise
            self._coherence = coherence, least
        return self._coherence[0].info.identity

    def _grid(self) -> Grid:
        from rasterio.crs import CRS

        info = self.info
        return Grid(info.size_hw, CRS.from_wkt(info.crs_wkt) if info.crs_wkt else None, info.transform)

    def _believed(self, valid: np.ndarray, read: Callable[[Raster], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Which valid pixels are coherent, too; ``read`` reads the same window of that raster."""
        if self._coherence is None:
            return valid
        coherence, least = self._coherence
        values, there = read(coherence)
        return valid & there & (values[..., 0] >= np.float32(least))

    # -- windows --------------------------------------------------------------------------------------------------

    def read(
        self,
        window: Tile,
        out_hw: tuple[int, int] | None = None,
        bands: tuple[int, ...] | None = None,
        nodata: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a window; what lies outside of the scene is not valid.

        Args:
            window: In pixels of the scene; fractions with ``out_hw`` only.
            out_hw: Height and width to resample it to: area-weighted down, linear up.
            bands: Counted from 1; alpha can be named. None for all but alpha.
            nodata: A value that means "no data" besides that of the file.

        Returns:
            (h, w, C) samples as stored, 0 outside, palettes expanded; magnitudes of complex ones where they are
            resampled. And (h, w) bool, False where there are no data: outside, opacity 0, masked, not finite, or
            nodata in all of the bands.

        Raises:
            DataError: A part of the file cannot be read; the message names the window.
        """
        bands = self.bands_of(bands)
        if out_hw is None:
            place = window.top, window.left, window.height, window.width
            raw, valid = self._native(self._levels[0], bands, nodata, *place)
            return raw, self._believed(valid, lambda coherence: coherence.read(window))
        rows, columns = (
            first + np.arange(n + 1) * (length / n)
            for first, length, n in zip((window.top, window.left), (window.height, window.width), out_hw, strict=True)
        )
        return self.read_grid(rows, columns, bands, nodata)

    def read_grid(
        self,
        rows: np.ndarray,
        columns: np.ndarray,
        bands: tuple[int, ...] | None = None,
        nodata: float | None = None,
        *,
        damaged: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Resample to pixels between given edges, evenly spaced.

        Args:
            rows: (h + 1,) float64 edges in pixels of the scene.
            columns: (w + 1,) float64.
            bands: As in :meth:`read`.
            nodata: As in :meth:`read`.
            damaged: Take what cannot be read for not valid instead of refusing it.

        Returns:
            As :meth:`read`.
        """
        bands = self.bands_of(bands)
        step = min((e[-1] - e[0]) / (len(e) - 1) for e in (rows, columns))
        level = max((v for v in self._levels if v.factor * _FINER <= max(step, _FINER)), key=lambda v: v.factor)
        scale_hw = [have / whole for have, whole in zip(level.size_hw, self.info.size_hw, strict=True)]
        down = Taps.of(rows * scale_hw[0], level.size_hw[0])
        across = Taps.of(columns * scale_hw[1], level.size_hw[1])
        out_hw = len(rows) - 1, len(columns) - 1
        dtype = sample_type(self.info.dtype)
        dtype = np.dtype(np.float32) if dtype.kind == "c" else dtype
        out, valid = np.zeros((*out_hw, len(bands)), dtype), np.zeros(out_hw, bool)
        sides = [max(1, int(_CELL_PX / max(1.0, step * s))) for s in scale_hw]
        for i, j in itertools.product(*(range(0, n, side) for n, side in zip(out_hw, sides, strict=True))):
            cell = slice(i, min(i + sides[0], out_hw[0])), slice(j, min(j + sides[1], out_hw[1]))
            r, c = down.part(cell[0].start, cell[0].stop), across.part(cell[1].start, cell[1].stop)
            (top, height), (left, width) = r.span, c.span
            known = self._unread(level, bands, top, left, height, width)
            if known is not None:
                valid[cell] = known & r.inside[:, None] & c.inside
                continue
            try:
                raw, there = self._native(level, bands, nodata, top, left, height, width)
            except DataError:
                if not damaged:
                    raise
                continue
            if there.any():
                x, valid[cell] = resampled(floats(raw), there, r, c)
                out[cell] = x if dtype.kind == "f" else np.rint(x, out=x)
        return out, self._believed(valid, lambda coherence: coherence.read_grid(rows, columns, damaged=damaged))

    def bands_of(self, bands: tuple[int, ...] | None) -> tuple[int, ...]:
        """The bands that are read: those asked for, or all but alpha.

        Raises:
            ConfigError: There are no such bands.
        """
        count = self.info.count
        if bands is None:
            return tuple(b + 1 for b in range(count) if b != self.info.alpha)
        if max(bands) > count:
            raise ConfigError(f"bands={list(bands)}: {self.info.path} has {count} bands; name some of these.")
        return tuple(bands)

    def _native(
        self,
        level: Blocks | Held,
        bands: tuple[int, ...],
        nodata: float | None,
        top: int,
        left: int,
        height: int,
        width: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """A window of pixels of a level, padded where it reaches outside."""
        dtype = sample_type(self.info.dtype)
        first = max(top, 0), max(left, 0)
        past = min(top + height, level.size_hw[0]), min(left + width, level.size_hw[1])
        inner = *first, past[0] - first[0], past[1] - first[1]
        if inner == (top, left, height, width) and self._unread(level, bands, *inner) is None:
            raw, valid = self._meant(bands, nodata, *level.read(self._stored(bands), *inner))
            return raw.astype(dtype, copy=False), valid
        raw, valid = np.zeros((height, width, len(bands)), dtype), np.zeros((height, width), bool)
        if min(inner[2:]) <= 0:
            return raw, valid
        place = slice(first[0] - top, past[0] - top), slice(first[1] - left, past[1] - left)
        known = self._unread(level, bands, *inner)
        if known is not None:
            valid[place] = known
            return raw, valid
        raw[place], valid[place] = self._meant(bands, nodata, *level.read(self._stored(bands), *inner))
        return raw, valid

    def _stored(self, bands: tuple[int, ...]) -> tuple[int, ...]:
        """Bands of the file to read for some: one for a palette, alpha besides where it says what is valid."""
        if self._palette is not None:
            return (1,)
        alpha = self.info.alpha
        return bands if alpha is None or alpha + 1 in bands else (*bands, alpha + 1)

    def _meant(
        self, bands: tuple[int, ...], also: float | None, planes: np.ndarray, mask: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What stored samples mean: (h, w, C) of the bands and (h, w) which are valid."""
        valid = np.ones(planes.shape[1:], bool) if mask is None else mask > 0
        if len(planes) > len(bands):
            valid &= planes[-1] > 0
        if self._palette is not None:
            rgba = self._palette[planes[0]]
            valid &= rgba[..., 3] > 0
            if self.info.nodata is not None:
                valid &= planes[0] != self.info.nodata
            return rgba[..., [b - 1 for b in bands]], valid
        planes = planes[: len(bands)]
        for values in ([self.info.nodatas[b - 1] for b in bands], [also] * len(bands)):
            if None not in values:
                empty = np.ones(planes.shape[1:], bool)
                for plane, value in zip(planes, values, strict=True):
                    empty &= plane == _sample(value, plane.dtype)
                    if not empty.any():  # after the first band, mostly
                        break
                else:
                    valid &= ~empty
        if planes.dtype.kind in "fc":
            valid &= np.isfinite(planes).all(axis=0)
        raw = np.moveaxis(planes, 0, -1)
        return raw * np.uint8(self._spread) if self._spread > 1 else raw, valid

    # -- the whole ------------------------------------------------------------------------------------------------

    def _unread(
        self, level: Blocks | Held, bands: tuple[int, ...], top: int, left: int, height: int, width: int
    ) -> bool | None:
        """What is known of a window without reading it: that no pixel is valid, that all are zeros, or nothing.

        Blocks that a TIFF leaves out read as nodata, else as zeros.
        """
        alpha = self.info.alpha
        hidden = alpha is not None and alpha + 1 not in bands
        if self._palette is not None or self._masked:
            return None
        if not level.is_sparse((alpha + 1,) if hidden else bands, top, left, height, width):
            return None
        nodata = [self.info.nodatas[b - 1] for b in bands]
        return not hidden and None in nodata

    def is_empty(self, window: Tile) -> bool:
        """Whether a window is known to hold no valid pixel without reading it; False when in doubt."""
        edges = [math.floor(window.top), math.floor(window.left)]
        ends = [math.ceil(window.top + window.height), math.ceil(window.left + window.width)]
        top, left = (max(e, 0) for e in edges)
        height, width = (min(e, n) - s for e, n, s in zip(ends, self.info.size_hw, (top, left), strict=True))
        if min(height, width) <= 0:
            return True
        return self._unread(self._levels[0], self.bands_of(None), top, left, height, width) is False

    def has_data(self, bands: tuple[int, ...] | None = None) -> bool:
        """Whether any pixel is valid, or cannot be read; looks at the scene until one is found."""
        try:
            tiles = tile_grid(self.info.size_hw, _CELL_PX, 0)
            return any(not self.is_empty(tile) and self.read(tile, bands=bands)[1].any() for tile in tiles)
        except DataError:  # of a part; the others are still to be looked at
            return True

    def sample(self, bands: tuple[int, ...] | None = None, nodata: float | None = None) -> np.ndarray:
        """Valid samples from all over the scene, the same each time: of windows on a grid, as they are stored.

        Args:
            bands: As in :meth:`read`.
            nodata: As in :meth:`read`.

        Returns:
            (N, C); where the windows hold next to nothing, of the overview.
        """
        cells = [np.linspace(0, n, min(n, _SAMPLED) + 1).astype(int).tolist() for n in self.info.size_hw]
        found = []
        for (top, bottom), (left, right) in itertools.product(*(itertools.pairwise(c) for c in cells)):
            height, width = min(bottom - top, _SAMPLED_PX), min(right - left, _SAMPLED_PX)
            window = Tile((top + bottom - height) // 2, (left + right - width) // 2, height, width)
            if not self.is_empty(window):
                raw, valid = self.read(window, None, bands, nodata)
                found.append(raw[valid])
        samples = np.concatenate([*found, np.zeros((0, len(self.bands_of(bands))), sample_type(self.info.dtype))])
        if len(samples) >= _ENOUGH or max(self.info.size_hw) <= _SAMPLED * _SAMPLED_PX:
            return samples
        raw, valid = self.overview(_SAMPLED * _SAMPLED_PX, bands, nodata)
        return raw[valid]

    def overview(
        self, longest_px: int, bands: tuple[int, ...] | None = None, nodata: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The whole scene, small; what cannot be read of it is not valid.

        Args:
            longest_px: Longest side of the result, pixels; a smaller scene stays as it is.
            bands: As in :meth:`read`.
            nodata: As in :meth:`read`.

        Returns:
            As :meth:`read`.
        """
        shrink = max(1.0, max(self.info.size_hw) / longest_px)
        out_hw = tuple(max(1, round(n / shrink)) for n in self.info.size_hw)
        key = (out_hw, self.bands_of(bands), nodata)
        if self._whole is None or self._whole[0] != key:
            edges = (np.arange(n + 1) * (whole / n) for n, whole in zip(out_hw, self.info.size_hw, strict=True))
            self._whole = key, self.read_grid(*edges, bands, nodata, damaged=True)
        raw, valid = self._whole[1]
        return raw.copy(), valid.copy()


def _sample(value: float, dtype: np.dtype) -> Any:
    """A nodata value as a sample; tags are written with the digits of a float64."""
    with np.errstate(over="ignore"):
        return dtype.type(value) if dtype.kind in "fc" else value
