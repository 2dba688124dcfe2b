"""Rasters of any size to maps of classes: in tiles of their own resolution, blended, into GeoTIFFs in the same place.

Tiles are run as they are in the file: a pixel of the raster is a pixel of the network's input, unless the graph has a
size of its own. A run that was stopped goes on; see :mod:`rsdet.scenes.dense`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rsdet._version import __version__
from rsdet.data.decoding import has_rasterio
from rsdet.data.geotiff import geo_of, geo_of_dataset
from rsdet.data.sources import tell_left_out
from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.metrics.confusion import IGNORE
from rsdet.names import printable
from rsdet.progress import Line, Tiles
from rsdet.quiet import say
from rsdet.runtime.geometry import Placement, lay, to_input
from rsdet.scenes.class_rasters import CLASSES
from rsdet.scenes.dense import write_dense
from rsdet.scenes.folder import continued_folder, finish, give_up
from rsdet.scenes.georef import Georef
from rsdet.scenes.opening import open_dataset
from rsdet.scenes.parts import forget
from rsdet.scenes.polygons import check_packages
from rsdet.scenes.reader import SceneInfo, open_raster
from rsdet.scenes.values import Values
from rsdet.scenes.view import View
from rsdet.tasks.semantic.classmap import logits_in_picture, probabilities
from rsdet.tasks.semantic.outputs import MapOutputs
from rsdet.tasks.semantic.polygons import PolygonSettings
from rsdet.tasks.semantic.rasters import MapRasters

WHOLE_PX = 2**24  # rasters with more pixels are never held in memory
OVERLAP = 0.25  # of a tile, where nobody says otherwise
_RASTERS = (".tif", ".tiff", ".jp2")
T, R = TypeVar("T"), TypeVar("R")


@dataclass(frozen=True)
class Mapper:
    """A model as what maps tiles.

    Attributes:
        run: (B, C, h, w) float32 in [0, 1] to logits (B, K, h, w).
        reader: Reads files as the model was trained on them.
        names: Class number to name, those of the map.
        planes: K, 1 where the one logit is that of class 1.
        size: Height and width of the network's input in pixels.
        facts: Plain values that tell this model and its settings from all others.
    """

    run: Callable[[np.ndarray], np.ndarray]
    reader: Any
    names: Mapping[int, str]
    planes: int
    size: tuple[int, int]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def probabilities(self, tile: np.ndarray, scale: float) -> np.ndarray:
        """Probabilities (h, w, K) of a tile (h, w, C) of whole numbers up to 255, ``scale`` input pixels for each."""
        height, width = tile.shape[:2]
        laid = (max(1, round(height * scale)), max(1, round(width * scale)))
        place = Placement((height, width), self.size, laid, (0, 0))
        logits = self.run(to_input([lay(tile.astype(np.uint8), place)]))[0]
        return probabilities(logits_in_picture(logits, place)).transpose(1, 2, 0)


@dataclass
class SceneMap:
    """The map of a raster, in files.

    Attributes:
        path: Where the raster lies.
        save_path: GeoTIFF of class numbers.
        orig_shape: Height and width in pixels.
        names: Class number to name.
        pixels: (255,) pixels of each class.
        area_m2: (255,) their area on the ground in square metres; None where that is not known.
        polygons: Files of polygons; none where they were not wanted.
        outlined: How many polygons, in a clause.
        speed: Milliseconds of the parts.
    """

    path: str
    save_path: Path
    orig_shape: tuple[int, int]
    names: Mapping[int, str]
    pixels: np.ndarray
    area_m2: np.ndarray | None
    polygons: Sequence[Path]
    outlined: str
    speed: dict[str, float]

    def __len__(self) -> int:
        return int(np.count_nonzero(self.pixels))


def overlap_px(overlap: float | None, tile: int) -> int:
    """Pixels that neighbouring tiles share, from a part of the tile (below 1) or pixels.

    Raises:
        ConfigError: Neither, or as much as the tile.
    """
    value = OVERLAP if overlap is None else overlap
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    pixels = round(value * tile) if good and value < 1 else value
    if not good or pixels != int(pixels) or (pixels >= tile and tile):
        raise ConfigError(
            f"overlap={overlap} must be a part of a tile below 1, or pixels below {tile}; e.g. overlap=0.25."
        )
    return int(pixels)


def are_scenes(files: Iterable[Path], tile: int | None) -> set[Path]:
    """Files that are mapped in tiles: all with ``tile``, none where it is 0, else large ones and those on Earth."""
    if tile == 0 or not has_rasterio():
        return set()
    return {p for p in files if tile or (p.suffix.lower() in _RASTERS and _is_scene(p))}


def _is_scene(path: Path) -> bool:
    try:
        with open_raster(path) as raster:
            height, width = raster.info.size_hw
            return height * width > WHOLE_PX or raster.info.transform is not None or raster.info.gcps
    except RSDetError:
        return False  # whoever reads it whole says what is wrong


def map_scenes(
    mapper: Mapper,
    files: Sequence[Path],
    run: Mapping[str, Any],
    outputs: MapOutputs,
    skipped: list[str],
    *,
    tile: int,
    overlap: int,
    stretch: Any = None,
    with_probabilities: bool = False,
    classes: Sequence[int] | None = None,
    verbose: bool = True,
) -> Iterator[SceneMap]:
    """Map rasters one after the other, in the folder of an unfinished run of the same, else a new one.

    Args:
        mapper: The model.
        files: The rasters.
        run: ``project``, ``name`` and ``exist_ok``.
        outputs: Takes the areas.
        skipped: Takes a line for each raster that was left out.
        tile: As in :func:`map_scene`, and all that follow but ``verbose``.
        overlap: See there.
        stretch: See there.
        with_probabilities: See there.
        classes: See there.
        verbose: Tell.

    Raises:
        DataError: None of them could be mapped.
    """
    settings = {
        "tile": tile, "overlap": overlap, "stretch": stretch, "with_probabilities": with_probabilities,
        "classes": classes,
    }  # fmt: skip

    def one(path: Path, folder: Path, line: Line) -> tuple[SceneMap, str]:
        stem = outputs.stem(path)
        result = map_scene(mapper, path, folder, stem, line=line, polygons=outputs.polygons, **settings)
        outputs.add_areas(path, result.pixels, result.names, result.area_m2)
        (height, width), spent = result.orig_shape, result.speed["inference"] / 1e3
        polygons = f", {result.outlined}" if result.outlined else ""
        return result, f"{width}x{height}, {len(result)} classes{polygons}, {spent:.1f} s"

    facts = {**mapper.facts, **settings, "files": [str(p.absolute()) for p in files]}
    yield from over_scenes(files, str, "image", facts, run, skipped, one, outputs.write_areas, verbose)


def over_scenes(
    scenes: Sequence[T],
    named: Callable[[T], str],
    noun: str,
    facts: Mapping[str, Any],
    run: Mapping[str, Any],
    skipped: list[str],
    one: Callable[[T, Path, Line], tuple[R, str]],
    end: Callable[[Path], Any],
    verbose: bool = True,
) -> Iterator[R]:
    """Do scenes one after the other, in the folder of an unfinished run of the same, else a new one.

    Args:
        scenes: What is done.
        named: Its name, for messages.
        noun: What it is called.
        facts: Plain values that decide the outcome; equal ones are one run.
        run: ``project``, ``name`` and ``exist_ok``.
        skipped: Takes a line for each that was left out.
        one: Does one, in a folder, and gives its result and what is told of it.
        end: Called with the folder once all are done.
        verbose: Tell.

    Raises:
        DataError: None of them could be done.
    """
    folder = continued_folder(run, facts)
    failed: list[str] = []
    for number, scene in enumerate(scenes, 1):
        head = f"{noun} {number}/{len(scenes)} {printable(named(scene))}"
        with Line(head, verbose) as line:
            try:
                result, told = one(scene, folder, line)
            except DataError as e:
                failed.append(str(e).rstrip("."))
                continue
        if verbose:
            say(f"{head}: {told}", logging.INFO)
        yield result
    if len(failed) < len(scenes):
        end(folder)
    else:
        give_up(folder)
    tell_left_out(failed, len(scenes) - len(failed))
    skipped += failed
    if not failed:
        finish(folder)
        forget(folder / CLASSES)


def map_scene(
    mapper: Mapper,
    path: Path,
    folder: Path,
    stem: str,
    *,
    tile: int,
    overlap: int,
    stretch: Any = None,
    with_probabilities: bool = False,
    classes: Sequence[int] | None = None,
    polygons: PolygonSettings | None = None,
    line: Line,
) -> SceneMap:
    """Map a raster into ``classes/<stem>.tif`` and its companions; one that was stopped goes on.

    Args:
        mapper: The model.
        path: The raster.
        folder: Of the run.
        stem: Name of the results.
        tile: Side of the tiles in pixels of the raster.
        overlap: Pixels that neighbours share.
        stretch: Values that become black and white, where the raster is not of bytes.
        with_probabilities: Write those of all classes, too.
        classes: Numbers that stay in the map, where all others are of no class; None for all.
        polygons: Which polygons are written.
        line: What says how far it is.

    Raises:
        DataError: The raster does not fit the model, or a part of it cannot be read; what is done is kept.
        WriteError: The disk is full; what is done is kept.
    """
    began = time.perf_counter()
    polygons = polygons or PolygonSettings()
    with open_raster(path) as raster, open_dataset(path) as f:
        georef = georef_of(raster.info)
        if polygons.of(georef):
            check_packages()
        view = View(raster, Values.of(raster, mapper.reader, None, stretch))
        if said := view.values.describe():
            line.write(said, end="\n" * line.on_terminal)
        place = {k: v for k, v in geo_of_dataset(f).items() if k in ("crs", "transform", "gcps")}
        geo = {**geo_of(IGNORE), **place}
        out = folder / CLASSES / f"{stem}.tif"
        files = MapRasters(out, mapper.names, view, geo, mapper.planes if with_probabilities else 0, classes)
        size_hw = raster.info.size_hw
        side, scale = min(tile, max(size_hw)), min(mapper.size) / tile
        facts = {**mapper.facts, "scene": raster.info.identity, "values": view.values.to_dict(), "rsdet": __version__}
        facts |= {"input": mapper.size, "classes": classes}
        write_dense(
            lambda x: mapper.probabilities(x, scale), lambda w: view.read(w)[0].astype(np.float32), files.encode,
            size_hw, out, files.form, tile=side, overlap=min(overlap, side - 1), facts=facts, progress=Tiles(line),
            join=files.write,
        )  # fmt: skip
        files.draw(folder / f"{stem}.jpg")
        ms = {"inference": (time.perf_counter() - began) * 1e3}
        pixels, area = files.areas(georef)
        made, outlined = files.outline(georef, polygons) if polygons.of(georef) else ([], "")
    return SceneMap(str(path), out, size_hw, mapper.names, pixels, area, made, outlined, ms)


def georef_of(info: SceneInfo) -> Georef:
    """Place of a raster; none where it is known only after another program, or makes no sense, which is said."""
    try:
        return Georef.of(info)
    except DataError as e:  # control points go into the files; areas are not known then
        if info.transform is not None:
            say(f"{e} What comes out has no polygons and no areas on the ground.", logging.WARNING)
        return Georef(None, None, info.size_hw)
