"""What was found as shapes: polygons in pixels, on the map, and in longitude and latitude."""

from __future__ import annotations

from typing import Any

import numpy as np

from rsdet.scenes.found import Found
from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional

_POLYGON = 3  # among the types of shapely
_PIECES = 32  # of an edge that goes far around the globe


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
        boxes: np.ndarray = shapely.polygons(quads_of(found))
        return boxes
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
    placed: np.ndarray = optional("shapely").transform(shapes, georef.to_map)
    return placed


def shapes_lonlat(shapes: np.ndarray, georef: Georef) -> np.ndarray:
    """Shapes in pixels as shapes in longitude and latitude, 7 digits, cut in two at the antimeridian.

    None where the CRS shows no ground, as beside the Earth in a picture of all of it.
    """
    shapely = optional("shapely")

    def lonlat(px: np.ndarray) -> np.ndarray:
        return np.round(georef.to_lonlat(px), 7)

    turned: np.ndarray = shapely.transform(shapes, lonlat)
    turned[~np.isfinite(shapely.bounds(turned)).all(1)] = None
    west, _, east, _ = shapely.bounds(turned).T
    wide = np.flatnonzero(east - west > 180)  # over the antimeridian, around a pole, or truly so wide
    if len(wide):
        parts, of_object = shapely.get_parts(shapes[wide], return_index=True)
        x1, y1, x2, y2 = shapely.bounds(parts).T
        parts = shapely.transform(shapely.segmentize(parts, np.maximum(x2 - x1, y2 - y1) / _PIECES), lonlat)
        turned[wide] = _multipolygons(_cut(parts), of_object, len(wide))
    return turned


def _cut(polygons: np.ndarray) -> np.ndarray:
    """Polygons of short edges in longitude and latitude as collections of parts, none over the antimeridian."""
    shapely = optional("shapely")
    points, of_ring = shapely.get_coordinates(shapely.get_exterior_ring(polygons), return_index=True)
    jumps = (np.abs(np.diff(points[:, 0])) > 180) & (np.diff(of_ring) == 0)
    crossings = np.bincount(of_ring[1:][jumps], minlength=len(polygons))
    polar = crossings % 2 == 1  # who goes out at one side and comes back at the other has been around
    polygons[polar] = [_polar(polygon) for polygon in polygons[polar]]
    over = (crossings > 0) & ~polar
    polygons[over] = shapely.transform(polygons[over], lambda xy: xy + np.outer(xy[:, 0] < 0, [360, 0]))
    polygons, strips = shapely.make_valid(polygons), []
    for turn in (-360, 0, 360):
        strip = shapely.intersection(polygons, shapely.box(turn - 180, -90, turn + 180, 90))
        back = np.array([-turn, 0.0])
        strips.append(shapely.transform(strip, lambda xy, back=back: np.round(xy + back, 7)))
    cut: np.ndarray = shapely.geometrycollections(np.stack(strips, 1))
    return cut


def _polar(polygon: Any) -> Any:
    """A polygon around a pole as the band between its rim and the pole, on the flat map of longitude and latitude."""
    shapely = optional("shapely")
    rim = shapely.get_coordinates(shapely.get_exterior_ring(polygon))
    lon, pole = np.unwrap(rim[:, 0], period=360), np.copysign(90.0, rim[:, 1].mean())
    lon -= 360 * np.floor((lon.min() + 180) / 360)
    return shapely.Polygon([*zip(lon, rim[:, 1], strict=True), (lon[-1], pole), (lon[0], pole)])


def _multipolygons(geometries: np.ndarray, of_object: np.ndarray, n: int) -> np.ndarray:
    """The polygons in geometries of any type as one multipolygon for each of n objects; None without any."""
    shapely = optional("shapely")
    for _ in range(3):  # a collection may hold collections of multipolygons
        geometries, at = shapely.get_parts(geometries, return_index=True)
        of_object = of_object[at]
    kept = (shapely.get_type_id(geometries) == _POLYGON) & ~shapely.is_empty(geometries)
    out = np.full(n, None, object)
    shapely.multipolygons(geometries[kept], indices=of_object[kept], out=out)
    return out
