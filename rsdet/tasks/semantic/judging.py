"""Which polygons of a map are dropped, and why; what is written of it."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsdet.data.geotiff import BLOCK_PX, geo_of_dataset, new_tiff
from rsdet.data.tiling import Tile
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.confusion import IGNORE
from rsdet.quiet import say
from rsdet.scenes.covered import covered, numbered
from rsdet.scenes.crs import globe, transformer
from rsdet.scenes.georef import Georef
from rsdet.scenes.opening import open_dataset
from rsdet.scenes.optional import optional
from rsdet.scenes.polygons import PolygonTable, write_polygons
from rsdet.scenes.warped import opened
from rsdet.tasks.semantic.gis_rules import RasterRule
from rsdet.tasks.semantic.mapped import Mapped
from rsdet.tasks.semantic.visual import COLOURS
from rsdet.writing import replacing

DROPPED, MIN_AREA, KEPT = "dropped", "min_area", "kept"


@dataclass(frozen=True)
class Rules:
    """What speaks against a region, in the order in which it is asked.

    Attributes:
        rasters: Rules of rasters.
        min_area_m2: Least area on the ground; 0 for any.
        fraction: Part of a region that a raster must speak against.
        classes: Names or numbers of the classes that are judged; None for all.

    Raises:
        ConfigError: There is none, or an area that makes no sense.
    """

    rasters: Sequence[RasterRule]
    min_area_m2: float = 0.0
    fraction: float = 0.5
    classes: Sequence[str | int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_area_m2 < math.inf:
            raise ConfigError(f"min_area_m2={self.min_area_m2} must be square metres, 0 or more; e.g. 400.")
        if not self.rasters and not self.min_area_m2:
            raise ConfigError("postprocess needs a rule: landcover=, ndvi=, layover=, slope= or min_area_m2=.")

    @property
    def reasons(self) -> list[str]:
        """What can stand in the column ``dropped``."""
        return [*(r.name for r in self.rasters), *([MIN_AREA] if self.min_area_m2 else [])]


@dataclass(frozen=True)
class Verdict:
    """What is said of the polygons of a map.

    Attributes:
        shapes: (N,) shapely polygons in pixels of the grid.
        columns: Theirs, ``dropped`` among them: the reason, empty for those that are kept.
        grid: Where the pixels lie.
        reasons: All that were asked for, after those of an earlier call.
    """

    shapes: np.ndarray
    columns: dict[str, np.ndarray]
    grid: Georef
    reasons: list[str]

    @property
    def told(self) -> str:
        """How many are dropped for which reason, in one line."""
        counts = Counter(self.columns[DROPPED].tolist())
        each = ", ".join(f"{counts[reason]} {reason}" for reason in self.reasons)
        return f"{len(self.shapes)} polygon{'s' * (len(self.shapes) != 1)}: {counts['']} kept; dropped: {each}"

    def write(self, folder: Path, source: Mapped) -> list[Path]:
        """Write the polygons, and the map of those that are kept where the source has one; returns the files."""
        shapely, shapes = optional("shapely"), self.shapes
        several = shapely.get_type_id(shapes) == 6
        if several.any():
            shapes = shapes.copy()
            shapes[~several] = shapely.multipolygons(shapes[~several, None])
        kind = "MultiPolygon" if several.any() else "Polygon"
        table = PolygonTable(shapely.to_wkb(shapes), self.columns, self.grid, kind)
        looks = dict(enumerate(["", *self.reasons]))
        made = write_polygons(folder, source.stem, table, looks, DROPPED, KEPT)
        return made if source.classes is None else [*made, self._write_map(folder / f"{source.stem}.tif", source)]

    def _write_map(self, path: Path, source: Mapped) -> Path:
        """The map without what lies in no polygon that is kept: background of two classes, else no class."""
        kept = self.shapes[self.columns[DROPPED] == ""]
        tree, drawn = optional("shapely").STRtree(kept), source.drawn()
        with open_dataset(source.classes) as f, replacing(path) as new:
            geo = geo_of_dataset(f)
            none = IGNORE if geo["nodata"] is None else geo["nodata"]
            without = 0 if drawn == [1] else none
            with new_tiff(new, (f.height, f.width, 1), "uint8", geo) as made:
                made.write_colormap(1, dict(enumerate(map(tuple, COLOURS))))
                for top in range(0, f.height, BLOCK_PX):
                    window = Tile(top, 0, min(BLOCK_PX, f.height - top), f.width)
                    place = (top, top + window.height), (0, f.width)
                    classes, inside = f.read(1, window=place), np.zeros((window.height, f.width), bool)
                    for layer in numbered(kept, tree, window)[1]:
                        inside |= layer > 0
                    classes[np.isin(classes, drawn) & ~inside] = without
                    made.write(classes, 1, window=place)
        return path


@dataclass(frozen=True)
class Judge:
    """Asks the rules of each polygon of a map."""

    rules: Rules

    def __call__(self, source: Mapped) -> Verdict:
        """The verdict on a map.

        Raises:
            ConfigError: No polygon is of the classes that were named.
            DataError: A file cannot be used, or a raster has no data where there are polygons.
        """
        grid = None if source.classes is None else source.grid()
        shapes, columns, crs = source.outlined(grid)
        if grid is None:
            grid = _own_grid(shapes, crs, self.rules.rasters)
            shapes = optional("shapely").transform(shapes, grid.to_pixels)
        judged = self._judged(columns, len(shapes), source)
        before = _earlier(columns, len(shapes))
        reason = before.copy()
        if self.rules.rasters and len(shapes):
            self._ask(shapes, grid, columns, reason)
        if self.rules.min_area_m2:
            if columns.get("area_m2", reason).dtype.kind != "f":
                columns["area_m2"] = _areas_m2(shapes, grid)
            reason[(reason == "") & (columns["area_m2"] < self.rules.min_area_m2)] = MIN_AREA
        reason[~judged] = before[~judged]
        reasons = dict.fromkeys([*sorted(set(before.tolist()) - {""}), *self.rules.reasons])
        return Verdict(shapes, {**columns, DROPPED: reason}, grid, list(reasons))

    def _judged(self, columns: dict[str, np.ndarray], count: int, source: Mapped) -> np.ndarray:
        wanted = self.rules.classes
        if wanted is None:
            return np.ones(count, bool)
        names, numbers = columns.get("class", np.full(count, "")), columns.get("class_id", np.full(count, -1))
        judged = np.isin(names.astype(str), [w for w in wanted if isinstance(w, str)])
        judged |= np.isin(numbers, [w for w in wanted if isinstance(w, int)])
        if count and not judged.any():
            there = ", ".join(sorted(set(names.astype(str).tolist())))
            raise ConfigError(f"classes={list(wanted)}: no polygon of {source.key} is of these; there are {there}.")
        return judged

    def _ask(self, shapes: np.ndarray, grid: Georef, columns: dict[str, np.ndarray], reason: np.ndarray) -> None:
        """Write reasons, and the part of each polygon that speaks for them."""
        rules = self.rules.rasters
        with ExitStack() as stack:
            rasters = [stack.enter_context(rule.on(grid)) for rule in rules]

            def look(window: Tile) -> list[tuple[np.ndarray, np.ndarray]]:
                return [rule.answer(*raster.read(window)) for rule, raster in zip(rules, rasters, strict=True)]

            pixels, holds, known = covered(shapes, grid.size_hw, look, len(rules))
        for i, rule in enumerate(rules):
            if not known[i].any() and not rule.sparse:
                raise DataError(
                    f"{rule.name}={rule.path} has no data under any of the {len(shapes)} polygons; check its nodata "
                    "value and its CRS, or leave it out."
                )
            if unknown := int((known[i] == 0).sum()):
                say(f"{rule.name}= has no data under {unknown} of {len(shapes)} polygons, and drops none of these.",
                    logging.WARNING)  # fmt: skip
            share = holds[i] / np.maximum(pixels, 1)
            columns[f"{rule.name}_share"] = np.where(known[i] > 0, np.round(share, 4), np.nan)
            reason[(reason == "") & (holds[i] > 0) & (share >= self.rules.fraction)] = rule.name


def _earlier(columns: dict[str, np.ndarray], count: int) -> np.ndarray:
    """(N,) reasons that polygons were dropped for before, which stay; empty without any."""
    return np.array([v if isinstance(v, str) else "" for v in columns.get(DROPPED, [""] * count)], object)


def _own_grid(shapes: np.ndarray, crs: object, rules: Sequence[RasterRule]) -> Georef:
    """The grid of polygons without a map: pixels of the finest raster, upright in the CRS of the polygons."""
    from rasterio import CRS
    from rasterio.warp import calculate_default_transform

    wkt, sides = crs.to_wkt(), []
    for rule in rules:
        with opened(rule.name, rule.path) as f:
            sides.append(calculate_default_transform(f.crs, CRS.from_wkt(wkt), f.width, f.height, *f.bounds)[0].a)
    if not len(shapes):
        return Georef(wkt, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), (1, 1))
    west, south, east, north = optional("shapely").total_bounds(shapes)
    side = min(sides, default=max(east - west, north - south))
    size_hw = (max(1, math.ceil((north - south) / side)), max(1, math.ceil((east - west) / side)))
    return Georef(wkt, (side, 0.0, west, 0.0, -side, north), size_hw)


def _areas_m2(shapes: np.ndarray, grid: Georef) -> np.ndarray:
    """(N,) square metres on the ground."""
    own, degrees, geod = globe(grid.crs_wkt)
    way = transformer(grid.crs_wkt, own)

    def lonlat(px: np.ndarray) -> np.ndarray:
        return np.stack(way.transform(*grid.to_map(px).T), 1) * degrees

    # Outer rings turn to the left and holes to the right, or both would add.
    upright = optional("shapely").normalize(optional("shapely").transform(shapes, lonlat))
    return np.array([abs(geod.geometry_area_perimeter(s)[0]) for s in upright])
