"""What the header of a SAR file says: size, sample type, bands, nodata value. Nothing is decoded.

Pillow names the pixels of most files, but not of the TIFFs that SAR comes in (complex, 64-bit, BigTIFF), so the tags
of a TIFF are read by themselves.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rsdet.data.images import no_pixel_limit, read_header

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KINDS = {1: "uint", 2: "int", 3: "float", 4: "uint", 5: "complex_int", 6: "complex"}  # tag 339: SampleFormat
_MODES = {"I": "int32", "F": "float32"}  # of Pillow; all else has 8 or 16 bits
_CODECS = {  # tag 259: Compression, as far as OpenCV does not know it
    33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG (DNG)",
    34925: "LZMA", 50000: "ZSTD", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_COLOURS = {0: "L", 1: "L", 5: "CMYK", 8: "LAB", 9: "LAB", 10: "LAB"}  # tag 262: PhotometricInterpretation
_SCALE = re.compile(r'role="(scale|offset)"[^>]*>([^<]*)<')
_MOST_PAGES = 64
_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError, MemoryError,
    struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class SarHeader:
    """What the header of a SAR file says.

    Attributes:
        path: The file.
        width: Pixels; 0 where the file cannot be read.
        height: Pixels; 0 where the file cannot be read.
        bands: Samples per pixel.
        dtype: NumPy's name of the sample type, such as ``uint16`` or ``complex64``; ``complex_int16`` for pairs of
            16-bit integers.
        nodata: Value of the GDAL_NODATA tag (42113), or ``None``.
        masked: A page of the file says which pixels are valid.
        planar: Bands lie one after the other, which OpenCV takes for interleaved.
        alpha: The last of the bands is marked as opacity.
        mode: Pillow's name for the kind of pixel, such as ``CMYK``; of a TIFF that one, ``LAB``, and ``L`` where its
            bands are no colours, however many they are.
        codec: Compression of a TIFF that OpenCV does not know, such as ``ZSTD``.
        tiff: The file is a TIFF, whatever its name.
        pages: Pictures in a TIFF; overviews and masks are none.
        scaled: The file says that values are samples times a scale, or with an offset.
        stack: The pages are gray and of one size and type, which some writers use for bands.
        problem: Why the values cannot be taken as they stand, or an empty string.
        damage: That part of ``problem`` for which nobody can read the file, not even as a picture.
    """

    path: Path
    width: int = 0
    height: int = 0
    bands: int = 1
    dtype: str = ""
    nodata: float | None = None
    masked: bool = False
    planar: bool = False
    alpha: bool = False
    mode: str = ""
    codec: str = ""
    tiff: bool = False
    pages: int = 1
    scaled: bool = False
    stack: bool = False
    problem: str = ""
    damage: str = ""

    @property
    def is_complex(self) -> bool:
        """Samples are complex (single look complex data)."""
        return self.dtype.startswith("complex")


def read_sar_header(path: str | Path) -> SarHeader:
    """Read the header of one file; a file that cannot be read is described, not raised."""
    path = Path(path)
    try:
        s = path.stat()
    except (OSError, ValueError):  # no file has a null byte in its name
        return _read(path)
    return _known(path, s.st_size, s.st_ino, s.st_mtime_ns, s.st_ctime_ns)


@lru_cache(maxsize=1 << 14)
def _known(path: Path, *state: int) -> SarHeader:
    """The header of a file in this state: a prediction needs it to judge the source and again to read it."""
    return _read(path)


def is_tiff(path: Path) -> bool:
    """Whether a file begins as a TIFF does."""
    with open(path, "rb") as f:
        return f.read(4) in _TIFF


def _read(path: Path) -> SarHeader:
    try:
        if is_tiff(path):
            return _read_tiff(path)
    except _DAMAGED as e:
        if path.is_file():
            why = f"tag {e} is missing" if isinstance(e, KeyError) else " ".join(str(e).split())[:80] or "damaged"
            return _damaged(f"is not a readable TIFF ({why}); copy it again or take it out", path=path)
    with no_pixel_limit():
        h = read_header(path)
    if h.problem:
        return _damaged(h.problem, path=path)
    dtype = _MODES.get(h.mode, "uint16" if h.deep else "uint8")
    problem = "is turned by an EXIF orientation; save it upright" if h.turned else ""
    alpha = h.mode.endswith(("A", "a"))
    return SarHeader(path, h.width, h.height, h.channels, dtype, alpha=alpha, mode=h.mode, problem=problem)


def _damaged(why: str, **found: Any) -> SarHeader:
    return SarHeader(**found, problem=why, damage=why)


def _read_tiff(path: Path) -> SarHeader:
    pages, masked = [], False
    for tags in directories(path):
        kind = int(tags.get(254, 0))  # NewSubfileType: bit 0 an overview, bit 2 a mask
        masked = masked or bool(kind & 4 and not kind & 1)
        if not kind & 5:
            pages.append(tags)
    if not pages:
        return _damaged("is a TIFF without a picture; copy it again or take it out", path=path)
    tags = pages[0]
    bits, kinds = as_tuple(tags.get(258, 1)), as_tuple(tags.get(339, 1))
    width, height, bands = int(tags[256]), int(tags[257]), int(tags.get(277, len(bits)))
    planar = bands > 1 and int(tags.get(284, 1)) == 2
    found = dict(path=path, width=width, height=height, bands=bands, masked=masked, planar=planar, tiff=True)
    found["alpha"] = bands > 1 and as_tuple(tags.get(338, 0))[-1] in (1, 2)  # ExtraSamples: premultiplied or not
    found |= {"codec": _CODECS.get(int(tags.get(259, 1)), ""), "mode": _COLOURS.get(tags.get(262), "")}
    said = _SCALE.findall(str(tags.get(42112, "")))  # GDAL_METADATA
    found["scaled"] = any(_number_of(value) != (what == "scale") for what, value in said)
    if width < 1 or height < 1:
        return _damaged(f"has no pixels ({width}x{height}); copy it again", **found)
    if len({*bits}) > 1 or len({*kinds}) > 1 or kinds[0] not in _KINDS:
        return _damaged("has bands of different types; save one band per file", **found)
    found["dtype"] = _name(_KINDS[kinds[0]], bits[0])
    if any(is_whole(page, path.stat().st_size) is False for page in pages):
        return _damaged("is cut short (rows beyond the end of the file); copy it again", **found)
    if len(pages) > 1:
        alike = bands == 1 and len({tuple(p.get(k) for k in (256, 257, 258, 262, 277, 339)) for p in pages}) == 1
        why = f"has {len(pages)} pages; save each as a file of its own (tiffsplit, or gdal_translate -sd 1)"
        return _damaged(why, **found, pages=len(pages), stack=alike)
    if tags.get(262) == 0:  # PhotometricInterpretation
        return SarHeader(**found, problem="says that white is zero; save it with black as zero")
    if tags.get(262) == 3:
        return SarHeader(**found, problem="holds the colours of a palette; save it in gray")
    if int(tags.get(274, 1)) != 1:
        return SarHeader(**found, problem="is turned by an orientation tag; save it upright")
    nodata = tags.get(42113)
    try:
        nodata = None if nodata is None else float(str(nodata).strip("\0 "))
    except ValueError:
        return SarHeader(**found, problem=f"has a nodata tag that is no number ({nodata!r}); mend it with gdal_edit")
    return SarHeader(**found, nodata=nodata)


def _number_of(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def directories(path: Path) -> list[Any]:
    """Tags of every page of a TIFF, each number -> value."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    found, seen = [], set()
    with open(path, "rb") as f:
        head = f.read(8)
        head += f.read(8) if head[2] == 43 or head[3] == 43 else b""  # BigTIFF
        directory = ImageFileDirectory_v2(head)
        place = directory.next
        while place and place not in seen and len(found) < _MOST_PAGES:
            seen.add(place)
            f.seek(place)
            directory = ImageFileDirectory_v2(head)
            directory.load(f)
            found.append(directory)
            place = directory.next
    return found


def as_tuple(value: Any) -> tuple[int, ...]:
    """Value of a tag as numbers, however many it holds."""
    return tuple(int(v) for v in value) if isinstance(value, tuple) else (int(value),)


def _name(kind: str, bits: int) -> str:
    if kind == "complex_int":
        return f"complex_int{bits // 2}"
    if kind == "uint" and bits not in (8, 16, 32, 64):  # decoders widen what is packed
        return "uint8" if bits < 8 else "uint16"
    return f"{kind}{bits}"


def is_whole(tags: Any, size: int) -> bool | None:
    """Whether all strips or tiles of a page lie within its file; None where nothing says where they are.

    Args:
        tags: Of the page, number to value.
        size: Of the file in bytes.
    """
    for offsets, lengths in ((273, 279), (324, 325)):  # strips, tiles
        if offsets in tags and lengths in tags:
            starts, counts = as_tuple(tags[offsets]), as_tuple(tags[lengths])
            return len(starts) == len(counts) and all(a + b <= size for a, b in zip(starts, counts, strict=True))
    return None
