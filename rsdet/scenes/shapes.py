"""What was found as shapes: polygons in pixels, on the map, and in longitude and latitude."""

from __future__ import annotations

from typing import Any

import numpy as np

from rsdet.scenes.found import Found
from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional

_POLYGON, _MULTIPOLYGON = 3, 6  # numbers of types in shapely


def quads_of(found: Found) -> np.ndarray:
    """(N, 4, 2) corners of the boxes in pixels, of turned boxes theirs, in order around each."""
    if found.corners is not None:
        return found.corners
    x1, y1, x2, y2 = found.boxes_xyxy.T
    return np.stack([x1, y1, x2, y1, x2, y2, x1, y2], 1).reshape(-1, 4, 2)


def shapes_px(found: Found) -> np.ndarray:
    """(N,) shapely geometries in pixels: polygons of boxes, valid multipolygons of masks.

    A mask that is too thin to have an area is shown by its box.
    """
    shapely = optional("shapely")
    if found.outlines is None:
        return shapely.polygons(quads_of(found))
    rings = [(i, ring) for i, outline in enumerate(found.outlines) for ring in outline if len(ring) > 2]
    points = np.concatenate([*(ring for _, ring in rings), np.zeros((0, 2))])
    of_ring = np.repeat(np.arange(len(rings)), [len(ring) for _, ring in rings])
    polygons = shapely.make_valid(shapely.polygons(shapely.linearrings(points, indices=of_ring)))
    shapes = _multipolygons(polygons, np.array([i for i, _ in rings], np.int64), len(found))
    # Parts of one object that overlap are one: even-odd filling would make a hole of what they share.
    bad = np.flatnonzero(~shapely.is_valid(shapes) & ~shapely.is_missing(shapes))
    if len(bad):
        shapes[bad] = _multipolygons(shapely.union_all(shapes[bad, None], axis=1), np.arange(len(bad)), len(bad))
    thin = np.flatnonzero(shapely.is_missing(shapes))
    shapes[thin] = shapely.multipolygons(shapely.polygons(quads_of(found)[thin])[:, None])
    return shapes


def shapes_map(shapes: np.ndarray, georef: Georef) -> np.ndarray:
    """Shapes in pixels as shapes on the map of the scene."""
    return optional("shapely").transform(shapes, georef.to_map)


def shapes_lonlat(shapes: np.ndarray, georef: Georef) -> np.ndarray:
    """Shapes in pixels as shapes in longitude and latitude, 7 digits, cut in two at the antimeridian.

    None where the CRS shows no ground, as beside the Earth in a picture of all of it.
    """
    shapely = optional("shapely")
    turned = shapely.transform(shapes, lambda px: np.round(georef.to_lonlat(px), 7))
    turned[~np.isfinite(shapely.bounds(turned)).all(1)] = None
    west, _, east, _ = shapely.bounds(turned).T
    wide = np.flatnonzero(east - west > 180)  # nothing is that wide: it goes over the antimeridian, or around a pole
    turned[wide] = shapely.transform(_cut(turned[wide]), lambda lonlat: np.round(lonlat, 7))
    return turned


def _cut(shapes: np.ndarray) -> np.ndarray:
    """Shapes that go over the antimeridian as multipolygons of parts that do not."""
    shapely = optional("shapely")
    east = shapely.transform(shapes, lambda xy: xy + np.outer(xy[:, 0] < 0, [360, 0]))
    west, _, end, _ = shapely.bounds(east).T
    around = end - west > 180
    east[around] = [_polar(shape) for shape in east[around]]
    parts = []
    for k in (-1, 0, 1):
        strip = shapely.box(-180 + 360 * k, -90, 180 + 360 * k, 90)
        parts.append(shapely.transform(shapely.intersection(shapely.make_valid(east), strip), _moved_by(-360 * k)))
    which = np.tile(np.arange(len(shapes)), len(parts))
    order = np.argsort(which, kind="stable")
    return _multipolygons(np.concatenate(parts)[order], which[order], len(shapes))


def _moved_by(degrees: float) -> Any:
    return lambda xy: xy + np.array([degrees, 0.0])


def _polar(shape: Any) -> Any:
    """A shape around a pole as the band between its rim and the pole, on the flat map of longitude and latitude."""
    shapely = optional("shapely")
    rim = shapely.get_coordinates(shapely.get_exterior_ring(shapely.get_geometry(shape, 0)))
    lon, pole = np.unwrap(rim[:, 0], period=360), np.copysign(90.0, rim[:, 1].mean())
    lon -= 360 * np.floor((lon.min() + 180) / 360)
    return shapely.Polygon([*zip(lon, rim[:, 1], strict=True), (lon[-1], pole), (lon[0], pole)])


def _multipolygons(geometries: np.ndarray, of_object: np.ndarray, n: int) -> np.ndarray:
    """The polygons in geometries of any type as one multipolygon for each of n objects; None without any."""
    shapely = optional("shapely")
    for _ in range(3):  # a collection may hold multipolygons
        geometries, at = shapely.get_parts(geometries, return_index=True)
        of_object = of_object[at]
    kept = (shapely.get_type_id(geometries) == _POLYGON) & ~shapely.is_empty(geometries)
    out = np.full(n, None, object)
    return shapely.multipolygons(geometries[kept], indices=of_object[kept], out=out)
