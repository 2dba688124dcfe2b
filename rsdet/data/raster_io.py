"""Reading and writing pictures for image-to-image work without losing anything on the way.

Ultralytics reads every picture as 8-bit BGR: depth, alpha and place are gone. Here a picture of any depth becomes float
RGB in [0, 1] beside a note of what the file was (:class:`ImageMeta`), and writing uses the note to give back the same
kind of file: depth and range, alpha channel, pixels without data, and of a GeoTIFF its place on Earth.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data import decoding
from rsdet.data.decoding import by_opencv, within_memory
from rsdet.data.geotiff import Samples, geo_of, geo_of_bands, read_tiff, write_tiff
from rsdet.data.images import COLOURS, MAX_PIXELS, no_pixel_limit, orientation, upright
from rsdet.data.sar.header import SarHeader, read_sar_header
from rsdet.errors import ConfigError, DataError
from rsdet.quiet import silent_opencv
from rsdet.writing import replacing, write_bytes

WRITABLE = {
    ".bmp": ("uint8",), ".jpg": ("uint8",), ".jpeg": ("uint8",), ".webp": ("uint8",), ".png": ("uint8", "uint16"),
    ".tif": ("uint8", "uint16", "float32"), ".tiff": ("uint8", "uint16", "float32"),
}  # fmt: skip
_FULL = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}
_ALPHA_TOO = (".png", ".tif", ".tiff", ".webp")
_JPEG_TAIL = 1 << 16  # cameras append previews and padding after the end mark


@dataclass(frozen=True)
class ImageMeta:
    """What a picture was in its file, as far as its pixels in [0, 1] do not say it.

    Attributes:
        path: The file, or None for a picture that comes from none.
        dtype: Sample type of the file: ``uint8``, ``uint16``, ``int16``, ``float32``, ...
        value_range: Values of the file that became 0 and 1.
        alpha: (H, W) of the file's type, kept aside; None without one.
        valid: (H, W) bool, False where the file says that there is no data; None where all is valid.
        nodata: Value that the file uses for "no data".
        geo: Place on Earth and layout of a GeoTIFF (see :mod:`rsdet.data.geotiff`); None for all else.
        bands: Bands that were read, counted from 1; None for all.
        channels: Channels of the file (of the bands taken), without alpha; None where it comes from no file.
    """

    path: Path | None = None
    dtype: str = "uint8"
    value_range: tuple[float, float] = (0.0, 255.0)
    alpha: np.ndarray | None = None
    valid: np.ndarray | None = None
    nodata: float | None = None
    geo: dict[str, Any] | None = None
    bands: tuple[int, ...] | None = None
    channels: int | None = None

    @property
    def bits(self) -> int | None:
        """Bits per sample of integer files; None for floating point."""
        return np.dtype(self.dtype).itemsize * 8 if np.dtype(self.dtype).kind in "iu" else None


def read_image(
    path: str | Path,
    *,
    channels: int | None = None,
    bands: list[int] | None = None,
    value_range: tuple[float, float] | None = None,
) -> tuple[np.ndarray, ImageMeta]:
    """Read a picture at its full depth.

    8 bits become value / 255, 16 bits value / 65535; anything else needs ``value_range``, unless it is floating point
    within [0, 1] already. EXIF orientation is applied, as Ultralytics does.

    Args:
        path: PNG, JPEG, TIFF, GeoTIFF, BMP, WebP or JPEG 2000.
        channels: 1 or 3 make gray of RGB (mean) and RGB of gray (repeated); other numbers must be what the file has.
            None gives what the file has.
        bands: Bands of the file to take, counted from 1, in this order.
        value_range: File values that become 0 and 1, such as ``(0, 4095)`` for 12 bits stored in 16; what lies
            outside is cut to the range.

    Returns:
        (H, W, C) float32 in [0, 1], contiguous, RGB order; and what :func:`write_image` needs to give back its kind.

    Raises:
        DataError: Not readable, cut short, complex, or values without a known range.
        ConfigError: ``bands`` or ``value_range`` make no sense.
        MissingDependencyError: A GeoTIFF, and rasterio is not installed.
    """
    path = Path(path)
    header = check_header(path)
    check_range(value_range)
    with within_memory(path):
        found = read_samples(header)
        raw, alpha, taken = take_bands(found, bands, path)
        valid, geo = found.valid, geo_of_bands(found.geo, taken)
        low, high = _range_of(raw, valid, value_range, path)
        x = to_floats(raw, valid, (low, high))
        chosen = tuple(bands) if bands else None
        meta = ImageMeta(path, str(raw.dtype), (low, high), alpha, valid, found.nodata, geo, chosen, raw.shape[2])
        return np.ascontiguousarray(to_channels(x, channels, str(path))), meta


def to_floats(raw: np.ndarray, valid: np.ndarray | None, value_range: tuple[float, float]) -> np.ndarray:
    """Samples as they are stored to a picture: the ONE rule, for whole files and for windows of them.

    Args:
        raw: (H, W, C) of any real type.
        valid: (H, W) bool; what is not becomes 0. None where all is.
        value_range: Values that become 0 and 1; what lies outside is cut.

    Returns:
        (H, W, C) float32 in [0, 1].
    """
    low, high = value_range
    x = raw.astype(np.float32)
    if (low, high) != (0.0, 1.0):
        x = (x - np.float32(low)) / np.float32(high - low)
    if valid is not None or (low, high) != _FULL.get(str(raw.dtype)):
        x = np.clip(np.nan_to_num(x, copy=False), 0, 1)
    if valid is not None:
        x[~valid] = 0
    return x


def to_samples(
    image: np.ndarray, dtype: str, value_range: tuple[float, float], nodata: float | None = None
) -> np.ndarray:
    """A picture back to samples; what :func:`to_floats` undoes.

    Args:
        image: (H, W, C) float; values outside of [0, 1] are cut.
        dtype: Type of the samples.
        value_range: Values of 0 and 1.
        nodata: Value that no sample may take, for it would read as missing; what would takes the nearest beside it.
    """
    low, high = value_range
    raw = np.clip(image, 0, 1).astype(np.float64 if dtype != "float32" else np.float32) * (high - low) + low
    whole = np.dtype(dtype).kind in "iu"
    raw = np.rint(raw).astype(dtype) if whole else raw.astype(dtype)
    if nodata is not None and low <= nodata <= high:  # False of NaN
        step = 1.0 if nodata < high else -1.0
        raw[raw == nodata] = (
            nodata + step if whole else np.nextafter(raw.dtype.type(nodata), raw.dtype.type(step * np.inf))
        )
    return raw


def too_dark(dtype: Any, peak: float) -> str:
    """What is wrong with samples of 16 bits that fill little of them, which are near black to a model; "" if nothing.

    Args:
        dtype: Of the samples.
        peak: The largest sample.
    """
    if str(dtype) != "uint16" or not 0 < peak < _FULL["uint16"][1] / 4:
        return ""
    white = max(2 ** int(np.ceil(np.log2(peak + 1))) - 1, 255)
    return (
        f"no sample is above {peak:.0f} of 65535, which is near black to the model; value_range=[0,{white}] says what "
        "is white"
    )


def full_range(dtype: str) -> tuple[float, float] | None:
    """Values of 0 and 1 of a type whose files say so by their type alone; None for all others."""
    return _FULL.get(dtype)


def check_range(value_range: Any) -> None:
    """Refuse a ``value_range`` that is none.

    Raises:
        ConfigError: It is neither None nor two finite numbers, the smaller first.
    """
    two = list(value_range) if isinstance(value_range, (list, tuple)) and len(value_range) == 2 else []
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) and np.isfinite(v) for v in two)
    if value_range is not None and not (two and numbers and two[0] < two[1]):
        raise ConfigError(f"value_range={value_range} must be two numbers, the smaller first; e.g. [0,4095]")


def read_samples(header: SarHeader) -> Samples:
    """Samples of a file as they are stored, whatever its kind.

    Args:
        header: Of the file, without damage.

    Raises:
        DataError: Damaged or cut short.
        MissingDependencyError: rasterio is needed and not installed.
        MemoryError: It is larger than the memory.
    """
    return read_tiff(header) if header.tiff else _by_opencv(header)


def take_bands(
    samples: Samples, bands: Sequence[int] | None, path: Path
) -> tuple[np.ndarray, np.ndarray | None, list[int]]:
    """The bands asked for; without a wish all but alpha.

    Args:
        samples: Of the file.
        bands: Numbers in the file, counted from 1, in the order they are taken. Alpha can be asked for as any other.
        path: The file, for messages.

    Returns:
        (H, W, C) of the file's type; alpha (H, W), None without one or where it was asked for; and the places of the
        bands, counted from 0.

    Raises:
        ConfigError: Numbers that the file does not have.
    """
    count = samples.raw.shape[2]
    if bands is None:
        taken = [b for b in range(count) if b != samples.alpha]
    elif not bands or not all(isinstance(b, int) and 1 <= b <= count for b in bands):
        raise ConfigError(f"bands={list(bands)} must be numbers from 1 to {count}, which {path} has; mend the list")
    else:
        taken = [b - 1 for b in bands]
    set_aside = samples.alpha is not None and samples.alpha not in taken
    alpha = np.ascontiguousarray(samples.raw[..., samples.alpha]) if set_aside else None
    same = taken == list(range(count))
    return np.ascontiguousarray(samples.raw if same else samples.raw[..., taken]), alpha, taken


def check_header(path: str | Path, whole: bool = True) -> SarHeader:
    """Header of a picture that :func:`read_image` can read.

    Args:
        path: The file.
        whole: It is to be read at once, and not by windows.

    Raises:
        DataError: It cannot; the message says why.
    """
    header = read_sar_header(path)
    problem = header.problem
    if problem.startswith("holds the colours of a palette"):
        header, problem = replace(header, problem="", bands=3), ""  # expanded by the reader
    if problem.startswith("is turned by an EXIF orientation"):
        header, problem = replace(header, problem=""), ""  # OpenCV turns it upright
    if not problem and header.mode == "LAB":
        problem = f"holds {COLOURS['LAB']}; save it as RGB"
    if not problem and header.is_complex:
        problem = "holds complex samples; make amplitudes of them first"
    if not problem and whole and header.width * header.height > MAX_PIXELS:
        problem = f"has {header.width}x{header.height} pixels, more than are read at once; cut it into tiles"
    if problem:
        raise DataError(f"{path} {problem}.")
    return header


def to_channels(x: np.ndarray, channels: int | None, name: str = "the picture") -> np.ndarray:
    """Make a picture (H, W, C) have so many channels: gray repeated to RGB, RGB averaged to gray, nothing else.

    Raises:
        DataError: Any other change would lose or invent a channel.
    """
    have = x.shape[2]
    if channels is None or have == channels:
        return x
    if have == 1 and channels == 3:
        return np.repeat(x, 3, axis=2)
    if have == 3 and channels == 1:
        return x.mean(axis=2, keepdims=True, dtype=np.float32)
    some = range(1, channels + 1) if have > channels else [1] * channels
    these = ",".join(map(str, some))
    raise DataError(f"{name} has {have} channels and {channels} are needed; choose them, such as bands=[{these}]")


def write_image(path: str | Path, image: np.ndarray, meta: ImageMeta | None = None, scale: int = 1) -> Path:
    """Write a picture as the kind of file that ``meta`` describes; the file appears whole or not at all.

    Args:
        path: Target; its suffix decides the format. JPEG takes 8 bits without alpha.
        image: (H, W, C) or (H, W) float in [0, 1], RGB order; values outside are cut. RGB that was made of a gray
            file (see ``meta``) becomes gray again.
        meta: Of the picture it was made from; None writes 8 bits.
        scale: Pixels of ``image`` per pixel of that picture: alpha and mask are enlarged, the ground size of a pixel
            is divided by it, the corner stays where it is.

    Returns:
        The path.

    Raises:
        DataError: The format cannot hold the sample type, the array is no picture, or the disk refuses.
    """
    path, meta = Path(path), meta or ImageMeta()
    image = np.asarray(image)
    image = image[..., None] if image.ndim == 2 else image
    if image.ndim != 3 or not image.size or not np.isfinite(image).all():
        raise DataError(f"{path}: a picture (H, W, C) of finite numbers is needed, received the shape {image.shape}")
    image = to_channels(image, 1) if (meta.channels, image.shape[2]) == (1, 3) else image
    dtype = _dtype_for(path, meta)
    raw = to_samples(image, dtype, meta.value_range, meta.nodata)
    alpha = None if meta.alpha is None else _enlarged(meta.alpha, raw.shape[:2])
    valid = None if meta.valid is None else _enlarged(meta.valid.astype(np.uint8), raw.shape[:2], smooth=False) > 0
    if valid is not None:
        raw[~valid] = meta.nodata or 0
    if alpha is not None and path.suffix.lower() not in _ALPHA_TOO:
        logging.getLogger("rsdet").warning("%s: alpha left out, %s files have none", path, path.suffix)
        alpha = None
    if meta.geo is not None and path.suffix.lower() not in (".tif", ".tiff"):
        logging.getLogger("rsdet").warning("%s: place on Earth left out, only .tif files keep it", path)
    # OpenCV does not mark alpha as such in a TIFF, which makes it a fourth band for whoever reads it.
    marks = alpha is not None and decoding.has_rasterio()
    if path.suffix.lower() in (".tif", ".tiff") and (meta.geo is not None or raw.shape[2] not in (1, 3) or marks):
        with replacing(path) as part:
            write_tiff(part, raw, alpha, valid, meta.geo or geo_of(meta.nodata), scale)
        return path
    return write_bytes(path, _encoded(path, raw, alpha))


def write_samples(path: Path, samples: Samples) -> Path:
    """Write samples as they are stored, whatever their type: nothing is scaled, alpha and place stay with them.

    Raises:
        DataError: The format of the suffix cannot hold them.
        MissingDependencyError: It is a GeoTIFF, or has bands that are no colours, and rasterio is not installed.
    """
    raw, alpha, _ = take_bands(samples, None, path)
    if path.suffix.lower() in (".tif", ".tiff") and (samples.geo or alpha is not None or raw.shape[2] not in (1, 3)):
        with replacing(path) as part:
            write_tiff(part, raw, alpha, samples.valid, samples.geo or geo_of(samples.nodata))
        return path
    return write_bytes(path, _encoded(path, raw, alpha if path.suffix.lower() in _ALPHA_TOO else None))


def _dtype_for(path: Path, meta: ImageMeta) -> str:
    kinds = WRITABLE.get(path.suffix.lower())
    if kinds is None:
        raise DataError(f"{path}: pictures are not written as {path.suffix!r}; choose one of {', '.join(WRITABLE)}")
    if meta.geo is not None and path.suffix.lower() in (".tif", ".tiff"):
        return meta.dtype
    dtype = "float32" if np.dtype(meta.dtype).kind == "f" else meta.dtype
    if dtype not in kinds:
        raise DataError(f"{path}: {path.suffix} cannot hold {meta.dtype}, which the source has; write .tif instead")
    return dtype


def _range_of(
    raw: np.ndarray, valid: np.ndarray | None, given: tuple[float, float] | None, path: Path
) -> tuple[float, float]:
    """File values of 0 and 1; never guessed from the content of one picture, which would differ from the next."""
    if given is not None:
        return float(given[0]), float(given[1])
    if (full := _FULL.get(str(raw.dtype))) is not None:
        return full
    return check_unit(raw.dtype, extremes(raw, valid), path)


def extremes(raw: np.ndarray, valid: np.ndarray | None = None) -> tuple[float, float] | None:
    """Smallest and largest finite sample; None where there is none."""
    values = raw if valid is None else raw[valid]
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else None


def check_unit(dtype: Any, found: tuple[float, float] | None, path: Path) -> tuple[float, float]:
    """Values of 0 and 1 of samples whose type does not say them: floats within [0, 1] are pictures already.

    Args:
        dtype: Type of the samples.
        found: Their :func:`extremes`.
        path: The file, for messages.

    Raises:
        DataError: They could mean anything.
    """
    if np.dtype(dtype).kind == "f" and (found is None or (found[0] >= 0 and found[1] <= 1)):
        return 0.0, 1.0
    told = "nothing" if found is None else f"{found[0]:g} to {found[1]:g}"
    raise DataError(
        f"{path} holds {dtype} from {told} and does not say what is black and what is white; say it for the whole "
        "set, such as value_range=[0,10000] (range: in a data YAML)"
    )


def _by_opencv(header: SarHeader) -> Samples:
    """Samples of all that is no TIFF."""
    import cv2

    path = Path(header.path)
    with open(path, "rb") as f:
        jpeg = f.read(2) == b"\xff\xd8"  # whatever the suffix says; only these flags turn it upright
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if jpeg else cv2.IMREAD_UNCHANGED
    whole = not jpeg or _has_end_mark(np.fromfile(path, np.uint8))  # OpenCV fills what is missing with gray
    raw = by_opencv(path, flags) if whole else None
    if raw is None:
        raise DataError(f"{path} cannot be decoded; damaged or cut short, copy it again.")
    raw = raw[..., None] if raw.ndim == 2 else raw
    raw = raw if jpeg else _upright(raw, path)
    if raw.shape[2] == 4 and header.bands in (1, 2):  # gray and alpha come as BGRA
        return Samples(raw[..., [0, 3]], 1)
    if raw.shape[2] == 2:
        return Samples(raw, 1)
    if header.bands == 1:
        return Samples(raw[..., :1])
    return Samples(raw[..., [2, 1, 0, 3][: raw.shape[2]]], 3 if raw.shape[2] == 4 else None)


def _upright(raw: np.ndarray, path: Path) -> np.ndarray:
    """A picture as its EXIF orientation shows it, which OpenCV leaves alone where it keeps alpha."""
    from PIL import Image

    with no_pixel_limit(), Image.open(path) as im:
        return upright(raw, orientation(im))


def _has_end_mark(data: np.ndarray) -> bool:
    tail = data[-_JPEG_TAIL:].tobytes()
    return tail.endswith(b"\xff\xd9") or tail.rstrip(b"\x00").endswith(b"\xff\xd9") or b"\xff\xd9" in tail[-4096:]


def _enlarged(plane: np.ndarray, shape: tuple[int, int], smooth: bool = True) -> np.ndarray:
    import cv2

    if plane.shape == shape:
        return plane
    how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    return cv2.resize(plane, shape[::-1], interpolation=how)


def _encoded(path: Path, raw: np.ndarray, alpha: np.ndarray | None) -> bytes:
    import cv2

    suffix = path.suffix.lower()
    planes = raw[..., ::-1] if raw.shape[2] == 3 else raw
    if alpha is not None:
        planes = np.dstack([np.repeat(planes, 3, axis=2) if planes.shape[2] == 1 else planes, alpha])
    if planes.shape[2] not in (1, 3, 4):
        raise DataError(f"{path}: {suffix} holds 1 or 3 channels, received {planes.shape[2]}; write .tif instead")
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix in (".jpg", ".jpeg") else []
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else options  # above 100: lossless
    with silent_opencv():
        ok, data = cv2.imencode(suffix, np.ascontiguousarray(planes), options)
    if not ok:
        raise DataError(f"{path}: OpenCV cannot encode {raw.shape} as {suffix}; write .png or .tif")
    return data.tobytes()
