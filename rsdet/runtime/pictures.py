"""From a file or an array to the picture that the network takes; what would be read wrongly is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.data.images import header_of, no_pixel_limit, problem_of, read_header
from rsdet.data.sar import SarReader
from rsdet.errors import DataError

_UNDECODED = "cannot be decoded (damaged or cut short); copy it again"


def read_picture(path: str | Path, channels: int = 3, reader: SarReader | None = None) -> np.ndarray:
    """Read one image file as Ultralytics' loader does, or with the SAR reader of the model.

    Args:
        path: The file.
        channels: 3 for BGR, 1 for gray.
        reader: Of a model with a ``sar:`` section.

    Returns:
        (H, W, C) uint8.

    Raises:
        DataError: The file cannot be used.
    """
    if reader is not None:
        return reader(path)
    with no_pixel_limit():
        problem = problem_of(read_header(path), channels)
    picture = None if problem else _decoded(Path(path), channels)
    if picture is None:
        raise DataError(f"{path} {problem or _UNDECODED}.")
    return picture


def to_picture(image: Any, channels: int = 3, reader: SarReader | None = None) -> np.ndarray:
    """Turn whatever holds an image into a picture.

    Args:
        image: Path, (H, W) or (H, W, C) array with BGR order, or Pillow image.
        channels: 3 for BGR, 1 for gray.
        reader: Of a model with a ``sar:`` section; an array is then of values as they stand in files.

    Returns:
        (H, W, C) uint8.

    Raises:
        DataError: The image cannot be used.
    """
    if isinstance(image, (str, Path)):
        return read_picture(image, channels, reader)
    header = header_of(image)
    if header is None:
        raise DataError(f"an image cannot be a {type(image).__name__}; pass a path, an array or a Pillow image.")
    if header.problem:
        raise DataError(f"{header.path} {header.problem}.")
    if reader is not None:
        return reader.array(np.asarray(image), str(header.path))
    if problem := problem_of(header, channels):
        raise DataError(f"{header.path} {problem}.")
    if isinstance(image, np.ndarray):
        return _with_channels(image, channels)
    from PIL import ImageOps

    upright = np.asarray(ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB"))
    return upright[..., None] if channels == 1 else cv2.cvtColor(upright, cv2.COLOR_RGB2BGR)


def _with_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    picture = picture[..., None] if picture.ndim == 2 else picture
    if picture.shape[2] == channels:
        return picture
    # problem_of lets nothing through but gray for colour and colour for gray
    how = cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_GRAY2BGR
    picture = cv2.cvtColor(np.ascontiguousarray(picture), how)
    return picture[..., None] if channels == 1 else picture


def _decoded(path: Path, channels: int) -> np.ndarray | None:
    data = np.fromfile(path, np.uint8)  # OpenCV itself opens no names beyond the system's code page
    picture = None
    if path.suffix.lower() == ".avif":  # not in every build of OpenCV
        from PIL import Image, ImageOps

        with Image.open(path) as im:
            upright = ImageOps.exif_transpose(im).convert("L" if channels == 1 else "RGB")
        picture = np.asarray(upright)[..., ::-1] if channels == 3 else np.asarray(upright)
    try:
        if picture is None and channels == 3 and path.suffix.lower() in (".tif", ".tiff"):
            picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)  # colours as they are stored, not turned by a tag
            picture = picture if picture is not None and picture.ndim == 3 else None
        if picture is None:
            picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    except cv2.error:  # its limits
        return None
    if picture is None:
        return None
    return np.ascontiguousarray(picture[..., None] if picture.ndim == 2 else picture)
