"""Writing ENVI: what every program for cubes reads, with wavelengths, bad bands, scale and place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsdet.errors import DataError
from rsdet.scenes.georef import Georef
from rsdet.writing import write_bytes, write_text

_CODES = {"uint8": 1, "int16": 2, "int32": 3, "float32": 4, "float64": 5, "uint16": 12, "uint32": 13}


def write_envi(
    path: Path,
    samples: np.ndarray,
    *,
    wavelengths_nm: np.ndarray | None = None,
    good: np.ndarray | None = None,
    scale: float | None = None,
    nodata: float | None = None,
    georef: Georef | None = None,
    description: str = "",
) -> Path:
    """Write a cube, lines of all bands one after the other (BIL).

    Args:
        path: The header; samples go to ``.img`` beside it.
        samples: (H, W, B) as they are to be stored.
        wavelengths_nm: (B,) middles of the bands.
        good: (B,) bool, False for bad bands.
        scale: What a value is multiplied by to be stored.
        nodata: Sample of no data.
        georef: Where it lies; only without rotation.
        description: One line.

    Returns:
        The path of the header.

    Raises:
        DataError: The type or the place cannot be written.
    """
    if samples.dtype.name not in _CODES:
        raise DataError(f"{path}: ENVI holds {', '.join(_CODES)}, received {samples.dtype}; convert the samples.")
    height, width, bands = samples.shape
    said = [
        f"description = {{{description}}}", f"samples = {width}", f"lines = {height}", f"bands = {bands}",
        "header offset = 0", "file type = ENVI Standard", f"data type = {_CODES[samples.dtype.name]}",
        "interleave = bil", "byte order = 0",
    ]  # fmt: skip
    if georef is not None:
        said += _place(path, georef)
    if wavelengths_nm is not None:
        said += ["wavelength units = Nanometers", f"wavelength = {{{', '.join(f'{v:g}' for v in wavelengths_nm)}}}"]
    if good is not None:
        said.append(f"bbl = {{{', '.join(str(int(v)) for v in good)}}}")
    if scale is not None:
        said.append(f"reflectance scale factor = {scale:g}")
    if nodata is not None:
        said.append(f"data ignore value = {nodata:g}")
    stored = samples.transpose(0, 2, 1).astype(samples.dtype.newbyteorder("<"))
    write_bytes(path.with_suffix(".img"), stored.tobytes())
    return write_text(path, "\n".join(["ENVI", *said, ""]))


def _place(path: Path, georef: Georef) -> list[str]:
    a, b, east, d, e, north = georef.transform or (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    if b or d or not georef.placed:
        raise DataError(f"{path}: a place that is turned, or none, is not written to ENVI; write a GeoTIFF.")
    wkt = f"coordinate system string = {{{' '.join((georef.crs_wkt or '').split())}}}"
    return [f"map info = {{Arbitrary, 1, 1, {east!r}, {north!r}, {a!r}, {-e!r}, 0, units=Meters}}", wkt]
