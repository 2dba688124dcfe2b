"""Looking at image files before anything heavy starts: their headers say enough to refuse what would go wrong later."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdet.quiet import Level

MAX_PIXELS = 2**30  # OpenCV refuses larger pictures
SUFFIXES = (".avif", ".bmp", ".jpeg", ".jpg", ".jp2", ".mpo", ".png", ".tif", ".tiff", ".webp")
COLOURS = {"CMYK": "printing colours (CMYK)", "LAB": "Lab colours"}  # by Pillow's name; taken for RGB they are wrong
_LIMIT = Level()
_DEEP = ("I;16", "I;16B", "I;16L", "I", "F")


@dataclass(frozen=True)
class Header:
    """What the header of an image file says.

    Attributes:
        path: The file.
        width: Pixels; 0 where the file cannot be read.
        height: Pixels; 0 where the file cannot be read.
        channels: Samples per pixel; those of the colours of a palette.
        mode: Pillow's name for the kind of pixel, such as ``RGBA``.
        deep: More than 8 bits per sample.
        problem: Why the file cannot be read, or an empty string.
        turned: An EXIF orientation of a JPEG says that it is not stored upright.
    """

    path: Path
    width: int = 0
    height: int = 0
    channels: int = 3
    mode: str = "RGB"
    deep: bool = False
    problem: str = ""
    turned: bool = False


@contextlib.contextmanager
def no_pixel_limit() -> Iterator[None]:
    """Let Pillow read headers of pictures of any size; only the header is read, and we judge the size ourselves."""
    from PIL import Image

    def put(limit: int | None) -> None:
        Image.MAX_IMAGE_PIXELS = limit

    with _LIMIT.within(lambda: Image.MAX_IMAGE_PIXELS, put, None):  # threads that read headers share it
        yield


def read_header(path: str | Path) -> Header:
    """Read the header of one image; a file that cannot be read is described, not raised."""
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    try:
        if path.is_dir():
            return Header(path, problem="is a folder; pass a file")
        if path.stat().st_size == 0:
            return Header(path, problem="is empty (0 bytes); copy it again")
        with Image.open(path) as im:
            width, height = im.size
            mode, channels = im.mode, len(im.getbands())
            if mode in ("P", "PA"):
                mode, channels = ("RGBA", 4) if mode == "PA" or "transparency" in im.info else ("RGB", 3)
            deep = mode in _DEEP or _tiff_is_deep(im) or _png_is_deep(path)
            turned = _is_turned(im)
            frames = 1 if im.format in ("MPO", "TIFF") else getattr(im, "n_frames", 1)  # previews; pages have a reader
    except FileNotFoundError:
        return Header(path, problem="does not exist; check the path")
    except Image.DecompressionBombError:
        return Header(path, problem="has more pixels than Pillow opens; cut it into tiles")
    except UnidentifiedImageError:
        remedy = (
            "save it with 8 bits a sample, or train with a sar: section in the data YAML if it has one band"
            if path.suffix.lower()[:4] == ".tif"
            else "copy it again or take it out"
        )
        return Header(path, problem=f"is not a readable image; {remedy}")
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError, struct.error) as e:
        why = " ".join(str(e).split())[:80] or type(e).__name__
        return Header(path, problem=f"is not a readable image ({why}); copy it again or take it out")
    if width == 0 or height == 0:
        return Header(path, problem=f"has no pixels ({width}x{height}); copy it again")
    if frames > 1:
        return Header(path, problem=f"is an animation of {frames} pictures; save each as a file of its own")
    return Header(path, width, height, channels, mode, deep, turned=turned)


def header_of(image: Any) -> Header | None:
    """The same facts of a picture in memory: a Pillow image or an (H, W) or (H, W, C) array; None for anything else."""
    import numpy as np
    from PIL import Image

    if isinstance(image, Image.Image):
        name = Path("the image")
        deep = image.mode in _DEEP
        return Header(name, *image.size, len(image.getbands()), image.mode, deep, problem_in_memory(image))
    if isinstance(image, np.ndarray):
        if image.ndim not in (2, 3) or not image.size:
            return Header(Path("the array"), problem=f"has the shape {image.shape}; it must be (H, W) or (H, W, C)")
        h, w, c = (*image.shape, 1)[:3]
        if image.ndim == 3 and h <= 4 < c:
            turned = "channels first; pass (H, W) or (H, W, C), e.g. image.transpose(1, 2, 0)"
            return Header(Path("the array"), problem=f"has the shape {image.shape}, {turned}")
        return Header(Path("the array"), w, h, c, str(image.dtype), image.dtype != np.uint8)
    return None


def problem_in_memory(image: Any) -> str:
    """Why nothing can be made of a Pillow image; an empty string where something can."""
    try:
        image.load()
    except ValueError:  # what a damaged file raises says by itself what is wrong
        return "has been closed; open it again"
    return "has multiplied alpha (La), of which Pillow makes nothing else; pass it as LA" if image.mode == "La" else ""


def orientation(im: Any) -> int:
    """EXIF orientation, 1 to 8, as OpenCV reads it: Pillow itself takes XMP blocks into account, others do not."""
    from PIL import Image

    exif: Any = getattr(im, "tag_v2", None)
    if exif is None:
        exif = Image.Exif()
        exif.load(im.info.get("exif") or b"")
    value = exif.get(0x0112)
    return int(value) if value in range(2, 9) else 1


def upright(raw: Any, turn: int) -> Any:
    """An (H, W, ...) array as an EXIF orientation, 1 to 8, shows it."""
    raw = raw[:, ::-1] if turn in (2, 3, 7, 8) else raw
    raw = raw[::-1] if turn in (3, 4, 6, 7) else raw
    return raw.swapaxes(0, 1) if turn >= 5 else raw


def _is_turned(im: Any) -> bool:
    if im.format not in ("JPEG", "MPO"):  # others would have to be decoded to know
        return False
    with contextlib.suppress(Exception):  # Pillow's EXIF reader raises every kind of error on damaged bytes
        return im.getexif().get(274, 1) not in (0, 1)
    return False


def _tiff_is_deep(im: object) -> bool:
    bits = getattr(im, "tag_v2", {}).get(258, 8)  # TIFF tag 258: BitsPerSample
    return max(bits if isinstance(bits, tuple) else (bits,)) > 8


def _png_is_deep(path: Path) -> bool:
    # Pillow shows a 16-bit RGB PNG as 8-bit RGB; byte 24 of the file is the bit depth.
    with open(path, "rb") as f:
        head = f.read(25)
    return head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) == 25 and head[24] == 16
