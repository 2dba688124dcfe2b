"""The TIFF side of :mod:`rsdet.data.raster_io`: samples of any type, and the place on Earth kept.

GeoTIFFs go through rasterio, an optional package; a TIFF that lies nowhere on Earth can be read by OpenCV alone.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.sar.header import SarHeader
from rsdet.errors import DataError, MissingDependencyError, install
from rsdet.quiet import silent_opencv

_GEO_TAGS = (33550, 33922, 34264, 34735)  # pixel scale, tie points, transformation, GeoKeys
_LOSSLESS = ("deflate", "lzw", "zstd", "packbits")
_TILE_FROM_PX = 1024  # smaller pictures are written in strips
Tiff = tuple[np.ndarray, np.ndarray | None, np.ndarray | None, "float | None", "dict[str, Any] | None"]


def has_geo_tags(path: str | Path) -> bool:
    """Whether the first page of a TIFF says where on Earth it lies."""
    from rsdet.data.sar.header import _directories

    pages = _directories(Path(path))
    return bool(pages) and any(tag in pages[0] for tag in _GEO_TAGS)


def geo_of(nodata: float | None = None) -> dict[str, Any]:
    """What :func:`write_tiff` needs for a file that lies nowhere."""
    return {"crs": None, "transform": None, "gcps": None, "nodata": nodata, "compress": "deflate", "tags": {}}


def read_tiff(header: SarHeader) -> Tiff:
    """Read a TIFF.

    Args:
        header: Of the file, without a problem.

    Returns:
        Samples (H, W, C) of the file's type, without alpha; alpha (H, W) or None; (H, W) bool of the valid pixels or
        None where all are; the value of "no data" or None; and what :func:`write_tiff` needs, or None for a TIFF that
        lies nowhere.

    Raises:
        DataError: The file is damaged.
        MissingDependencyError: rasterio is needed and not installed.
    """
    try:
        import rasterio
    except ModuleNotFoundError as e:
        if has_geo_tags(header.path):
            raise MissingDependencyError(
                f"{header.path} is a GeoTIFF: keeping its place needs the package rasterio, which is not installed; "
                f"{install('geo')}."
            ) from e
        return _plain(header)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(header.path) as f:
                return _read(f)
    except (rasterio.errors.RasterioError, ValueError) as e:
        why = " ".join(str(e).split())[:80]
        raise DataError(f"{header.path} cannot be decoded ({why}); damaged or cut short, copy it again.") from e


def _read(f: Any) -> Tiff:
    from rasterio.enums import ColorInterp, MaskFlags

    raw = np.moveaxis(f.read(), 0, -1)
    colours = list(f.colorinterp)
    alpha = None
    if ColorInterp.alpha in colours and len(colours) > 1:
        place = colours.index(ColorInterp.alpha)
        alpha = np.ascontiguousarray(raw[..., place])
        raw = np.delete(raw, place, axis=2)
    elif colours[0] is ColorInterp.palette:
        table = np.zeros((1 << 8 * raw.itemsize, 4), np.uint8)
        for value, colour in f.colormap(1).items():
            table[value] = colour
        raw = table[raw[..., 0]][..., :3]
    valid = None
    if f.nodata is not None or MaskFlags.per_dataset in f.mask_flag_enums[0]:
        valid = np.ones(raw.shape[:2], bool) if alpha is not None else f.dataset_mask() > 0
    if raw.dtype.kind == "f":
        finite = np.isfinite(raw).all(axis=2)
        valid = finite if valid is None else valid & finite
    valid = None if valid is None or valid.all() else valid
    placed = f.crs is not None or not f.transform.is_identity or bool(f.gcps[0])
    if f.rpcs is not None:
        logging.getLogger("rsdet").warning("%s: its rational polynomials (RPC) are not carried over", f.name)
    nodata = f.nodata if f.nodata is not None else float("nan") if raw.dtype.kind == "f" and valid is not None else None
    compress = str(f.compression.value).lower() if f.compression else "deflate"
    geo = {
        "crs": f.crs if f.crs is not None else f.gcps[1],
        "transform": None if f.transform.is_identity else f.transform,
        "gcps": f.gcps[0] or None,
        "nodata": nodata,
        "compress": compress if compress in _LOSSLESS else "deflate",
        "tags": {k: v for k, v in f.tags().items() if k != "TIFFTAG_SOFTWARE"},
    }
    return np.ascontiguousarray(raw), alpha, valid, nodata, geo if placed or raw.dtype.kind != "u" else None


def _plain(header: SarHeader) -> Tiff:
    """A TIFF without a place, by OpenCV."""
    import cv2

    from rsdet.data.raster_io import split_alpha

    try:
        with silent_opencv():
            raw = cv2.imdecode(np.fromfile(header.path, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        raw = None
    if raw is None or raw.shape[:2] != (header.height, header.width) or (raw.ndim == 3 and raw.shape[2] > 4):
        raise MissingDependencyError(
            f"{header.path} is of a kind that OpenCV does not decode (or is damaged): it needs the package rasterio, "
            f"which is not installed; {install('geo')}."
        )
    colour, alpha = split_alpha(raw, header.bands, bgr=True)
    valid = np.isfinite(colour).all(axis=2) if colour.dtype.kind == "f" else None
    if header.nodata is not None:
        there = ~(colour == header.nodata).all(axis=2)
        valid = there if valid is None else valid & there
    valid = None if valid is None or valid.all() else valid
    return np.ascontiguousarray(colour), alpha, valid, header.nodata, None


def write_tiff(
    path: Path,
    raw: np.ndarray,
    alpha: np.ndarray | None,
    valid: np.ndarray | None,
    geo: dict[str, Any],
    scale: int = 1,
) -> None:
    """Write a GeoTIFF.

    Args:
        path: Target, written at once; the caller renames it.
        raw: (H, W, C) of the type to write.
        alpha: (H, W), becomes the last band.
        valid: (H, W) bool; becomes a mask inside the file where no value says "no data".
        geo: From :func:`read_tiff` or :func:`geo_of`.
        scale: The ground size of a pixel is divided by it; the origin stays the same corner.

    Raises:
        MissingDependencyError: rasterio is not installed.
    """
    try:
        import rasterio
    except ModuleNotFoundError as e:
        raise MissingDependencyError(
            f"{path}: writing {raw.shape[2]} bands or a place on Earth needs the package rasterio, which is not "
            f"installed; {install('geo')}."
        ) from e
    from affine import Affine
    from rasterio.control import GroundControlPoint
    from rasterio.enums import ColorInterp

    height, width, bands = raw.shape
    count = bands + (alpha is not None)
    profile: dict[str, Any] = {
        "driver": "GTiff", "height": height, "width": width, "count": count, "dtype": raw.dtype,
        "nodata": geo["nodata"], "compress": geo["compress"], "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    if bands == 3:
        profile["photometric"] = "RGB"
    if geo["compress"] in ("deflate", "lzw", "zstd"):
        profile["predictor"] = 3 if raw.dtype.kind == "f" else 2
    if min(height, width) >= _TILE_FROM_PX:
        profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512}
    if geo["transform"] is not None:
        t = geo["transform"]
        shrunk = Affine(t.a / scale, t.b / scale, t.c, t.d / scale, t.e / scale, t.f)
        profile |= {"crs": geo["crs"], "transform": shrunk}
    elif geo["gcps"]:
        moved = [GroundControlPoint(p.row * scale, p.col * scale, p.x, p.y, p.z, p.id, p.info) for p in geo["gcps"]]
        profile |= {"crs": geo["crs"], "gcps": moved}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as f:
            f.write(np.moveaxis(raw, -1, 0), list(range(1, bands + 1)))
            if alpha is not None:
                f.write(alpha, count)
                f.colorinterp = (*f.colorinterp[:-1], ColorInterp.alpha)
            if valid is not None and alpha is None and geo["nodata"] is None:
                f.write_mask(valid)
            f.update_tags(**geo["tags"])
