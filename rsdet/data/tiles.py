"""Tiles of large pictures as a data set: what of each object lies in which tile, and what becomes of the rest.

A picture belongs to its split before it is cut, so that no two splits share one. An object goes to every tile that
shows enough of it (``keep=``); where a tile shows less, the rest becomes an ignored region, since it is neither an
object to learn nor background. An object that no tile shows enough of is lost, and told by class. Tiles without any
object are background, of which a sample is drawn (``empty=``); those with rests and no object are left out.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np

from rsdet.arguments import check_number
from rsdet.data.annotations import MIN_SIDE_PX, Annotation, Box, Dataset, ImageRecord, ImportLog
from rsdet.data.forms import form_of, visible
from rsdet.data.tile_files import is_blank, tile_suffix
from rsdet.data.tiling import Grid, Tile, tile_grid
from rsdet.errors import ConfigError
from rsdet.scenes.settings import SceneSettings

FORMATS = ("png", "jpg")
_WHOLE = 1 - 1e-6  # of an object: less of it is a cut
_REST_PX = 1.0  # sides of what is seen of an object


@dataclass(frozen=True)
class Cutting:
    """How a data set is cut.

    Attributes:
        tile: Side of a tile, pixels.
        overlap_px: Pixels that neighbours share at least.
        keep: Share of an object that a tile must show: of the area of its box, or of its oriented box or outline.
        empty: Tiles without object, as a share of those with some.
        seed: Another number draws other ones.
        format: Of tiles of 8-bit pictures that are no TIFF, one of :data:`FORMATS`.
    """

    tile: int
    overlap_px: int
    keep: float = 0.4
    empty: float = 0.1
    seed: int = 0
    format: str = "png"

    @classmethod
    def of(cls, tile: int | None, overlap: float, keep: float, empty: float, seed: int, format: str) -> Cutting | None:
        """What the options of a conversion ask for; None without ``tile``.

        Raises:
            ConfigError: A value out of its range.
        """
        overlap_px = SceneSettings(tile=tile, overlap=overlap).overlap_px
        check_number("keep", keep, 0, 1, "the share of an object that a tile must show, 0 to 1; e.g. keep=0.4")
        check_number("empty", empty, 0, 1e9, "tiles without object for each with some, 0 or more; e.g. empty=0.1")
        if format not in FORMATS:
            raise ConfigError(f"tile_format={format!r} must be one of {', '.join(FORMATS)}.")
        return None if tile is None else cls(tile, overlap_px, keep, empty, seed, format)

    def __str__(self) -> str:
        return f"tile={self.tile} overlap={self.overlap_px} keep={self.keep:g} empty={self.empty:g}"


def cut_dataset(dataset: Dataset, log: ImportLog, cutting: Cutting, task: str, regions: bool = True) -> None:
    """Put tiles in the place of the pictures of a data set.

    Args:
        dataset: Its objects have the form of the task (:func:`rsdet.data.forms.give_form`).
        log: Where objects that are lost, cut or left to another tile are counted.
        cutting: How.
        task: One of :data:`rsdet.data.forms.TASKS`.
        regions: Whether the result has a place for ignored regions.
    """
    for split, records in dataset.splits.items():
        cutter = _Cutter(dataset.names, cutting, task, regions)
        tiles = [tile for record in records for tile in cutter.cut(record)]
        dataset.splits[split] = kept = list(_sampled(tiles, cutter.rests, cutting))
        log[split].counts.update({"pictures": len(records), "left out": len(tiles) - len(kept)})
        log[split].forms += cutter.how
        for item, most in cutter.lost:
            name = dataset.names[item.cls]
            log.drop(split, *item.origin, f"in no tile: the most that one shows of it is {most:.0%}; class {name}")
            log[split].lost[name, "in no tile"] += 1
    _say_lost(log)


def _say_lost(log: ImportLog) -> None:
    lost: Counter[str] = Counter()
    for part in log.values():
        lost.update({name: n for (name, kind), n in part.lost.items() if kind == "in no tile"})
    if lost:
        classes = ", ".join(f"{name} {n}" for name, n in lost.most_common())
        logging.getLogger("rsdet").warning(
            "%d objects are in no tile (%s); larger tiles, more overlap or a smaller keep= hold them.",
            lost.total(), classes,
        )  # fmt: skip


class _Cutter:
    """Cuts the records of a split.

    Attributes:
        how: What became of objects: (words, class name) to their number.
        lost: Objects that are in no tile, and the largest share that one shows.
        rests: Names of tiles in which something is visible that is no object there.
    """

    def __init__(self, names: Sequence[str], cutting: Cutting, task: str, regions: bool):
        self.names, self.cutting, self.task, self.regions = names, cutting, task, regions
        self.how: Counter[tuple[str, str]] = Counter()
        self.lost: list[tuple[Annotation, float]] = []
        self.rests: set[str] = set()

    def cut(self, record: ImageRecord) -> list[ImageRecord]:
        """Tiles of a picture, row by row, with what is visible in each."""
        grid = tile_grid((record.height, record.width), self.cutting.tile, self.cutting.overlap_px)
        tiles = {(tile.top, tile.left): self._tile(record, tile, len(grid) == 1) for tile in grid}
        for item in record.objects:
            most = self._place(item, grid, tiles)
            if most is not None:
                self.lost.append((item, most))
        for box in record.ignored_xyxy_px:
            for tile in _near(grid, box):
                if (part := _inside(box, tile)) is not None:
                    tiles[tile.top, tile.left].ignored_xyxy_px.append(part)
        return list(tiles.values())

    def _tile(self, record: ImageRecord, tile: Tile, whole: bool) -> ImageRecord:
        suffix = Path(record.name).suffix if whole or record.path is None else tile_suffix(record, self.cutting.format)
        return replace(
            record, name=f"{record.stem}__x{tile.left}_y{tile.top}{suffix}", width=tile.width, height=tile.height,
            objects=[], ignored_xyxy_px=[], orientation=1, window=None if whole else tile,
        )  # fmt: skip

    def _place(self, item: Annotation, grid: Grid, tiles: dict[tuple[int, int], ImageRecord]) -> float | None:
        """Put an object into the tiles that show it; the largest share that one shows where that is too little."""
        most, kept, name = 0.0, False, self.names[item.cls]
        for tile in _near(grid, item.xyxy_px):
            record = tiles[tile.top, tile.left]
            share, rest, seen = _seen(item, tile, self.task, self.cutting.keep)
            most = max(most, share)
            if seen is not None:
                record.objects.append(seen)
                kept = True
                self.how["cut at the edge of a tile", name] += share < _WHOLE
            elif rest is not None and min(rest[2] - rest[0], rest[3] - rest[1]) >= _REST_PX:
                self.rests.add(record.name)
                self.how[f"less than {self.cutting.keep:.0%} in a tile, left to others", name] += 1
                if self.regions:
                    record.ignored_xyxy_px.append(rest)
        return None if kept else most


def _near(grid: Grid, box: Box) -> Iterator[Tile]:
    """Tiles that a box reaches into, row by row."""
    height, width = grid.tile_hw
    rows, columns = (
        np.array(begins)[np.searchsorted(np.array(begins) + side, low, "right") : np.searchsorted(begins, high)]
        for begins, side, low, high in ((grid.tops, height, box[1], box[3]), (grid.lefts, width, box[0], box[2]))
    )
    return (Tile(int(top), int(left), height, width) for top in rows for left in columns)


def _inside(box: Box, tile: Tile) -> Box | None:
    """The part of a box inside a tile, in its pixels; None without one."""
    x1, y1, x2, y2 = _moved(box, tile)
    x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(tile.width)), min(y2, float(tile.height))
    return (x1, y1, x2, y2) if min(x2 - x1, y2 - y1) >= MIN_SIDE_PX else None


def _moved(values: Sequence[float], tile: Tile) -> tuple[float, ...]:
    """Points ``x1 y1 …`` of a picture in pixels of a tile."""
    return tuple(v - (tile.top if i % 2 else tile.left) for i, v in enumerate(values))


def _seen(item: Annotation, tile: Tile, task: str, keep: float) -> tuple[float, Box | None, Annotation | None]:
    """The share of an object inside a tile, the box around that, and the object there, where it is enough of one."""
    size = float(tile.width), float(tile.height)
    box = _inside(item.xyxy_px, tile)
    if box is None:
        return 0.0, None, None
    rings = tuple(_moved(ring, tile) for ring in item.polygons_px)
    moved = replace(item, xyxy_px=box, polygons_px=rings, corners_px=None)
    share, around = (_area(box) / _area(item.xyxy_px), box) if task == "detect" else visible(rings, size)
    if share < keep or around is None:
        return share, around, None
    if share >= _WHOLE or not rings:
        return share, around, replace(moved, xyxy_px=around)
    found = form_of(moved, size, task, Counter(), one_ring=False)
    if task == "detect":
        return share, around, replace(moved, polygons_px=() if isinstance(found, str) else found)
    if isinstance(found, str):
        return share, around, None
    (_, hull) = visible(found, size)
    return share, around, replace(moved, xyxy_px=hull or box, polygons_px=found)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _sampled(tiles: Sequence[ImageRecord], rests: set[str], cutting: Cutting) -> Iterator[ImageRecord]:
    """Tiles with objects, and a sample of those without; by the hash of their names, the same everywhere."""

    def drawn(record: ImageRecord) -> bytes:
        return hashlib.sha256(f"{cutting.seed}/{record.name}".encode("utf-8", "surrogateescape")).digest()

    full = {tile.name for tile in tiles if tile.objects}
    wanted, chosen = ceil(cutting.empty * max(len(full), 1)), set()
    for tile in sorted((t for t in tiles if t.name not in full | rests), key=drawn):
        if len(chosen) == wanted:
            break
        if not is_blank(tile):
            chosen.add(tile.name)
    return (tile for tile in tiles if tile.name in full | chosen)
