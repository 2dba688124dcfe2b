"""Masks: one picture per image, of the same name and shape, in which objects are painted on a black background.

Folders ``images/`` and ``masks/`` (with split folders above or below them, if any). Every 8-connected region of one
class becomes one box, from the outer edges of its first to those of its last pixel, with its outline as polygon; holes
in it are filled and counted. Objects of a class that touch are one region, and so one box: a mask does not tell them
apart.

Which colour is which class is said by ``names``: one name stands for every colour (``names=ship``), several say theirs,
``names=ship=#00ff00,land=#0000ff``; in one-channel masks a number from 1 to 255, ``names=ship=1,land=2``. For
``task=semantic`` see :mod:`rsdet.data.importers.class_masks`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.images import SUFFIXES
from rsdet.data.importers._images import BadImageError, calm_pillow
from rsdet.data.importers._labels import ClassTable, Collector, ImportOptions, bounds
from rsdet.data.importers._layout import Source, walk
from rsdet.data.importers._merged import MergedValues
from rsdet.data.importers._outlines import outlines
from rsdet.data.importers._text import read_pairs
from rsdet.data.importers.class_masks import FOLDERS, MaskSource, read_maps
from rsdet.errors import ConfigError, DataError

_MASKS = re.compile(r"masks?", re.IGNORECASE)
_LOSSY = {".jpg", ".jpeg", ".mpo"}
_EXAMPLE = (
    "give names=ship, or a colour for each of several: names=ship=#00ff00,land=#0000ff; maps of class numbers: "
    "task=semantic names=soil,rock"
)


class _MaskSource(Source):
    """A source in which a mask and its image have the same key."""

    def key(self, path: Path) -> tuple[str, ...]:
        *folders, stem = super().key(path)
        return (*(part for part in folders if not _MASKS.fullmatch(part)), stem)


def colours(names: Sequence[str] | None) -> tuple[list[str], dict[int, int] | None]:
    """Class names, and colour (``0xRRGGBB``) to class index; None when the only class has every colour.

    Raises:
        ConfigError: No names, several without colours, or a colour that is none or is given twice.
    """
    if not names:
        raise ConfigError(f"masks do not say what they show; {_EXAMPLE}")
    plain, table = [], {}
    for index, text in enumerate(names):
        name, sign, colour = text.partition("=")
        plain.append(name.strip())
        if not sign and len(names) == 1:
            return plain, None
        colour = colour.strip()
        grey = int(colour) if colour.isdecimal() and len(colour) <= 3 else 0
        if not plain[-1] or not (re.fullmatch(r"#[0-9a-fA-F]{6}", colour) or 0 < grey < 256):
            raise ConfigError(f"names: {text!r} must be a class and its colour in the masks; {_EXAMPLE}")
        key = grey * 0x010101 or int(colour[1:], 16)
        if key in table or key == 0:
            raise ConfigError(f"names: {colour} is black, the background, or given twice; {_EXAMPLE}")
        table[key] = index
    return plain, table


def read_mask(path: Path) -> np.ndarray:
    """Colours of a mask.

    Returns:
        (H, W) int32 ``0xRRGGBB``; transparent pixels are background, 0.

    Raises:
        BadImageError: Not a picture of 8 bits per sample, or one whose compression changes colours.
    """
    from PIL import Image

    if path.suffix.lower() in _LOSSY:
        raise BadImageError("lossy mask: JPEG changes the colours around the objects; save the mask as PNG")
    try:
        with Image.open(path) as im:
            if im.mode.startswith(("I", "F")):
                raise BadImageError(f"mask with more than 8 bits per sample: mode {im.mode}; save it as 8-bit PNG")
            rgba = np.asarray(im.convert("RGBA"), dtype=np.int32)
    except BadImageError:
        raise
    except Exception as e:  # Pillow's plugins raise every kind of error on damaged bytes
        raise BadImageError(f"unreadable mask: {' '.join(str(e).replace(str(path), path.name).split())}") from e
    return np.where(rgba[..., 3] > 0, (rgba[..., 0] << 16) | (rgba[..., 1] << 8) | rgba[..., 2], 0)


def regions(mask: np.ndarray) -> list[tuple[tuple[int, int, int, int], int]]:
    """The 8-connected regions of a mask.

    Args:
        mask: (H, W) bool, True on objects.

    Returns:
        ``((x1, y1, x2, y2), area_px)`` of each, edges in pixels, from top to bottom by their first pixel.
    """
    import cv2

    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = []
    for x, y, w, h, area in stats[1:].tolist():
        found.append(((x, y, x + w, y + h), area))
    return sorted(found, key=lambda item: (item[0][1], item[0][0], item))


def read_labels(
    path: Path,
    into: Collector,
    classes: ClassTable,
    table: dict[int, int] | None,
    min_area_px: int,
    merged: MergedValues,
) -> None:
    """Put the regions of one mask into its image."""
    try:
        mask = read_mask(path)
    except BadImageError as e:
        into.refuse(str(e))
        into.drop("", str(e))
        return
    into.stated(mask.shape[1], mask.shape[0], by="the mask")
    if table is None and not into.refused:
        merged.see(into.split, mask, coloured=True)
    layers = {None: mask > 0} if table is None else {key: mask == key for key in table}
    for key, layer in layers.items():
        cls = 0 if table is None else table[key]
        name = classes.names[cls]
        rings, holes = outlines(layer)
        ring_of = {bounds(ring): ring for ring in rings}  # no two regions lie in the same box: they would touch
        if holes:
            into.log[into.split].forms["holes of a mask filled", name] += holes
        for box, area in regions(layer):
            where = f"region at x={box[0]} y={box[1]}"
            if area < min_area_px:
                into.drop(where, f"region too small: {area} px, min_area_px={min_area_px}", name)
            else:
                into.add(where, cls, box, [ring_of[box]], name=name)
    if table is not None:
        strange, counts = np.unique(mask[(mask > 0) & ~np.isin(mask, list(table))], return_counts=True)
        for colour, count in zip(strange.tolist(), counts.tolist(), strict=True):
            into.drop("", f"class left out: colour #{colour:06x}, {count} px, is not among the names")


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a folder with images and masks.

    Raises:
        DataError: It has no masks.
    """
    if not source.is_dir():
        what = "is a file" if source.exists() else "does not exist"
        raise DataError(f"source {source} {what}; expected a folder that holds the folders images and masks")
    if options.maps:
        return _read_maps(source, options, log)
    names, table = colours(options.names)
    if options.min_area_px < 1:
        raise ConfigError(f"min_area_px={options.min_area_px} must be 1 or more")
    root = Path(os.path.abspath(source))
    pictures = [p for p in walk(root) if p.suffix.lower() in SUFFIXES]
    masks = [p for p in pictures if any(_MASKS.fullmatch(part) for part in p.relative_to(root).parts[:-1])]
    if not masks:
        raise DataError(f"no folder masks with pictures below {source}; expected the folders images and masks")
    files = _MaskSource(root, sorted(set(pictures) - set(masks)))
    classes, merged = ClassTable(names), MergedValues()
    with calm_pillow():
        dataset = read_pairs(
            files, masks, lambda p, c: read_labels(p, c, classes, table, options.min_area_px, merged), options, log
        )
    merged.tell(log, names[0])
    for split, records in dataset.splits.items():
        if any(record.objects for record in records):
            log.note(split, "masks", "", "touching objects of a class are one box: a mask does not tell them apart")
    classes.settle(dataset)
    return dataset


def _read_maps(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    root = Path(os.path.abspath(source))
    pictures = [p for p in walk(root) if p.suffix.lower() in (*SUFFIXES, ".gif")]
    masks = [p for p in pictures if any(FOLDERS.fullmatch(part) for part in p.relative_to(root).parts[:-1])]
    if not masks:
        raise DataError(
            f"no folder masks or labels with pictures below {source}; expected the folders images and masks"
        )
    return read_maps(MaskSource(root, sorted(set(pictures) - set(masks))), masks, options, log)
