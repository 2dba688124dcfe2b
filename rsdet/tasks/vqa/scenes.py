"""Rasters of any size: looked at in tiles of their own resolution, and where they lie on Earth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.decoding import has_rasterio
from rsdet.data.pictures import PictureReader
from rsdet.data.questions.records import Question
from rsdet.data.sar.header import read_sar_header
from rsdet.data.tiling import Tile
from rsdet.errors import DataError, RSDetError
from rsdet.progress import Line, Tiles
from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional
from rsdet.scenes.reader import open_raster
from rsdet.scenes.shapes import shapes_lonlat
from rsdet.scenes.values import Values
from rsdet.scenes.view import View
from rsdet.tasks.vqa.answering import Answering, Said
from rsdet.tasks.vqa.merging import merged
from rsdet.tasks.vqa.results import Answer, TileAnswers, VqaResults

WHOLE_PX = 2**24  # rasters with more pixels are never held in memory
_RASTERS = (".tif", ".tiff", ".jp2")


@dataclass(frozen=True)
class Looking:
    """How a raster is asked.

    Attributes:
        answering: The network.
        reader: Reads files as the model was trained on them.
        tile: Side of the tiles in pixels of the raster.
        top: Answers that are told to each question.
        min_confidence: Probability below which none is given.
        stretch: Values that become black and white, where the raster is not of bytes.
        check: Name of a tile, its picture and the answers about it to answers that were compared with something else.
    """

    answering: Answering
    reader: PictureReader
    tile: int
    top: int = 3
    min_confidence: float = 0.0
    stretch: Any = None
    check: Callable[[str, np.ndarray, list[Answer]], list[Answer]] | None = None


def is_scene(path: Path, tile: int | None) -> bool:
    """Whether a file is looked at in tiles: any with ``tile``, none where it is 0, else rasters that are too large."""
    if tile is not None or not has_rasterio():
        return bool(tile)
    try:
        header = read_sar_header(path)
    except RSDetError:
        return False  # whoever reads it whole says what is wrong
    return path.suffix.lower() in _RASTERS and header.width * header.height > WHOLE_PX


def ask_scene(look: Looking, path: Path, asked: Sequence[Question], line: Line) -> VqaResults:
    """Ask a raster, tile by tile.

    Args:
        look: How.
        path: The raster.
        asked: The questions.
        line: What says how far it is.

    Returns:
        Merged answers, and those of each tile.

    Raises:
        DataError: It does not fit the model, shows nothing, or a part of it cannot be read.
    """
    said: list[Said] = []
    tiles: list[TileAnswers] = []
    ground: list[float] = []
    with open_raster(path) as raster:
        view = View(raster, Values.of(raster, look.reader, None, look.stretch))
        georef, size_hw = georef_of(raster), raster.info.size_hw
        parts, progress = list(parted(size_hw, look.tile)), Tiles(line)
        for number, tile in enumerate(parts, 1):
            progress(number, len(parts))
            if view.is_empty(tile):
                continue
            picture, valid = view.read(tile)
            if not valid.any():
                continue
            whole = np.zeros((look.tile, look.tile, picture.shape[2]), np.uint8)  # what is outside shows nothing
            whole[: tile.height, : tile.width] = picture
            told = look.answering.said(look.answering.encoded(whole), [q.text for q in asked])
            answers = look.answering.told(told, asked, look.top, look.min_confidence)
            if look.check is not None:
                answers = look.check(f"{path.stem}__x{tile.left}_y{tile.top}{path.suffix}", picture, answers)
            said.append(told)
            ground.append(float(valid.sum()))
            tiles.append(TileAnswers(tile, [replace(a, attention=None) for a in answers], _place(tile, georef)))
    if not said:
        raise DataError(f"{path} shows nothing: no tile of it has valid pixels")
    answers = [_merged(look, said, np.array(ground), i, tiles) for i in range(len(asked))]
    where = _place(Tile(0, 0, *size_hw), georef)
    return VqaResults(str(path), None, size_hw, answers, where, tiles=tiles)


def parted(size_hw: tuple[int, int], side: int) -> Iterator[Tile]:
    """Tiles that part a raster, row by row; the last of a row and of a column may be smaller."""
    height, width = size_hw
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Tile(top, left, min(side, height - top), min(side, width - left))


def _merged(look: Looking, said: Sequence[Said], ground: np.ndarray, i: int, tiles: Sequence[TileAnswers]) -> Answer:
    first = tiles[0].answers[i]  # its type and its notes are those of the question, whatever the tile
    each = np.stack([s.probabilities[i] for s in said])
    top, how = merged(each, first.closed, look.answering.vocabulary.answers, ground, look.top)
    return replace(first, check=None, top=top, abstains=top[0][1] < look.min_confidence, merged=how)


def georef_of(raster: Any) -> Georef:
    """The place of an open raster; none where it is told in a way that is not known here."""
    try:
        return Georef.of(raster.info)
    except DataError:
        return Georef(None, None, raster.info.size_hw)


def footprint(path: str | Path) -> dict[str, Any] | None:
    """Where a picture lies, in longitude and latitude, as a geometry of GeoJSON.

    None where it has no place on Earth, or the packages that read it are not installed.
    """
    if Path(path).suffix.lower() not in _RASTERS or not Path(path).is_file():
        return None
    try:
        with open_raster(Path(path)) as raster:
            georef = georef_of(raster)
    except RSDetError:
        return None
    return _place(Tile(0, 0, *georef.size_hw), georef)


def _place(tile: Tile, georef: Georef) -> dict[str, Any] | None:
    """Where a window lies, a geometry of GeoJSON as RFC 7946 has it: counterclockwise, cut at the antimeridian."""
    if not georef.placed:
        return None
    try:
        shapely = optional("shapely")
        box = shapely.box([tile.left], [tile.top], [tile.left + tile.width], [tile.top + tile.height])
        (shape,) = shapes_lonlat(box, georef)
    except RSDetError:  # a package is not installed, or it lies on another body
        return None
    if shape is None:
        return None
    made: dict[str, Any] = json.loads(shapely.to_geojson(shapely.reverse(shapely.normalize(shape))))
    return made
