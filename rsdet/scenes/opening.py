"""Which files are opened as scenes, and how: by what they begin with, on this machine alone, with bounded memory.

GDAL would try two hundred formats on any name, follow what a file points at, and fetch it from the network. Here the
first bytes choose the one driver; what a VRT or a file beside the scene points at must be a local file of these kinds.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rsdet.data.images import COLOURS, no_pixel_limit, orientation
from rsdet.data.sar.header import directories, is_tiff, read_sar_header
from rsdet.errors import DataError, MissingDependencyError, install

_DRIVERS = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff", b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG", b"BM": "BMP", b"\0\0\0\x0cjP  \r\n\x87\n": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG", b"<VRTDataset": "VRT",
}  # fmt: skip
_OPTIONS = {
    "GDAL_CACHEMAX": 128 << 20,  # bytes; GDAL itself takes 5 % of the memory
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,  # else the rest of a damaged block is gray
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": False,  # it takes a file cut short for whole
    "GDAL_PNG_SINGLE_BLOCK": False,
    "GDAL_MAX_DATASET_POOL_SIZE": 64,  # files of a VRT open at once
    "GDAL_VRT_ENABLE_PYTHON": False,
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".nothing-is-fetched",
}
_XML_BYTES = 64 << 20
_POINTERS = ("sourcefilename", "sourcedataset")
_SAID = ("metadata", "srs", "geotransform", "description", "categorynames", "unittype")  # words, not names of files
_FOREIGN = ("dempath", "geoloctransformer", "argument")  # these name files, too
_DEEPEST = 8
_GDAL_METADATA = 42112  # tag of a TIFF


@contextmanager
def gdal(path: str | Path, doing: str = "") -> Iterator[Any]:
    """Rasterio, within limits, for one call: its options belong to the thread.

    Args:
        path: The scene, for messages.
        doing: What is tried, such as ``the window of 640x640 px at column 0, row 0``.

    Raises:
        DataError: In the place of GDAL's errors.
        MissingDependencyError: rasterio is not installed.
    """
    try:
        import rasterio
    except ModuleNotFoundError as e:
        raise MissingDependencyError(
            f"{path}: scenes are read with the package rasterio, which is not installed; {install('geo')}."
        ) from e
    try:
        with warnings.catch_warnings(), rasterio.Env(**_OPTIONS):
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            yield rasterio
    except (rasterio.errors.RasterioError, ValueError) as e:
        cause = e.__cause__ or e
        why = " ".join(str(cause).split())[:120]
        where = f", {doing}," if doing else ""
        raise DataError(f"{path}{where} cannot be read ({why}); damaged or cut short, copy it again.") from e


def open_dataset(path: Path, level: int | None = None) -> Any:
    """An open dataset of a file that :func:`check_file` has looked at; a stored overview of it with ``level``."""
    with gdal(path) as rasterio:
        more = {} if level is None else {"overview_level": level}
        return rasterio.open(path.absolute(), driver=driver_of(path), **more)  # zip:a.tif is a name, too


def driver_of(path: Path) -> str:
    """Name of the GDAL driver that reads a file, by its first bytes.

    Raises:
        DataError: No local file, or none of these kinds.
    """
    try:
        with open(path, "rb") as f:
            head = f.read(512)
    except (OSError, ValueError) as e:
        remote = str(path).startswith("/vsi") or ":/" in str(path)
        why = "is not on this machine; download it first" if remote else "does not exist; check the path"
        why = "is a folder; pass a file" if isinstance(e, IsADirectoryError) else why
        raise DataError(f"{path} {why}.") from e
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    text = text.partition(b"?>")[2].lstrip() if text.startswith(b"<?xml") else text
    for start, driver in _DRIVERS.items():
        if (text if driver == "VRT" else head).startswith(start):
            return driver
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    raise DataError(f"{path} is no scene: GeoTIFF, COG, VRT, JPEG 2000, PNG, JPEG, WebP and BMP are; convert it.")


def check_file(path: Path) -> tuple[list[Path], int]:
    """Refuse, by name, what would be read wrongly or from elsewhere.

    Returns:
        Files that the scene consists of, itself first; and its EXIF orientation, 1 to 8.

    Raises:
        DataError: It cannot be read as a scene.
    """
    driver = driver_of(path)
    _check_beside(path)
    if driver == "VRT":
        return [path, *_sources(path)], 1
    if driver == "JP2OpenJPEG":
        return [path], 1
    header = read_sar_header(path)
    problem = header.damage or (header.mode in COLOURS and f"holds {COLOURS[header.mode]}; save it as RGB")
    problem = problem or (header.problem if header.problem.startswith("says that white is zero") else "")
    if problem:
        raise DataError(f"{path} {problem}.")
    return [path], _orientation(path, driver)


def _orientation(path: Path, driver: str) -> int:
    if driver == "GTiff":
        turn = directories(path)[0].get(274, 1)
        return int(turn) if turn in range(2, 9) else 1
    from PIL import Image

    with no_pixel_limit(), Image.open(path) as im:
        return orientation(im)


def _check_beside(path: Path) -> None:
    """GDAL follows whatever format masks and overviews beside a scene are, and where they point."""
    for suffix in (".msk", ".MSK", ".ovr", ".OVR", ".msk.ovr"):
        beside = Path(f"{path}{suffix}")
        if os.path.isfile(beside) and not is_tiff(beside):  # Path.is_file() fails on a name that is too long
            raise DataError(f"{beside}, which belongs to {path.name}, is no TIFF, so neither was read; take it out.")
    more = Path(f"{path}.aux.xml")
    there = os.path.isfile(more)
    said = more.read_bytes() if there and more.stat().st_size <= _XML_BYTES else b""
    if there and (not said or b"OVERVIEW_FILE" in said):
        raise DataError(f"{more} names a file of overviews, or is no such file, so neither was read; take it out.")


def check_overviews(path: Path, dataset: Any) -> None:
    """Refuse a dataset that names a file of overviews by itself; before they are asked for."""
    if dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE"):
        raise DataError(f"{path} points at another file for its overviews; make them anew with gdaladdo.")


def _sources(path: Path, depth: int = 0) -> list[Path]:
    """Files that a VRT reads, those of VRTs in it too."""
    from xml.etree import ElementTree

    data = path.read_bytes() if path.stat().st_size <= _XML_BYTES else b""
    if not data or b"<!DOCTYPE" in data or b"<!ENTITY" in data or depth > _DEEPEST:
        raise DataError(f"{path} is no VRT of reasonable size and depth; make it anew with gdalbuildvrt.")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as e:
        raise DataError(f"{path} is a damaged VRT ({e}); make it anew with gdalbuildvrt.") from e
    found: list[Path] = []
    for name, relative in _pointers(root, path):
        source = path.parent / name if relative else Path(name)
        if not source.is_file():
            raise DataError(f"{path} reads {name}, which is no file on this machine; make the VRT of local files.")
        if source in found:
            continue
        _check_beside(source)
        found.append(source)
        driver = driver_of(source)
        if driver == "VRT":
            found += _sources(source, depth + 1)
        elif driver == "GTiff":
            damage = read_sar_header(source).damage
            if damage or "OVERVIEW_FILE" in str(directories(source)[0].get(_GDAL_METADATA)):
                raise DataError(
                    f"{path}: its source {source} {damage or 'points at a file of overviews; take it out'}."
                )
    return found


def _pointers(root: Any, path: Path) -> Iterator[tuple[str, bool]]:
    """Names of files in a VRT, and whether they are relative to it; all else that looks like one is refused.

    GDAL knows no namespaces and no capitals, and takes an attribute for the element of its name.
    """
    todo = [root]
    while todo:
        element = todo.pop()
        tag, said = _plain(element.tag), {_plain(k): v for k, v in element.items()}
        if tag in _SAID:
            continue
        text = element.text or ""
        relative = said.get("relativetovrt", "0")
        hidden = {*said} & {*_POINTERS} or (
            tag in _POINTERS and (len(element) or text != text.strip() or relative not in ("0", "1"))
        )
        if tag in _FOREIGN or hidden:
            raise DataError(f"{path} says {tag} in a way that is not read; make the VRT anew with gdalbuildvrt.")
        if tag in _POINTERS:
            yield text, relative == "1"
        for words in (*said.values(), "" if tag in _POINTERS else text):
            python = tag == "pixelfunctionlanguage" and words.strip().lower() == "python"
            if "/vsi" in words.lower() or "://" in words or python:
                shown = words.strip()[:60]
                raise DataError(f"{path} asks for {shown}, which is not done; make the VRT of local files and no code.")
        todo += list(element)


def _plain(name: str) -> str:
    return name.rpartition("}")[2].lower()
