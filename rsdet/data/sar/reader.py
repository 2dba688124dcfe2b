"""Decoding a SAR file into magnitudes and a mask of the valid pixels, whatever its sample type.

OpenCV decodes what it can without changing a value; complex samples, internal masks and compressions that it does not
know go through rasterio, an optional package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.decoding import by_opencv, needs_package, raster, within_memory
from rsdet.data.sar.header import SarHeader, read_sar_header
from rsdet.errors import DataError

MAX_PIXELS = 2**28  # one file at a time is held in memory: 1 GiB as float32
QUANTITIES = ("amplitude", "intensity", "complex", "velocity")


@dataclass(frozen=True)
class SarImage:
    """One decoded file.

    Attributes:
        values: (H, W) float32 in the units of the file; the magnitude of complex samples. Undefined where not valid.
        valid: (H, W) bool, False for nodata, NaN and infinities.
        dtype: Sample type of the file, see :class:`rsdet.data.sar.header.SarHeader`.
    """

    values: np.ndarray
    valid: np.ndarray
    dtype: str


def read_sar(path: str | Path, quantity: str = "amplitude", nodata: float | None = None) -> SarImage:
    """Decode a SAR file of one band: PNG, TIFF, GeoTIFF or any other format that OpenCV reads.

    Args:
        path: The file. Bands that are all equal (gray saved as RGB) count as one.
        quantity: ``"amplitude"``, ``"intensity"``, ``"velocity"``, or ``"complex"`` for the magnitude of complex
            samples.
        nodata: Value that means "no data", in the units of the file; besides NaN, infinities and the nodata tag.

    Raises:
        DataError: Not readable, too large, several bands, or complex samples and ``quantity`` does not say so.
        MissingDependencyError: Only rasterio reads this file and it is not installed.
    """
    header = read_sar_header(path)
    if problem := header_problem(header, quantity):
        raise DataError(f"{header.path} {problem}.")
    with within_memory(path):
        raw, valid = _decode(header)
        return to_image(raw, header.dtype, [header.nodata, nodata], valid, str(path))


def header_problem(header: SarHeader, quantity: str) -> str:
    """Say in a few words why a file cannot be read as this quantity; an empty string where it can."""
    if problem := header.problem or needs_package(header):
        return problem
    if header.width * header.height > MAX_PIXELS:
        return f"has {header.width}x{header.height} pixels, more than the {MAX_PIXELS} read at once; cut it into tiles"
    if header.is_complex and quantity != "complex":
        return (
            f"holds complex data ({header.dtype}) without a magnitude rule; say quantity: complex in the sar: section "
            "of the data YAML"
        )
    if not header.is_complex and quantity == "complex":
        return f"holds {header.dtype} and no complex data; say quantity: amplitude or intensity"
    if header.bands > 1 and quantity == "velocity":
        return (
            f"has {header.bands} bands and a map of velocities one; save it as a file of its own, or leave the sar: "
            "section out for coloured pictures of velocities"
        )
    if header.bands == 2 or (header.bands > 1 and header.is_complex):
        return f"has {header.bands} bands; save the one to look at (such as VV) as a file of its own"
    return ""


def to_image(
    raw: np.ndarray, dtype: str, nodata: list[float | None], valid: np.ndarray | None = None, name: str = "the array"
) -> SarImage:
    """Turn decoded samples into magnitudes and a mask.

    Args:
        raw: (H, W), (H, W, 1) or (H, W, C) with equal bands.
        dtype: Sample type to record.
        nodata: Values that mean "no data"; ``None`` entries are left out.
        valid: (H, W) bool, what is known to be valid; everything when not given.
        name: Who it is, for messages.

    Raises:
        DataError: The bands differ.
    """
    raw = _one_band(raw, name)
    valid = np.ones(raw.shape, bool) if valid is None else valid.copy()
    for value in nodata:
        if value is not None and (same := _of_type(value, raw.dtype)) is not None:
            valid &= raw != same
    if raw.dtype.kind == "c":
        raw = np.abs(raw)
    if raw.dtype.kind == "f":
        valid &= np.isfinite(raw)
    return SarImage(raw.astype(np.float32), valid, dtype)


def _one_band(raw: np.ndarray, name: str) -> np.ndarray:
    if raw.ndim == 2:
        return raw
    first = raw[..., 0]
    for band in range(1, raw.shape[2]):
        if not np.array_equal(first, raw[..., band], equal_nan=raw.dtype.kind in "fc"):
            raise DataError(
                f"{name} has {raw.shape[2]} bands that differ; save the one to look at (such as VV) as a file of its "
                "own, in gray"
            )
    return first


def _of_type(value: float, dtype: np.dtype) -> Any:
    """The value as a sample of this type; None where no sample can have it."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return dtype.type(value) if value == value // 1 and limits.min <= value <= limits.max else None
    with np.errstate(over="ignore"):
        return dtype.type(value)  # float32 tags are written with the digits of a float64


def _decode(header: SarHeader) -> tuple[np.ndarray, np.ndarray | None]:
    if not (header.is_complex or header.masked or header.planar or header.codec):
        raw = _by_opencv(header)
        if raw is not None:
            return raw, None
    return _by_rasterio(header)


def _by_opencv(header: SarHeader) -> np.ndarray | None:
    """Samples as the header declares them, or None where OpenCV does not give these."""
    import cv2

    raw = by_opencv(header.path, cv2.IMREAD_UNCHANGED)
    if raw is None or raw.shape[:2] != (header.height, header.width):
        return None
    wanted = np.dtype(header.dtype)
    if raw.dtype != wanted and raw.dtype.kind in "iu" and wanted.kind in "iu" and raw.itemsize == wanted.itemsize:
        raw = raw.view(wanted)  # OpenCV 4 has no unsigned 32-bit and no signed 8-bit pictures from files
    bands = 1 if raw.ndim == 2 else raw.shape[2]
    return raw if raw.dtype == wanted and bands == header.bands else None


def _by_rasterio(header: SarHeader) -> tuple[np.ndarray, np.ndarray | None]:
    kind = "complex samples" if header.is_complex else "a mask" if header.masked else "a kind OpenCV does not decode"
    with raster(header, f"holds {kind} (or is damaged)") as f:
        return np.moveaxis(f.read(), 0, -1), f.dataset_mask() > 0 if header.masked else None
