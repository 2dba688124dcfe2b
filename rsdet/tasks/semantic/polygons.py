"""The regions of a map of classes as polygons, each with its class, area, probability and the values that lie in it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rsdet.data.tiling import Tile
from rsdet.errors import ConfigError
from rsdet.metrics.confusion import IGNORE
from rsdet.names import printable
from rsdet.scenes.georef import Georef
from rsdet.scenes.ground import PixelAreas
from rsdet.scenes.opening import open_dataset
from rsdet.scenes.optional import optional
from rsdet.scenes.polygons import PolygonTable
from rsdet.scenes.regions import Read, Regions, connected_regions
from rsdet.scenes.view import View
from rsdet.tasks.semantic.classmap import BACKGROUND, ClassMap

POLYGONS = "polygons"
PERCENT = 100


@dataclass(frozen=True)
class PolygonSettings:
    """Which polygons are written.

    Attributes:
        wanted: Whether any are; None for those of rasters that lie on a map.
        min_area_m2: Those of a smaller area on the ground are left out.

    Raises:
        ConfigError: A value out of its range.
    """

    wanted: bool | None = None
    min_area_m2: float = 0.0

    def of(self, georef: Georef) -> bool:
        """Whether those of a raster are written."""
        return georef.placed if self.wanted is None else self.wanted

    def __post_init__(self) -> None:
        least = self.min_area_m2
        if isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 <= least < math.inf:
            raise ConfigError(f"min_area_m2={least} must be a number of square metres, 0 or more; e.g. 400.")
        if not isinstance(self.wanted, (bool, type(None))):
            raise ConfigError(f"polygons={self.wanted} must be True or False.")


@dataclass(frozen=True)
class Measured:
    """What the raster that was mapped measures, for rasters of one band of floating point.

    Attributes:
        view: The raster.
        name: What it is, as columns are called.
        unit: Its unit as columns are called; empty where the file says none.
    """

    view: View
    name: str
    unit: str

    @classmethod
    def of(cls, view: View) -> Measured | None:
        """Of a raster; None where its samples are colours."""
        info, sar = view.raster.info, view.values.sar or {}
        if sar.get("quantity") == "velocity":
            return cls(view, "velocity", _slug(sar["units"]))
        if info.bands != 1 or np.dtype(info.dtype).kind != "f":
            return None
        with open_dataset(info.path) as f:
            return cls(view, "value", _slug(f.units[0] or ""))

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """(h, W) float64 values, NaN where there are none."""
        raster, info = self.view.raster, self.view.raster.info
        window = Tile(top, 0, bottom - top, info.size_hw[1])
        raw, valid = raster.read(window, None, self.view.values.bands, self.view.values.nodata)
        values = raw[..., 0].astype(np.float64)
        if info.scales:
            values = values * info.scales[0] + info.offsets[0]
        return np.where(valid, values, np.nan)

    def column(self, what: str) -> str:
        """Name of a column, such as ``velocity_mean_mm_y``."""
        return "_".join(filter(None, (self.name, what, self.unit)))


def drawn_classes(names: Mapping[int, str]) -> list[int]:
    """Classes whose regions become polygons: all, or of two, of which 0 is called background, the other."""
    return [1] if sorted(names) == [0, 1] and names[0] == BACKGROUND else sorted(names)


def raster_polygons(
    classes: Path,
    confidence: Path | None,
    names: Mapping[int, str],
    georef: Georef,
    settings: PolygonSettings,
    measured: Measured | None = None,
) -> tuple[PolygonTable, int]:
    """The polygons of a map in a GeoTIFF, in the memory of a band of rows and of the polygons.

    Args:
        classes: GeoTIFF of class numbers.
        confidence: GeoTIFF of percents beside it.
        names: Class number to name.
        georef: Where it lies.
        settings: Which of them are wanted.
        measured: What is told of each besides.

    Returns:
        The polygons in reading order, and how many were smaller than is wanted.
    """
    areas = PixelAreas(georef)
    with ExitStack() as stack:
        files = [stack.enter_context(open_dataset(p)) for p in (classes, confidence) if p is not None]

        def read(top: int, bottom: int) -> tuple[np.ndarray, list[np.ndarray]]:
            numbers, *percent = (f.read(1, window=((top, bottom), (0, f.width))) for f in files)
            planes = [areas.rows(top, bottom)]
            planes += [np.where(p == IGNORE, np.nan, p / PERCENT) for p in percent]
            planes += [] if measured is None else [measured.rows(top, bottom)]
            return numbers, planes

        return polygon_table(
            read, names, drawn_classes(names), georef, settings.min_area_m2, confidence is not None, measured
        )


def picture_polygons(found: ClassMap) -> PolygonTable:
    """The polygons of the map of a picture, in pixels."""
    planes = [np.full(found.size_hw, np.nan), *([] if found.confidence is None else [found.confidence])]

    def read(top: int, bottom: int) -> tuple[np.ndarray, list[np.ndarray]]:
        return found.classes[top:bottom], [p[top:bottom] for p in planes]

    georef, known = Georef(None, None, found.size_hw), found.confidence is not None
    return polygon_table(read, found.names, drawn_classes(found.names), georef, 0.0, known, None)[0]


def told(polygons: int, small: int, min_area_m2: float) -> str:
    """How many there are, in a clause."""
    left = f" ({small} smaller than {min_area_m2:g} m2 left out)" if small else ""
    return f"{polygons} polygon{'s' * (polygons != 1)}{left}"


def polygon_table(
    read: Read,
    names: Mapping[int, str],
    kept: Collection[int],
    georef: Georef,
    least_m2: float,
    with_probability: bool,
    measured: Measured | None,
) -> tuple[PolygonTable, int]:
    """The polygons of a map that is read band by band.

    Args:
        read: Gives planes in this order: area, probability where there is one, values where there are some.
        names: Class number to name.
        kept: Classes that are wanted.
        georef: Where the map lies.
        least_m2: Smaller ones are left out.
        with_probability: Whether there is a probability.
        measured: What the values are; None where there are none.

    Returns:
        As :func:`raster_polygons`.
    """
    shapely, parts, small = optional("shapely"), [], 0
    for part in connected_regions(read, georef.size_hw, kept):
        enough = ~(_areas(part) < least_m2)
        small += int((~enough).sum())
        part = part.take(enough)
        parts.append(replace(part, shapes=shapely.to_wkb(part.shapes)))
    found = Regions.joined(parts)
    name_of = {k: printable(str(names.get(k, k))) for k in np.unique(found.classes).tolist()}
    columns = {
        "class": np.array([name_of[k] for k in found.classes.tolist()], object),
        "class_id": found.classes.astype(np.int32),
        **({"area_m2": _areas(found)} if georef.placed else {}),
        "area_px": found.pixels,
    }
    with np.errstate(invalid="ignore"):
        means = found.sums / found.counts
    if with_probability:
        columns["probability"] = np.round(means[:, 1], 4)
    if measured is not None:
        known = found.counts[:, -1] > 0
        for what, values in (("mean", means), ("min", found.lowest), ("max", found.highest)):
            columns[measured.column(what)] = np.where(known, np.round(values[:, -1], 4), np.nan)
    return PolygonTable(found.shapes, columns, georef), small


def _areas(found: Regions) -> np.ndarray:
    """(N,) square metres as they are written; NaN where that of a pixel is not known."""
    return np.round(np.where(found.counts[:, 0] == found.pixels, found.sums[:, 0], np.nan), 2)


def _slug(unit: str) -> str:
    return re.sub(r"\W+", "_", unit).strip("_")
