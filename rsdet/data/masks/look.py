"""A look at one picture and its masks before anything learns from them: what is there, what is wrong, what to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsdet.data.decoding import has_rasterio, raster
from rsdet.data.masks.reader import MaskReader
from rsdet.data.masks.values import read_values
from rsdet.data.sar.header import is_tiff, read_sar_header
from rsdet.errors import DataError
from rsdet.metrics.confusion import IGNORE

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".jpg", ".jpeg", ".webp", ".jp2", ".avif")  # the last are refused
_APART_PX = 0.1  # corners of one place differ by rounding only


class Look(NamedTuple):
    """What was seen.

    Attributes:
        counts: (256,) int64 pixels of each class, 255 for those of none.
        note: A remark, the same words for every picture it is true of; "" for none.
    """

    counts: np.ndarray
    note: str = ""


def mask_of(mask: Path) -> Path | None:
    """The file, or the one of another suffix; None without one."""
    return next((f for f in (mask, *map(mask.with_suffix, SUFFIXES)) if f.is_file()), None)


def ignored_folders(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Folders of the masks of what is to be left out, as a data YAML has them.

    Raises:
        DataError: They are no list of names.
    """
    given = data.get("ignore_masks") or []
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list) or not all(isinstance(g, str) and g for g in given):
        raise DataError(f"ignore_masks must be a list of folders in the place of 'images', received {given!r}.")
    return tuple(given)


def look_at(reader: MaskReader, picture: Path, size_hw: tuple[int, int], mask: Path, beside: Sequence[Path]) -> Look:
    """Read the masks of a picture.

    Args:
        reader: Of the data set.
        picture: Its file.
        size_hw: Its size.
        mask: Its mask.
        beside: Masks of what is to be left out, of those there are.

    Raises:
        DataError: One cannot be read, is of another size or place, or holds values without a meaning.
    """
    found = read_classes(reader, mask, beside)
    for file, size in ((mask, found.shape), *((f, size_of(f)) for f in beside)):
        if size != size_hw:
            raise DataError(
                f"{file} has {size[1]}x{size[0]} pixels, its picture {size_hw[1]}x{size_hw[0]}; make the mask in the "
                "size of its picture, or take both out."
            )
    return Look(np.bincount(found.ravel(), minlength=256), same_place(picture, mask))


def read_classes(reader: MaskReader, mask: Path, beside: Sequence[Path] = (), strict: bool = True) -> np.ndarray:
    """Classes of a mask, (H, W) uint8, 255 wherever a mask beside it of the same size is not 0.

    Args:
        reader: Of the data set.
        mask: The mask.
        beside: Masks of what is to be left out.
        strict: Refuse values without a meaning; they have no class otherwise.

    Raises:
        DataError: See :class:`MaskReader`.
    """
    found = reader(mask) if strict else reader.read(mask)[0]
    for file in beside:
        values, _, _ = read_values(file)
        if values.shape == found.shape:
            found = np.where(values != 0, np.uint8(IGNORE), found)
    return found


def size_of(file: Path) -> tuple[int, int]:
    """Height and width of a mask."""
    header = read_sar_header(file)
    return header.height, header.width


def same_place(
    picture: Path, mask: Path, words: tuple[str, str] = ("picture", "mask"), resampling: str = "near"
) -> str:
    """A remark where one of two GeoTIFFs says where it lies and the other does not.

    Args:
        picture: The one whose grid counts.
        mask: The other.
        words: What the two are called in messages.
        resampling: How the other can be brought into that grid.

    Raises:
        DataError: They lie in two places.
    """
    if not (has_rasterio() and is_tiff(picture) and is_tiff(mask)):
        return ""
    first, second = words
    (crs, corners), (other, others) = _place(picture), _place(mask)
    if corners is None or others is None:
        missing = first if corners is None else second
        return "" if corners is others else f"the {missing} is a TIFF without a place on Earth, and the other has one"
    if crs is not None and other is not None and crs != other:
        raise DataError(
            f"{mask} is in {_name(other)}, its {first} in {_name(crs)}; bring it into the grid of the {first} "
            f"(gdalwarp -r {resampling} -t_srs {_name(crs)} -te ... -ts ...)."
        )
    side = max(np.abs(corners[1] - corners[0]).max() / max(size_of(picture)), 1e-12)
    apart = float(np.abs(corners - others).max() / side)
    if apart > _APART_PX:
        raise DataError(
            f"{mask} lies {apart:.1f} pixels beside its {first} {picture.name} by the transforms of the two; bring it "
            f"into the grid of the {first} (gdalwarp -r {resampling} -te ... -ts ...)."
        )
    if (crs is None) != (other is None):
        return f"the {first if crs is None else second} has no CRS, and the other has one"
    return ""


def _place(path: Path) -> tuple[object, np.ndarray | None]:
    """CRS and the corners top left, top right and bottom left in it."""
    with raster(read_sar_header(path), "is compared with its mask") as f:
        if f.transform.is_identity or not np.isfinite(f.transform[:6]).all():
            return None, None
        a, b, c, d, e, g = f.transform[:6]
        corners = [(c, g), (a * f.width + c, d * f.width + g), (b * f.height + c, e * f.height + g)]
        return f.crs or None, np.array(corners)


def _name(crs: object) -> str:
    text = str(crs.to_string())  # type: ignore[attr-defined]
    return text if len(text) <= 40 else f"{text[:39]}…"
