"""The TIFF side of :mod:`rsdet.data.raster_io`: samples of any type, and the place on Earth kept.

GeoTIFFs go through rasterio, an optional package; a TIFF that lies nowhere on Earth can be read by OpenCV alone.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsdet.data.decoding import by_opencv, has_rasterio, raster
from rsdet.data.images import no_pixel_limit
from rsdet.data.sar.header import SarHeader, as_tuple, directories
from rsdet.errors import MissingDependencyError, install

_GEO_TAGS = (33550, 33922, 34264, 34735)  # pixel scale, tie points, transformation, GeoKeys
_EXTRA = 338  # ExtraSamples: 1 for alpha that the colours are multiplied by, 2 for one they are not
_LOSSLESS = ("deflate", "lzw", "zstd", "packbits")
_TILE_FROM_PX = 1024  # smaller pictures are written in strips
BLOCK_PX = 512
_CACHE_BYTES = 128 << 20  # GDAL takes a share of the memory otherwise
_OF_BANDS = ("scales", "offsets", "descriptions", "units")
_UNSAID = {"scales": 1.0, "offsets": 0.0, "descriptions": None, "units": None}


class Samples(NamedTuple):
    """Samples of a file, as they are stored.

    Attributes:
        raw: (H, W, C) of the file's type, bands in the order of the file (RGB, not BGR), alpha among them.
        alpha: Place of the band that is marked as opacity, counted from 0; None without one.
        valid: (H, W) bool, False where the file says that there is no data; None where all is valid.
        nodata: Value of "no data"; None without one.
        geo: What :func:`write_tiff` needs; None for a file that lies nowhere and says nothing about its values.
    """

    raw: np.ndarray
    alpha: int | None = None
    valid: np.ndarray | None = None
    nodata: float | None = None
    geo: dict[str, Any] | None = None


def has_geo_tags(path: str | Path) -> bool:
    """Whether the first page of a TIFF says where on Earth it lies."""
    pages = directories(Path(path))
    return bool(pages) and any(tag in pages[0] for tag in _GEO_TAGS)


def geo_of(nodata: float | None = None) -> dict[str, Any]:
    """What :func:`write_tiff` needs for a file that lies nowhere."""
    return {"crs": None, "transform": None, "gcps": None, "nodata": nodata, "compress": "deflate", "tags": {}}


def geo_of_bands(geo: dict[str, Any] | None, bands: Sequence[int]) -> dict[str, Any] | None:
    """The same for some of the bands, counted from 0: what is said of each band goes with it."""
    return geo and {**geo, **{k: tuple(geo[k][b] for b in bands) for k in _OF_BANDS if geo.get(k)}}


def read_tiff(header: SarHeader) -> Samples:
    """Read a TIFF.

    Args:
        header: Of the file, without damage.

    Raises:
        DataError: The file is damaged.
        MissingDependencyError: rasterio is needed and not installed.
    """
    if not has_rasterio() and not has_geo_tags(header.path) and not header.codec:
        return _plain(header)
    with raster(header, "is a GeoTIFF") as f:
        return read_window(f)


def read_window(f: Any, rows: slice | None = None, columns: slice | None = None) -> Samples:
    """Samples of a file that rasterio has opened, or of a window of it, which then lies where it lies on Earth."""
    from rasterio.enums import ColorInterp, MaskFlags
    from rasterio.windows import Window

    rows, columns = rows or slice(0, f.height), columns or slice(0, f.width)
    window = Window.from_slices(rows, columns)
    raw = np.moveaxis(f.read(window=window), 0, -1)
    colours = list(f.colorinterp)
    alpha = len(colours) - 1 if colours[1:] and colours[-1] is ColorInterp.alpha else None  # as the header has it
    if colours[0] is ColorInterp.palette:
        table = np.zeros((1 << 8 * raw.itemsize, 4), np.uint8)
        for value, colour in f.colormap(1).items():
            table[value] = colour
        raw = table[raw[..., 0]][..., :3]
    valid = None
    if f.nodata is not None or MaskFlags.per_dataset in f.mask_flag_enums[0]:
        valid = np.ones(raw.shape[:2], bool) if alpha is not None else f.dataset_mask(window=window) > 0
    if raw.dtype.kind == "f":
        finite = np.isfinite(raw).all(axis=2)
        valid = finite if valid is None else valid & finite
    valid = None if valid is None or valid.all() else valid
    nodata = f.nodata if f.nodata is not None else float("nan") if raw.dtype.kind == "f" and valid is not None else None
    geo = {**geo_of_dataset(f, rows.start, columns.start), "nodata": nodata}
    placed = f.crs is not None or not f.transform.is_identity or bool(f.gcps[0])
    described = any(set(geo.get(k, ())) - {_UNSAID[k]} for k in _OF_BANDS)
    return Samples(raw, alpha, valid, nodata, geo if placed or described or raw.dtype.kind != "u" else None)


def geo_of_dataset(f: Any, top: int = 0, left: int = 0) -> dict[str, Any]:
    """What :func:`write_tiff` needs, of a file that rasterio has opened, or of a window of it that begins there."""
    from rasterio.control import GroundControlPoint
    from rasterio.windows import Window

    if f.rpcs is not None:
        logging.getLogger("rsdet").warning("%s: its rational polynomials (RPC) are not carried over", f.name)
    compress = str(f.compression.value).lower() if f.compression else "deflate"
    palette = f.colorinterp[0].name == "palette"  # one band that becomes three
    return {
        "crs": f.crs if f.crs is not None else f.gcps[1],
        "transform": None if f.transform.is_identity else f.window_transform(Window(left, top, 1, 1)),
        "gcps": [GroundControlPoint(p.row - top, p.col - left, p.x, p.y, p.z, p.id, p.info) for p in f.gcps[0]] or None,
        "nodata": f.nodata,
        "compress": compress if compress in _LOSSLESS else "deflate",
        "tags": {k: v for k, v in f.tags().items() if k != "TIFFTAG_SOFTWARE"},
        **({} if palette else {k: tuple(getattr(f, k)) for k in _OF_BANDS}),
    }


def _plain(header: SarHeader) -> Samples:
    """A TIFF without a place, by OpenCV."""
    import cv2

    if header.alpha and header.dtype == "uint8" and as_tuple(directories(Path(header.path))[0][_EXTRA])[-1] == 2:
        raw = _by_pillow(header)  # OpenCV multiplies the colours by such an alpha, and Pillow divides by the other kind
    else:
        raw = by_opencv(header.path, cv2.IMREAD_UNCHANGED)
        raw = raw[..., [2, 1, 0, 3][: raw.shape[2]]] if raw is not None and raw.ndim == 3 else raw
    raw = raw[..., None] if raw is not None and raw.ndim == 2 else raw
    if raw is None or raw.shape != (header.height, header.width, header.bands):
        raise MissingDependencyError(
            f"{header.path} is of a kind that OpenCV does not decode (or is damaged): it needs the package rasterio, "
            f"which is not installed; {install('geo')}."
        )
    alpha = header.bands - 1 if header.alpha else None
    values = raw if alpha is None else raw[..., :alpha]
    valid = np.isfinite(values).all(axis=2) if values.dtype.kind == "f" else None
    if header.nodata is not None:
        there = ~(values == header.nodata).all(axis=2)
        valid = there if valid is None else valid & there
    return Samples(raw, alpha, None if valid is None or valid.all() else valid, header.nodata)


def _by_pillow(header: SarHeader) -> np.ndarray | None:
    from PIL import Image

    try:
        with no_pixel_limit(), Image.open(header.path) as im:
            return np.asarray(im)
    except (OSError, ValueError, SyntaxError):
        return None


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
    height, width, bands = raw.shape
    count = bands + (alpha is not None)
    in_tiles = min(height, width) >= _TILE_FROM_PX
    with new_tiff(path, (height, width, count), raw.dtype, geo, scale, alpha is not None, in_tiles) as f:
        f.write(np.moveaxis(raw, -1, 0), list(range(1, bands + 1)))
        if alpha is not None:
            f.write(alpha, count)
        if valid is not None and alpha is None and geo["nodata"] is None:
            f.write_mask(valid)


@contextmanager
def new_tiff(
    path: Path,
    shape: tuple[int, int, int],
    dtype: Any,
    geo: dict[str, Any],
    scale: int = 1,
    alpha: bool = False,
    in_tiles: bool = True,
) -> Iterator[Any]:
    """A GeoTIFF to write into, which says already where it lies; larger than 4 GB where it must be.

    Args:
        path: As in :func:`write_tiff`.
        shape: Height, width and bands, alpha among them.
        dtype: Type of the samples.
        geo: As in :func:`write_tiff`.
        scale: As in :func:`write_tiff`.
        alpha: The last band is opacity.
        in_tiles: Of :data:`BLOCK_PX` pixels a side, else strips.

    Yields:
        The dataset of rasterio.

    Raises:
        MissingDependencyError: rasterio is not installed.
    """
    height, width, count = shape
    bands = count - alpha
    try:
        import rasterio
    except ModuleNotFoundError as e:
        raise MissingDependencyError(
            f"{path}: writing {bands} bands or a place on Earth needs the package rasterio, which is not "
            f"installed; {install('geo')}."
        ) from e
    from affine import Affine
    from rasterio.control import GroundControlPoint
    from rasterio.enums import ColorInterp

    profile: dict[str, Any] = {
        "driver": "GTiff", "height": height, "width": width, "count": count, "dtype": dtype,
        "nodata": geo["nodata"], "compress": geo["compress"], "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    if bands == 3:
        profile["photometric"] = "RGB"
    if geo["compress"] in ("deflate", "lzw", "zstd"):
        profile["predictor"] = 3 if np.dtype(dtype).kind == "f" else 2
    if in_tiles:
        profile |= {"tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX}
    if geo["transform"] is not None:
        t = geo["transform"]
        shrunk = Affine(t.a / scale, t.b / scale, t.c, t.d / scale, t.e / scale, t.f)
        profile |= {"crs": geo["crs"], "transform": shrunk}
    elif geo["gcps"]:
        moved = [GroundControlPoint(p.row * scale, p.col * scale, p.x, p.y, p.z, p.id, p.info) for p in geo["gcps"]]
        profile |= {"crs": geo["crs"], "gcps": moved}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        options = {"GDAL_TIFF_INTERNAL_MASK": True, "GDAL_CACHEMAX": _CACHE_BYTES}
        with rasterio.Env(**options), rasterio.open(path, "w", **profile) as f:
            if alpha:
                f.colorinterp = (*f.colorinterp[:-1], ColorInterp.alpha)
            f.update_tags(**geo["tags"])
            _describe(f, geo, bands)
            yield f


def _describe(f: Any, geo: dict[str, Any], bands: int) -> None:
    """Write what the source says of each band: how its numbers become values of the unit, and its name."""
    if len(geo.get("scales", ())) == bands:
        for key in _OF_BANDS:
            if set(geo[key]) - {_UNSAID[key]}:
                more = f.count - bands  # alpha
                setattr(f, key, (*geo[key], *[_UNSAID[key]] * more))
    elif any(set(geo.get(k, ())) - {_UNSAID[k]} for k in _OF_BANDS):
        said = "%s: scale, offset, names and units of the bands left out, %d bands became %d"
        logging.getLogger("rsdet").warning(said, f.name, len(geo["scales"]), bands)
