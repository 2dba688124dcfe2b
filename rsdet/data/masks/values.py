"""What a mask file holds, as it stands: whole numbers, or colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rsdet.data.images import no_pixel_limit
from rsdet.data.raster_io import read_samples
from rsdet.data.sar.header import read_sar_header
from rsdet.errors import DataError

GREY = 0x010101  # colours that are its multiples are grey
_EXACT = ("PNG", "TIFF", "BMP", "GIF", "PPM")  # formats that keep every value


class DamagedMask(DataError):
    """A mask that cannot be decoded: it and its picture are left out, and named."""


def read_values(path: Path, expand: bool = False) -> tuple[np.ndarray, bool, float | None]:
    """What a mask holds.

    Args:
        path: The mask.
        expand: Take the colours of a palette, and not its numbers.

    Returns:
        (H, W) numbers, or colours as ``0xRRGGBB``; whether they are colours; and the value that the file says is none.

    Raises:
        DamagedMask: It cannot be read.
        DataError: It has been compressed with losses or has no samples of a mask.
    """
    try:
        with no_pixel_limit(), Image.open(path) as im:
            kind, mode = im.format or "", im.mode
            if kind not in _EXACT or im.info.get("compression") == "jpeg":
                raise DataError(
                    f"{path} is a mask in {kind or 'another format'}, whose compression may change values; save the "
                    "masks as PNG."
                )
            if kind != "TIFF" or mode == "P":
                return (*_of_pillow(im, expand), read_sar_header(path).nodata if kind == "TIFF" else None)
    except DataError:
        raise
    except Exception as e:  # Pillow's plugins raise every kind of error; a TIFF may be of a kind that it does not know
        header = read_sar_header(path)
        if not header.tiff or header.damage:
            why = " ".join(str(e).replace(str(path), path.name).split())[:100]
            raise DamagedMask(f"{path} cannot be read as a mask ({why}); copy it again, or take it out.") from e
    header = read_sar_header(path)
    found = read_samples(header)
    raw = found.raw if found.alpha is None else np.delete(found.raw, found.alpha, axis=2)
    if raw.shape[2] == 3 and raw.dtype == np.uint8:
        return _coloured(raw), True, None
    if raw.shape[2] != 1 or raw.dtype.kind == "c":
        raise DataError(f"{path} has {raw.shape[2]} bands of {raw.dtype}; a mask has one of whole numbers, or colours.")
    nodata = found.nodata if found.nodata is not None else float("nan") if raw.dtype.kind == "f" else None
    return raw[..., 0], False, nodata


def _of_pillow(im: Image.Image, expand: bool) -> tuple[np.ndarray, bool]:
    if im.mode == "P":  # a grey palette holds its levels, as those of Ultralytics' masks do
        colours = np.array(im.getpalette() or []).reshape(-1, 3)
        if (colours == colours[:, :1]).all():
            return np.asarray(im.convert("L")), False
        if not expand:
            return np.asarray(im), False
    if im.mode in ("1", "L", "LA", "I", "F") or im.mode.startswith("I;16"):
        values = np.asarray(im)
        return (values[..., 0] if im.mode == "LA" else values.astype(np.uint8) if im.mode == "1" else values), False
    rgba = np.asarray(im.convert("RGBA"))
    return np.where(rgba[..., 3] > 0, _coloured(rgba), 0), True


def _coloured(rgb: np.ndarray) -> np.ndarray:
    r, g, b = (rgb[..., i].astype(np.int32) for i in range(3))
    return (r << 16) | (g << 8) | b
