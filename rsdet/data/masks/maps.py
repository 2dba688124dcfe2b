"""Maps of classes of a data set: what is painted or read becomes class numbers, tile by tile where it is cut."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from pathlib import Path

import numpy as np

from rsdet.data.annotations import UNKNOWN, Annotation, Dataset, ImageRecord, ImportLog
from rsdet.data.decoding import has_rasterio
from rsdet.data.masks.painting import paint
from rsdet.data.sar.header import is_tiff, read_sar_header
from rsdet.data.tile_files import is_blank, tile_suffix, windows
from rsdet.data.tiles import Cutting
from rsdet.data.tiling import Tile, tile_grid
from rsdet.errors import ConfigError
from rsdet.metrics.confusion import IGNORE

MOST = 254  # classes that a mask of 8 bits can hold beside 255
NONE = "ignore"


@dataclass(frozen=True)
class ClassMaps:
    """From pictures with objects or maps to masks of class numbers.

    Attributes:
        names: Classes of the masks.
        objects: Classes of the objects; the others come after them.
        beside: What is written where no object is.
    """

    names: tuple[str, ...]
    objects: tuple[str, ...]
    beside: int

    @classmethod
    def of(cls, dataset: Dataset, background: str) -> ClassMaps:
        """The masks of a data set.

        Args:
            dataset: Its objects, or maps.
            background: Class of what no object covers, of :data:`NONE` for none; of a data set with one class, that
                is 0 and needs no name.

        Raises:
            ConfigError: There are more classes than a mask can hold.
        """
        names = tuple(dataset.names)
        folded = [name.casefold() for name in names]
        if background.casefold() == NONE or (dataset.covered and len(names) > 1):
            beside, every = IGNORE, names
        elif len(names) == 1:
            beside, every = 0, names
        elif background.casefold() in folded:
            beside, every = folded.index(background.casefold()), names
        else:
            beside, every = len(names), (*names, background)
        if len(names) == 1 and beside == IGNORE:
            raise ConfigError(f"background={background} leaves nothing to tell {names[0]}, the only class, from.")
        if len(every) > MOST:
            raise ConfigError(f"{len(every)} classes are more than a mask of 8 bits holds, {MOST}; choose by names=.")
        return cls(every, names, beside)

    def draw(self, record: ImageRecord, how: Counter | None = None) -> np.ndarray:
        """The mask of a picture or of a tile of one, (H, W) uint8; 255 where a TIFF says that there are no data."""
        tile = record.window or Tile(0, 0, record.height, record.width)
        if record.class_map is not None:
            found = _whole(record.class_map)[tile.slices]
        else:
            found = paint(record, tile, self.objects, Counter() if how is None else how)
        first = int(len(self.objects) == 1)  # of one class, 0 is the background
        out = np.where(found >= 0, found + first, self.beside)
        out = np.where(found == UNKNOWN, IGNORE, out).astype(np.uint8)
        if (valid := _valid(record, tile)) is not None:
            if how is not None:
                how["pixels without data, which have no class", "255"] += int((~valid & (out != IGNORE)).sum())
            out[~valid] = IGNORE
        return out

    def shown(self, counts: np.ndarray) -> dict[str, int]:
        """Pixels by class, of (256,) counts by number."""
        names = ("background", *self.names) if len(self.objects) == 1 else self.names
        return {**{name: int(n) for name, n in zip(names, counts, strict=False)}, str(IGNORE): int(counts[IGNORE])}


@lru_cache(maxsize=1)  # the tiles of a picture come one after the other
def _whole(class_map: Callable[[], np.ndarray]) -> np.ndarray:
    return class_map()


def keep_outlined(dataset: Dataset, log: ImportLog) -> None:
    """Drop objects of which only an upright box is known: what in it is the object, nobody says."""
    for split, records in dataset.splits.items():
        for record in records:
            for item in record.objects:
                if not (item.polygons_px or item.corners_px or item.runs):
                    name, reason = dataset.names[item.cls], "no polygon: only an upright box is known"
                    log.drop(split, *item.origin, f"{reason}, which task=detect takes; class {name}")
                    log[split].lost[name, "no polygon"] += 1
            record.objects = [o for o in record.objects if o.polygons_px or o.corners_px or o.runs]


def _valid(record: ImageRecord, tile: Tile) -> np.ndarray | None:
    """(H, W) bool where a raster has data; None where it has everywhere, or says nothing."""
    if record.path is None or not has_rasterio() or not is_tiff(record.path):
        return None
    header = read_sar_header(record.path)
    if header.nodata is None and not header.masked and not header.alpha and not header.dtype.startswith("float"):
        return None
    with windows(record.path) as read:
        samples = read(tile)
    if samples.alpha is not None:
        return samples.raw[..., samples.alpha] > 0
    return samples.valid


def cut_maps(dataset: Dataset, log: ImportLog, cutting: Cutting, maps: ClassMaps) -> None:
    """Put tiles in the place of the pictures of a data set.

    Tiles in which no pixel has a class are left out, and of those with nothing but background a sample is kept.

    Args:
        dataset: What is cut.
        log: Where pictures and tiles are counted.
        cutting: How; ``keep`` has no meaning here.
        maps: Draws the masks.
    """
    for split, records in dataset.splits.items():
        full, bare, blank = [], [], 0
        for record in records:
            for tile in _tiles(record, cutting):
                kind = "blank" if is_blank(tile) else _kind(maps.draw(tile), maps)
                blank += kind == "blank"
                if kind != "blank":
                    (full if kind == "full" else bare).append(tile)
        wanted = ceil(cutting.empty * max(len(full), 1))
        kept = {t.name for t in (*full, *sorted(bare, key=lambda t: _drawn(t, cutting.seed))[:wanted])}
        dataset.splits[split] = [t for t in sorted((*full, *bare), key=lambda t: t.name) if t.name in kept]
        left = len(full) + len(bare) + blank - len(kept)
        log[split].counts.update({"pictures": len(records), "left out": left})
        if blank:
            log.note(split, split, "", f"tiles left out, in which no pixel has a class: {blank}")


def _kind(mask: np.ndarray, maps: ClassMaps) -> str:
    """``blank``, ``bare`` (background alone) or ``full``."""
    present = np.bincount(mask.ravel(), minlength=256)[:IGNORE] > 0
    if not present.any():
        return "blank"
    if maps.beside != IGNORE:
        present[maps.beside] = False
    return "full" if present.any() else "bare"


def _drawn(record: ImageRecord, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{record.name}".encode("utf-8", "surrogateescape")).digest()


def _tiles(record: ImageRecord, cutting: Cutting) -> Iterator[ImageRecord]:
    """Tiles of a picture, row by row; objects stay in pixels of the picture."""
    grid = tile_grid((record.height, record.width), cutting.tile, cutting.overlap_px)
    boxes = [np.array([o.xyxy_px for o in some]).reshape(-1, 4) for some in (record.objects, record.ignored)]
    for tile in grid:
        whole = len(grid) == 1
        suffix = Path(record.name).suffix if whole or record.path is None else tile_suffix(record, cutting.format)
        objects, ignored = (_met(o, b, tile) for o, b in zip((record.objects, record.ignored), boxes, strict=True))
        yield replace(
            record, name=f"{record.stem}__x{tile.left}_y{tile.top}{suffix}", width=tile.width, height=tile.height,
            objects=objects, ignored=ignored, orientation=1, window=None if whole else tile,
        )  # fmt: skip


def _met(items: Sequence[Annotation], boxes: np.ndarray, tile: Tile) -> list[Annotation]:
    x1, y1, x2, y2 = boxes.T
    near = (x1 < tile.left + tile.width) & (x2 > tile.left) & (y1 < tile.top + tile.height) & (y2 > tile.top)
    return [items[i] for i in np.flatnonzero(near)]
