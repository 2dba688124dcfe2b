"""What the header of a scene says: size, samples, place on Earth, and which file it is."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import DataError
from rsdet.filestate import file_state
from rsdet.scenes.blocks import sample_type


@dataclass(frozen=True)
class SceneInfo:
    """What the header of a scene says.

    Attributes:
        path: The file.
        size_hw: Height and width, pixels; of the upright picture.
        bands: Without alpha; three of a palette.
        dtype: NumPy's name of the sample type; of complex integers that of their pairs.
        nodata: Value that means "no data".
        alpha: Place of the band that is opacity, from 0; None without one.
        crs_wkt: Coordinate reference system, None without one.
        transform: a, b, c, d, e, f of x = a * column + b * row + c, y = d * column + e * row + f; None without a place.
        gcps: Ground control points alone say where it lies.
        rpcs: Rational polynomials alone say where it lies.
        identity: SHA-256 that changes when the file does.
        scales: Of each band, alpha among them: a value is sample * scale + offset.
        offsets: Of each band.
        nodatas: Of each band.
    """

    path: Path
    size_hw: tuple[int, int]
    bands: int
    dtype: str
    nodata: float | None
    alpha: int | None
    crs_wkt: str | None
    transform: tuple[float, ...] | None
    gcps: bool
    rpcs: bool
    identity: str
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    nodatas: tuple[float | None, ...] = ()

    @property
    def count(self) -> int:
        """Bands with alpha."""
        return self.bands + (self.alpha is not None)


def scene_info(f: Any, files: list[Path], turn: int) -> SceneInfo:
    """The facts of an open dataset.

    Args:
        f: The dataset.
        files: Those that it consists of, itself first.
        turn: EXIF orientation, 1 to 8.

    Raises:
        DataError: Bands of several types, or of printing colours, or a scale that is no number.
    """
    from rasterio.enums import ColorInterp

    path, colours = files[0], list(f.colorinterp)
    if len(set(f.dtypes)) > 1:
        raise DataError(f"{path} has bands of different types ({', '.join(f.dtypes)}); save one type per file.")
    if ColorInterp.cyan in colours:
        raise DataError(f"{path} holds printing colours (CMYK); save it as RGB.")
    for key, values in (("scale", f.scales), ("offset", f.offsets)):
        if not np.isfinite(values).all():  # no pixel would have a value, and nothing be found
            raise DataError(f"{path} states a {key} of {values}; mend it, such as with gdal_edit.py -{key} 1.")
    alpha = f.count - 1 if f.count > 1 and colours[-1] is ColorInterp.alpha else None
    palette = colours[0] is ColorInterp.palette
    crs = f.crs if f.crs is not None else f.gcps[1]
    placed, gcps = not f.transform.is_identity, bool(f.gcps[0])
    return SceneInfo(
        path=path,
        size_hw=f.shape if turn < 5 else f.shape[::-1],
        bands=3 if palette else f.count - (alpha is not None),
        dtype="uint8" if palette else f.dtypes[0],
        nodata=f.nodata,
        alpha=None if palette else alpha,
        crs_wkt=crs.to_wkt() if crs else None,
        transform=tuple(f.transform)[:6] if placed else None,
        gcps=gcps and not placed,
        rpcs=f.rpcs is not None and not placed and not gcps,
        identity=_identity(f, files),
        scales=f.scales,
        offsets=f.offsets,
        nodatas=f.nodatavals,
    )


def palette_of(f: Any) -> np.ndarray | None:
    """Colours of a palette, (values, 4) uint8 red, green, blue, opacity; None without one."""
    from rasterio.enums import ColorInterp

    if f.colorinterp[0] is not ColorInterp.palette:
        return None
    table = np.zeros((1 << 8 * sample_type(f.dtypes[0]).itemsize, 4), np.uint8)
    for value, colour in f.colormap(1).items():
        table[value] = colour
    return table


def spread_of(f: Any) -> int:
    """Factor that makes samples of 1, 2 or 4 bits bytes."""
    bits = int(f.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
    return 255 // (2**bits - 1) if f.dtypes[0] == "uint8" and bits < 8 else 1


def is_masked(f: Any) -> bool:
    """Whether a mask, and not a band of opacity, says which pixels are valid."""
    from rasterio.enums import MaskFlags

    flags = f.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def _identity(f: Any, files: list[Path]) -> str:
    masks = [m for path in files if os.path.isfile(m := Path(f"{path}.msk"))]  # of a name that may be too long
    said = [
        file_state([*files, *masks]),
        f.driver, f.shape, f.count, f.dtypes, [str(v) for v in f.nodatavals], tuple(f.transform), f.overviews(1),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
