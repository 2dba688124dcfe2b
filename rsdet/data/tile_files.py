"""Tiles of pictures on disk: windows of files, one file open at a time, at their full depth and in their place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.annotations import ImageRecord
from rsdet.data.decoding import has_rasterio, raster, within_memory
from rsdet.data.files import put_there_after
from rsdet.data.geotiff import Samples, geo_of, read_window
from rsdet.data.images import read_header
from rsdet.data.raster_io import check_header, read_samples, write_samples
from rsdet.data.sar.header import is_tiff, read_sar_header
from rsdet.data.tiling import Tile
from rsdet.scenes.raster import open_raster

_SCENES = (".vrt", ".jp2")  # read by windows as scenes are
_MASK_PX = 128  # side at which a mask is looked at


def tile_suffix(record: ImageRecord, format: str) -> str:
    """Suffix of the tiles of a picture: a TIFF stays one, with its place; more than 8 bits or alpha make a PNG."""
    header = read_sar_header(record.path)
    if header.tiff or record.path.suffix.lower() in _SCENES:
        return ".tif"
    return ".jpg" if format == "jpg" and header.dtype == "uint8" and not header.alpha else ".png"


@contextmanager
def windows(path: Path) -> Iterator[Callable[[Tile], Samples]]:
    """Open a picture for a function from windows to samples; a TIFF is not read whole where rasterio is there.

    Raises:
        DataError: It cannot be decoded.
    """
    if path.suffix.lower() in _SCENES and has_rasterio():
        with open_raster(path) as scene:
            yield partial(_of_scene, scene)
        return
    by_windows = is_tiff(path) and has_rasterio()
    header = check_header(path, whole=not by_windows)
    if by_windows:
        with raster(header, "is cut into tiles") as f:
            yield lambda tile: read_window(f, *tile.slices)
        return
    with within_memory(path):
        found = read_samples(header)

    def read(tile: Tile) -> Samples:
        valid = None if found.valid is None else np.ascontiguousarray(found.valid[tile.slices])
        return found._replace(raw=found.raw[tile.slices], valid=valid)

    yield read


def _of_scene(scene: Any, tile: Tile) -> Samples:
    from affine import Affine

    raw, valid = scene.read(tile)
    geo = geo_of(scene.info.nodata)
    if scene.info.transform is not None:
        place = Affine(*scene.info.transform) @ Affine.translation(tile.left, tile.top)
        geo |= {"crs": scene.info.crs_wkt, "transform": place}
    return Samples(raw, None, None if valid.all() else valid, scene.info.nodata, geo)


def write_tiles(path: Path, targets: Iterable[tuple[ImageRecord, Path]]) -> None:
    """Write tiles of one picture; those that an earlier run has made of it are left alone.

    Args:
        path: The picture.
        targets: Tiles and their places.
    """
    original = path.stat()
    stale = [(r, t) for r, t in targets if not _up_to_date(r, t, original)]
    if not stale:
        return
    with windows(path) as read:
        for record, target in stale:
            write_samples(target, read(record.window))
            os.utime(target, ns=(original.st_atime_ns, original.st_mtime_ns))  # to recognise it


def _up_to_date(record: ImageRecord, target: Path, original: os.stat_result) -> bool:
    if target.is_symlink() or not target.is_file():
        return False
    made = target.stat()
    if made.st_mtime_ns != original.st_mtime_ns or put_there_after(original, made):
        return False
    header = read_header(target)
    return (header.width, header.height) == (record.width, record.height)


def is_blank(record: ImageRecord) -> bool:
    """Whether a TIFF says that there are no data in all of a tile."""
    if record.window is None or record.path is None or not (is_tiff(record.path) and has_rasterio()):
        return False
    header = read_sar_header(record.path)
    if header.nodata is None and not (header.masked or header.alpha):
        return False
    from rasterio.windows import Window

    with raster(header, "is cut into tiles") as f:
        small = [min(side, _MASK_PX) for side in (record.height, record.width)]
        return not f.dataset_mask(out_shape=small, window=Window.from_slices(*record.window.slices)).any()
