"""ENVI: a text header beside a file of plain samples in one of three orders, read by windows through a memory map."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.cubes.cube import CubeFile
from rsdet.data.cubes.wavelengths import in_nm
from rsdet.data.decoding import has_rasterio
from rsdet.errors import DataError
from rsdet.quiet import say
from rsdet.scenes.georef import Georef
from rsdet.scenes.info import scene_info
from rsdet.scenes.opening import gdal
from rsdet.textfiles import text_of

_TYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX = (6, 9)
_ORDERS = {"bsq": (1, 2, 0), "bil": (0, 2, 1), "bip": (0, 1, 2)}  # from the axes of the file to rows, columns, bands
_DATA = ("", ".img", ".dat", ".bin", ".raw", ".bsq", ".bil", ".bip", ".sli", ".hsi")
_HEADER_BYTES = 16 << 20


def is_header(path: Path) -> bool:
    """Whether a file begins as the header of an ENVI cube does."""
    try:
        with open(path, "rb") as f:
            return f.read(16).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"ENVI")
    except OSError:
        return False


def header_of(path: Path) -> Path | None:
    """The header of a cube: the file itself, or the one beside a file of samples; None where there is none."""
    if path.suffix.lower() == ".hdr":
        return path if is_header(path) else None
    beside = {p.name.lower(): p for p in path.parent.iterdir() if p.suffix.lower() == ".hdr"}
    for name in (f"{path.name}.hdr", f"{path.stem}.hdr"):
        found = beside.get(name.lower())
        if found is not None and is_header(found):
            return found
    return None


def read_header(path: Path) -> dict[str, Any]:
    """Fields of a header, names in small letters; lists as lists of text.

    Raises:
        DataError: It is no text, or no ENVI header.
    """
    text = text_of(path, DataError, "the header of an ENVI cube in plain text", _HEADER_BYTES, "latin-1")
    if not text.lstrip().startswith("ENVI"):
        raise DataError(f"{path} does not begin with ENVI, as a header does; pass the header of an ENVI cube.")
    fields: dict[str, Any] = {}
    lines = (line for line in text.splitlines() if not line.lstrip().startswith(";"))
    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            continue
        key = " ".join(name.lower().split())
        if not value.startswith("{"):
            fields[key] = value
            continue
        parts = [value[1:]]
        while "}" not in parts[-1]:
            if (more := next(lines, None)) is None:
                raise DataError(f"{path}: the list of {name} is not closed by a brace; mend the header.")
            parts.append(more)
        inside = "\n".join(parts).partition("}")[0].strip()
        fields[key] = [part.strip() for part in inside.split(",")] if inside else []
    return fields


def open_envi(path: Path) -> CubeFile:
    """Open an ENVI cube by its header.

    Args:
        path: The header.

    Raises:
        DataError: The header lacks or garbles what is needed, or there is no file of samples of that size.
    """
    fields = read_header(path)
    height, width, bands = (_whole(fields, name, path) for name in ("lines", "samples", "bands"))
    skipped = _whole(fields, "header offset", path, 0)
    code = _whole(fields, "data type", path)
    if code not in _TYPES:
        what = "complex samples" if code in _COMPLEX else "samples of no type that ENVI knows"
        raise DataError(f"{path}: data type = {code} are {what}; save the cube as real numbers.")
    order = str(fields.get("interleave", "")).lower()
    if order not in _ORDERS:
        raise DataError(f"{path}: interleave = {order or 'nothing'} is none of bsq, bil and bip; mend the header.")
    swapped = _whole(fields, "byte order", path, 0)
    if swapped not in (0, 1):
        raise DataError(f"{path}: byte order = {swapped} is neither 0 nor 1; mend the header.")
    padded = [f for f in ("major frame offsets", "minor frame offsets") if any(map(_not_zero, _listed(fields, f)))]
    if padded or fields.get("file compression", "0") not in ("0", ""):
        what = padded[0] if padded else "file compression"
        raise DataError(f"{path}: {what} is not read; save the cube from ENVI as a plain one.")
    dtype = np.dtype((">" if swapped else "<") + _TYPES[code])
    lengths = {0: height, 1: width, 2: bands}
    stored = tuple(lengths[axis] for axis in np.argsort(_ORDERS[order]))
    samples = _samples_of(path, skipped + height * width * bands * dtype.itemsize)
    mapped = np.memmap(samples, dtype, "r", skipped, stored).transpose(_ORDERS[order])
    georef = _georef(path, samples, (height, width)) if "map info" in fields else None
    return CubeFile(
        path, (height, width, bands), dtype.newbyteorder("="),
        lambda rows, cols, taken: _read(mapped, rows, cols, taken),
        wavelengths_nm=in_nm(
            _numbers(fields, "wavelength", path, bands), str(fields.get("wavelength units", "")), path
        ),
        good=None if (bbl := _numbers(fields, "bbl", path, bands)) is None else bbl != 0,
        georef=georef,
        nodata=_number(fields, "data ignore value", path),
        windowed=True,
        files=(path, samples),
        **_scaling(fields, path, bands),
    )  # fmt: skip


def class_names(path: Path) -> list[str]:
    """Names of the classes of an ENVI classification, that of value 0 first; none where it has none."""
    return _listed(read_header(path), "class names")


def _read(mapped: np.ndarray, rows: slice, cols: slice, bands: Any) -> np.ndarray:
    """A copy of a window in native byte order."""
    window = mapped[rows, cols][:, :, bands]
    return window.astype(window.dtype.newbyteorder("="))


def _samples_of(header: Path, needed: int) -> Path:
    """The file of samples beside a header, of so many bytes at least.

    Raises:
        DataError: There is none, or it is shorter.
    """
    base = header.with_suffix("")
    names = {f"{base.name}{suffix}".lower() for suffix in _DATA}
    found = [p for p in header.parent.iterdir() if p.name.lower() in names and p.is_file() and not is_header(p)]
    if not found:
        raise DataError(
            f"{header} has no file of samples beside it; put {base.name}, {base.name}.img or {base.name}.dat there."
        )
    fits = [p for p in found if p.stat().st_size >= needed]
    if not fits:
        have = max(found, key=lambda p: p.stat().st_size)
        raise DataError(
            f"{have} has {have.stat().st_size:,} bytes and {header.name} says {needed:,}; cut short, copy it again, or "
            "mend the header."
        )
    exact = [p for p in fits if p.stat().st_size == needed]
    chosen = sorted(exact or fits)
    if len(chosen) > 1:
        both = ", ".join(p.name for p in chosen)
        raise DataError(f"{header} could be the header of {both}; leave one of them beside it.")
    more = chosen[0].stat().st_size - needed
    if more:
        say(
            f"{chosen[0]} has {more:,} bytes more than {header.name} says, which are not read; check size, data type "
            "and header offset.",
            logging.WARNING,
        )
    return chosen[0]


def _scaling(fields: dict[str, Any], path: Path, bands: int) -> dict[str, np.ndarray]:
    """``data gain values`` and ``data offset values`` of each band, then ``reflectance scale factor`` of all."""
    scale = _numbers(fields, "data gain values", path, bands)
    offset = _numbers(fields, "data offset values", path, bands)
    scale = np.ones(bands) if scale is None else scale
    offset = np.zeros(bands) if offset is None else offset
    factor = _number(fields, "reflectance scale factor", path)
    if factor is not None and not factor > 0:
        raise DataError(f"{path}: reflectance scale factor = {factor:g} must be above 0; mend the header.")
    return {"scale": scale / (factor or 1), "offset": offset / (factor or 1)}


def _georef(path: Path, samples: Path, size_hw: tuple[int, int]) -> Georef | None:
    """Where ``map info`` puts the cube, as GDAL reads it; None, and a word about it, where that is nowhere."""
    if not has_rasterio():
        say(f"{path}: its map info is not read without the package rasterio; results lie nowhere on a map.")
        return None
    try:
        with gdal(path) as rasterio, rasterio.open(samples.absolute(), driver="ENVI") as f:
            info = scene_info(f, [samples], 1)
        georef = Georef.of(info)
    except DataError as e:
        say(f"{path}: its map info is left out ({str(e).rstrip('.')}); results lie nowhere on a map.")
        return None
    if not georef.placed or georef.size_hw != size_hw:
        say(f"{path}: its map info tells no place on Earth; results lie nowhere on a map.")
        return None
    return georef


def _whole(fields: dict[str, Any], name: str, path: Path, default: int | None = None) -> int:
    value = fields.get(name, default)
    try:
        number = int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1
    least = 0 if name in ("header offset", "byte order", "data type") else 1
    if number < least:
        said = "is missing; it" if value is None else f"= {value}"
        raise DataError(f"{path}: {name} {said} must be a whole number of {least} or more; mend the header.")
    return number


def _number(fields: dict[str, Any], name: str, path: Path) -> float | None:
    value = fields.get(name)
    if value in (None, "", []):
        return None
    value = value[0] if isinstance(value, list) else value
    try:
        return float(value)
    except ValueError:
        raise DataError(f"{path}: {name} = {value} is no number; mend the header.") from None


def _numbers(fields: dict[str, Any], name: str, path: Path, count: int) -> np.ndarray | None:
    """(count,) float64 of a list with a number for each band."""
    listed = _listed(fields, name)
    if not listed:
        return None
    try:
        values = np.array([float(v) for v in listed])
    except ValueError:
        raise DataError(f"{path}: {name} holds what is no number; mend the header.") from None
    if len(values) != count:
        raise DataError(f"{path}: {name} has {len(values)} numbers for {count} bands; mend the header.")
    return values


def _listed(fields: dict[str, Any], name: str) -> list[str]:
    value = fields.get(name) or []
    return value if isinstance(value, list) else [value]


def _not_zero(text: str) -> bool:
    return text.strip() not in ("0", "")
