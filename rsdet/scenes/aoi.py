"""The area of interest: polygons in any CRS, brought into pixels of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import ConfigError, DataError
from rsdet.scenes.crs import crs_of, transformer
from rsdet.scenes.features import read_features
from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional

_POLYGONS = (3, 6)  # Polygon and MultiPolygon among the types of shapely
_GRID = 33  # places along each side by which the extent of a scene in another CRS is found
_MARGIN = 1 / 16  # of that extent: twice what may be missed between two places
_PIECES = 512  # of that extent, into which edges are cut: what is straight in one CRS is bent in another


def aoi_in_pixels(path: str | Path, georef: Georef, size_hw: tuple[int, int]) -> Any:
    """The part of a scene that the polygons of a file cover.

    Args:
        path: GeoJSON, GeoPackage or Shapefile; the edges are straight in its own CRS.
        georef: The place of the scene.
        size_hw: Height and width of the scene in pixels.

    Returns:
        A prepared, valid shapely polygon or multipolygon in pixels of the scene, nowhere outside of it.

    Raises:
        ConfigError: The scene has no place.
        DataError: The file cannot be read, has no polygons or no CRS, or lies outside of the scene.
    """
    if not georef.placed:
        raise ConfigError(f"aoi={path} needs a scene with a CRS and a geotransform; leave aoi= out for this one.")
    shapely = optional("shapely")
    area, crs = _read(Path(path))
    extent = _extent(georef, size_hw, crs)
    (west, south), (east, north) = extent.min(0), extent.max(0)
    x, y = (east - west) * _MARGIN, (north - south) * _MARGIN
    if crs.is_geographic:
        x = min(x, 180 - (east - west) / 2)  # no place twice
    # Far from the scene its projection may know no numbers: only what lies around it is projected.
    around = shapely.box(west - x, south - y, east + x, north + y)
    turns = (-360, 0, 360) if crs.is_geographic else (0,)
    near = shapely.union_all([shapely.intersection(shapely.transform(area, _east(k)), around) for k in turns])
    near = shapely.segmentize(near, max(east - west, north - south) / _PIECES)
    there = shapely.make_valid(shapely.transform(near, _into_pixels(georef, crs)))
    parts = shapely.get_parts(shapely.get_parts(shapely.intersection(there, shapely.box(0, 0, *size_hw[::-1]))))
    inside = shapely.union_all(parts[np.isin(shapely.get_type_id(parts), _POLYGONS)])
    if shapely.is_empty(inside):
        raise DataError(
            f"aoi={path} lies outside of the scene: in {crs.name}, it reaches {_told(shapely.bounds(area))} and the "
            f"scene {_told((west, south, east, north))}; pass an area in the scene, or leave aoi= out."
        )
    shapely.prepare(inside)
    return inside


def _read(path: Path) -> tuple[Any, Any]:
    """All polygons of a file as one geometry, and its CRS.

    Raises:
        DataError: See :func:`aoi_in_pixels`.
    """
    shapely = optional("shapely")
    shapes, crs, _, _ = read_features(path, "aoi")
    shapes = shapes[~shapely.is_missing(shapes) & ~shapely.is_empty(shapes)]
    if not len(shapes) or not np.isin(shapely.get_type_id(shapes), _POLYGONS).all():
        kinds = ", ".join(sorted({s.geom_type for s in shapes})) or "nothing"
        raise DataError(f"aoi={path} must hold polygons and nothing else, received {kinds}; draw the area as polygons.")
    # One by one: where polygons of one shape overlap, even-odd filling would make a hole.
    return shapely.union_all(shapely.make_valid(shapely.get_parts(shapes))), crs


def _extent(georef: Georef, size_hw: tuple[int, int], crs: Any) -> np.ndarray:
    """(N, 2) places all over a scene in another CRS; longitudes without a jump.

    Raises:
        DataError: No place of the scene has one in that CRS.
    """
    rows, columns = (np.linspace(0, n, _GRID) for n in size_hw)
    grid = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
    to_area = transformer(georef.crs_wkt, crs.to_wkt())
    places: np.ndarray = np.stack(to_area.transform(*georef.to_map(grid).T), 1)
    places = places[np.isfinite(places).all(1)]
    if not len(places):
        raise DataError(
            f"no part of the scene has coordinates in the CRS {crs.name} of aoi=; draw the area in its CRS."
        )
    if crs.is_geographic:
        eastern = np.stack([places[:, 0] % 360, places[:, 1]], 1)
        if np.ptp(eastern[:, 0]) < np.ptp(places[:, 0]) * (1 - _MARGIN):  # else it goes all around
            return eastern
    return places


def _into_pixels(georef: Georef, crs: Any) -> Any:
    """The function from the CRS of an area to pixels of a scene, for arrays of places near it."""
    to_scene = transformer(crs.to_wkt(), georef.crs_wkt)
    middle = georef.to_map(np.array([[georef.size_hw[1] / 2, georef.size_hw[0] / 2]]))[0, 0]

    def into_pixels(xy: np.ndarray) -> np.ndarray:
        x, y = to_scene.transform(*xy.T)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise DataError("aoi= reaches to where the CRS of the scene shows no ground; draw it within the scene.")
        if scene_is_geographic:
            x -= 360 * np.round((x - middle) / 360)  # longitudes of the scene may go on behind 180
        return georef.to_pixels(np.stack([x, y], 1))

    scene_is_geographic = crs_of(georef.crs_wkt, "the scene").is_geographic  # type: ignore[arg-type]
    return into_pixels


def _east(degrees: Sequence[float] | float) -> Any:
    return lambda xy: xy + np.array([degrees, 0.0])


def _told(bounds: Sequence[float]) -> str:
    x1, y1, x2, y2 = (f"{v:.7g}" for v in bounds)
    return f"from {x1}, {y1} to {x2}, {y2}"
