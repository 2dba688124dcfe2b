"""Image files: is this one whole, and how large is it? Answered from the header, decoding only when in doubt."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rsdet.data.images import COLOURS, no_pixel_limit
from rsdet.data.images import orientation as read_orientation
from rsdet.data.sar.header import is_whole, read_sar_header

_JPEG_TAIL = 1 << 16  # cameras append previews and padding after the end mark
_SMALLEST_PX = 10  # Ultralytics leaves smaller images out


class BadImageError(ValueError):
    """The file is no picture that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the header says.

    Attributes:
        width: In pixels, EXIF orientation applied, as OpenCV and Ultralytics show the picture.
        height: Likewise.
        orientation: EXIF orientation, 1 to 8, that OpenCV applies to the stored pixels.
        remarks: Properties worth a note in the report: 16 bits, a channel count other than 3, very small.
    """

    width: int
    height: int
    orientation: int = 1
    remarks: tuple[str, ...] = ()


@contextmanager
def calm_pillow() -> Iterator[None]:
    """Let Pillow open satellite scenes without warnings."""
    with no_pixel_limit(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged EXIF blocks, which the report need not know of
        yield


def probe(path: Path) -> ImageInfo:
    """Size of an image, and whether the file is whole.

    PNG checksums are verified; a JPEG must have its end mark and a TIFF all its strips, else (and for every other
    format) the picture is decoded once.

    Raises:
        BadImageError: Empty, truncated, damaged, not readable or no image at all.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        size = path.stat().st_size
        if not size:
            raise BadImageError("the file is empty")
        with Image.open(path) as im:
            kind, bands = im.format, im.getbands()
            deep = im.mode.startswith("I") or _bits(im) > 8
            width, height = im.size
            if kind == "TIFF":  # newer Pillow says the size as shown, older as stored
                width, height = int(im.tag_v2[256]), int(im.tag_v2[257])
            orientation = read_orientation(im)
            if kind != "PNG" and not _complete(im, path, size):
                im.load()
        if kind == "PNG":
            with Image.open(path) as im:  # verify() wants a file of which nothing has been read
                im.verify()
        if orientation >= 5:
            stored = width, height
            width, height = stored[::-1] if kind in {"AVIF", "JPEG", "MPO", "PNG"} else _decoded_size(path)
            orientation = orientation if (width, height) == stored[::-1] else 1
    except BadImageError:
        raise
    except UnidentifiedImageError as e:
        return _by_tags(path, e)
    except Exception as e:  # Pillow's plugins raise every kind of error on damaged bytes
        reason = getattr(e, "strerror", None) or str(e).replace(str(path), path.name) or type(e).__name__
        raise BadImageError(" ".join(reason.split())) from e
    remarks = []
    if deep:
        remarks.append("more than 8 bits per sample: readers that expect 8 bits scale or cut the values")
    colours = next((said for mode, said in COLOURS.items() if bands == tuple(mode)), "")
    if colours:
        remarks.append(f"{colours}: detectors take none such; save it as RGB")
    elif len(bands) != 3 or bands[0] == "P":
        remarks.append(f"{len(bands)} channel(s), mode {'/'.join(bands)}: the default loader converts it to 3")
    if min(width, height) < _SMALLEST_PX:
        remarks.append(f"smaller than {_SMALLEST_PX} px: Ultralytics leaves it out of training")
    return ImageInfo(width, height, orientation, tuple(remarks))


def _by_tags(path: Path, why: Exception) -> ImageInfo:
    """A TIFF that Pillow does not know, by its compression or its bands."""
    header = read_sar_header(path)
    if not header.tiff or header.problem:
        raise BadImageError(header.problem or " ".join(str(why).replace(str(path), path.name).split())) from why
    remarks = [f"{header.bands} bands: name those to take with bands: in the data YAML"] * (header.bands not in (1, 3))
    if header.codec:
        remarks.append(f"compressed with {header.codec}: reading it needs the package rasterio")
    if header.dtype != "uint8":
        remarks.append(f"{header.dtype}: readers that expect 8 bits scale or cut the values")
    return ImageInfo(header.width, header.height, 1, tuple(remarks))


def _bits(im: object) -> int:
    """Bits per sample: Pillow shows 16-bit colour as 8-bit RGB, the truth is in the tags or in the raw mode."""
    tags = getattr(im, "tag_v2", None)
    if tags is not None and 258 in tags:
        value = tags[258]
        return max(value) if isinstance(value, tuple) else int(value)
    return 16 if any(";16" in str(tile[3]) for tile in im.tile) else 8


def _decoded_size(path: Path) -> tuple[int, int]:
    """Size as training sees it: whether OpenCV turns a TIFF or WebP by its EXIF tag depends on its version."""
    from ultralytics.utils.patches import imread

    picture = imread(path)
    if picture is None:
        raise BadImageError("OpenCV cannot decode it")
    return picture.shape[1], picture.shape[0]


def _complete(im: object, path: Path, size: int) -> bool:
    """Whether a JPEG or TIFF file is plainly complete; False means that only decoding can tell."""
    if im.format in {"JPEG", "MPO"}:
        with path.open("rb") as f:
            f.seek(-min(size, _JPEG_TAIL), os.SEEK_END)
            tail = f.read()
        return tail.endswith(b"\xff\xd9") or tail.rstrip(b"\x00").endswith(b"\xff\xd9")
    return im.format == "TIFF" and is_whole(im.tag_v2, size) is True
