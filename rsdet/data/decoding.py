"""From the bytes of a file to its samples: OpenCV for what it decodes without changing a value, rasterio for the rest.

Every reader comes here, so that a file which one of them reads is damaged for none, and what this machine cannot read
is named: a compression, or a picture larger than the memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsdet.errors import DataError, MissingDependencyError, install
from rsdet.quiet import silent_opencv

if TYPE_CHECKING:
    from rsdet.data.sar.header import SarHeader


@contextmanager
def within_memory(path: str | Path) -> Iterator[None]:
    """Say of which picture it is that the memory is not enough for; the next one may be smaller.

    Raises:
        DataError: In the place of a MemoryError, or of OpenCV's.
    """
    try:
        yield
    except Exception as e:
        if not _of_memory(e):
            raise
        raise DataError(f"{path} does not fit into the memory of this machine; cut it into tiles.") from e


def _of_memory(e: Exception) -> bool:
    import cv2

    return isinstance(e, MemoryError) or (isinstance(e, cv2.error) and e.code == cv2.Error.StsNoMem)


def by_opencv(path: str | Path, flags: int) -> np.ndarray | None:
    """Decode a file with OpenCV; None where it cannot.

    Raises:
        MemoryError: The picture is larger than the memory.
    """
    import cv2

    try:
        data = np.fromfile(path, np.uint8)  # OpenCV itself opens no names beyond the system's code page
        with silent_opencv():  # it warns of every GeoTIFF tag
            return cv2.imdecode(data, flags) if data.size else None
    except cv2.error as e:
        if _of_memory(e):
            raise MemoryError(str(path)) from e
        return None  # its limits; whether the file is at fault, others say


def has_rasterio() -> bool:
    """Whether the package rasterio can be imported."""
    try:
        import rasterio  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def needs_package(header: SarHeader) -> str:
    """Say in a few words which package a file needs and this machine lacks; an empty string where it needs none."""
    bands = header.tiff and header.bands == 3 and header.mode == "L"  # OpenCV takes the first of them
    if not (header.codec or bands) or has_rasterio():
        return ""
    what = f"is compressed with {header.codec}" if header.codec else "holds 3 bands that are no colours"
    return f"{what}, which needs the package rasterio; {install('geo')}"


@contextmanager
def raster(header: SarHeader, what: str) -> Iterator[Any]:
    """Open a file with rasterio.

    Args:
        header: Of the file.
        what: Why rasterio is needed, for the message: ``holds complex samples``.

    Raises:
        DataError: The file cannot be decoded.
        MissingDependencyError: rasterio is not installed.
    """
    path = header.path
    try:
        import rasterio
    except ModuleNotFoundError as e:
        why = needs_package(header) or f"{what}, which needs the package rasterio; {install('geo')}"
        raise MissingDependencyError(f"{path} {why}.") from e
    from rsdet.data.sar.header import is_tiff

    for mask in (Path(f"{path}.msk"), Path(f"{path}.MSK")):
        if mask.is_file() and not is_tiff(mask):  # GDAL would follow whatever format it is, and where it points
            raise DataError(f"{mask}, the mask of {path.name}, is no TIFF, so neither was read; take it out.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(path) as f:
                yield f
    except (rasterio.errors.RasterioError, ValueError) as e:
        why = " ".join(str(e).split())[:80]
        if header.codec:
            raise DataError(
                f"{path} is compressed with {header.codec} and cannot be decoded ({why}); copy it again, or save it "
                "with another compression, such as DEFLATE."
            ) from e
        raise DataError(f"{path} cannot be decoded ({why}); damaged or cut short, copy it again.") from e
