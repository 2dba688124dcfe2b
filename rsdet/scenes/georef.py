"""Where a scene lies: from its pixels to its map, to longitude and latitude, and to metres on the ground.

Metres are geodesic, on the ellipsoid of the scene's own CRS: one of a projection is stretched, twofold by Web Mercator
at 60 degrees. Pixels are counted from the outer corner of the first one, x to the right and y downwards.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsdet.errors import DataError
from rsdet.scenes.optional import optional

if TYPE_CHECKING:
    from rsdet.scenes.reader import SceneInfo

LONLAT = "OGC:CRS84"  # WGS 84 in the order of GeoJSON


@dataclass(frozen=True)
class Georef:
    """The place of a scene on Earth, or on another body; plain values, so that it can be pickled.

    Attributes:
        crs_wkt: Its CRS; None for a scene without a place, of which only ``size_hw`` is known.
        transform: a, b, c, d, e, f of x = a col + b row + c and y = d col + e row + f; None without a place.
        size_hw: Height and width of the scene in pixels.
    """

    crs_wkt: str | None
    transform: tuple[float, ...] | None
    size_hw: tuple[int, int]

    @classmethod
    def of(cls, info: SceneInfo) -> Georef:
        """The place that a file tells; none where it has no CRS, or none of a body (see :func:`placement_problem`).

        Raises:
            DataError: It tells a place in a way that needs another program first.
        """
        problem, fatal = _problem(info)
        if fatal:
            raise DataError(problem)
        return cls(None, None, info.size_hw) if problem else cls(info.crs_wkt, info.transform, info.size_hw)

    @property
    def placed(self) -> bool:
        """Whether there is a map to draw onto."""
        return self.transform is not None

    def to_map(self, xy_px: np.ndarray) -> np.ndarray:
        """(N, 2) pixels to (N, 2) x and y of the scene's CRS, east or longitude first."""
        return _affine(self.transform, xy_px)

    def to_pixels(self, xy_map: np.ndarray) -> np.ndarray:
        """(N, 2) x and y of the scene's CRS to (N, 2) pixels."""
        a, b, c, d, e, f = self.transform  # type: ignore[misc]
        by = a * e - b * d
        # The origin is taken off first: northings have seven digits before the point.
        return _affine((e / by, -b / by, 0.0, -d / by, a / by, 0.0), np.asarray(xy_map, np.float64) - [c, f])

    def to_lonlat(self, xy_px: np.ndarray) -> np.ndarray:
        """(N, 2) pixels to (N, 2) longitude and latitude of WGS 84 in degrees; inf where the CRS shows no ground.

        Raises:
            DataError: The scene lies on another body.
        """
        return _within_180(_moved(self.to_map(xy_px), self.crs_wkt, LONLAT))

    def gsd_m(self, xy_px: np.ndarray | None = None) -> float | None:
        """Side of a square in metres that has the area of a pixel on the ground; None where that is not known.

        Args:
            xy_px: (2,) the place; the middle of the scene where it is not given.
        """
        if not self.placed:
            return None
        x, y = (self.size_hw[1] / 2, self.size_hw[0] / 2) if xy_px is None else np.ravel(xy_px).tolist()
        corner = np.array([[x - 0.5, y - 0.5], [x + 0.5, y - 0.5], [x + 0.5, y + 0.5], [x - 0.5, y + 0.5]])
        side = math.sqrt(self.extent_m(corner[None]).prod())
        return side if math.isfinite(side) else None

    def extent_m(self, quads: np.ndarray) -> np.ndarray:
        """Length and width of quadrilaterals on the ground, between the middles of their opposite sides.

        Args:
            quads: (N, 4, 2) corners in pixels, in order around each.

        Returns:
            (N, 2) metres, the longer one first; NaN without a place, or where the CRS shows no ground.
        """
        if not self.placed:
            return np.full((len(quads), 2), np.nan)
        middles = ((quads + np.roll(quads, -1, 1)) / 2).reshape(-1, 2)
        own, degrees, geod = _globe(self.crs_wkt)
        lonlat = (_moved(self.to_map(middles), self.crs_wkt, own) * degrees).reshape(-1, 4, 2)
        seen = np.isfinite(lonlat).all((1, 2))
        out = np.full((len(quads), 2), np.nan)
        for k in (0, 1):
            (lon1, lat1), (lon2, lat2) = lonlat[seen, k].T, lonlat[seen, k + 2].T
            out[seen, k] = geod.inv(lon1, lat1, lon2, lat2)[2]
        return -np.sort(-out, axis=1)


def placement_problem(info: SceneInfo) -> str:
    """Why nothing found in a scene can be put onto a map, and what helps; empty where it can."""
    return _problem(info)[0]


def crs_of(wkt: str, where: str | Path) -> Any:
    """A CRS as pyproj has it.

    Raises:
        DataError: pyproj cannot read it, or it is none of maps: of a building site, of heights alone.
    """
    pyproj = optional("pyproj")
    try:
        crs = pyproj.CRS.from_user_input(wkt)
    except pyproj.exceptions.CRSError as e:
        why = " ".join(str(e).split())[:160]
        raise DataError(
            f"the CRS of {where} cannot be read ({why}); give it one by its number, for example with "
            f"gdal_edit.py -a_srs EPSG:32632 (ogr2ogr -a_srs for vectors), and run again."
        ) from e
    if not (crs.is_projected or crs.is_geographic):
        raise _NoMap(
            f"the CRS of {where} is a {crs.type_name} ({crs.name}), which says nothing of where on Earth that is; "
            "give it a projected or geographic one, for example with gdal_edit.py -a_srs EPSG:32632."
        )
    return crs


class _NoMap(DataError):
    """A CRS without a place on Earth."""


def _problem(info: SceneInfo) -> tuple[str, bool]:
    """What is in the way of a map, and whether the file has a place all the same, which another program must read."""
    if info.transform is None and (info.gcps or info.rpcs):
        return _gdalwarp(info), True
    if info.crs_wkt is None or info.transform is None:
        lacks = "CRS" if info.crs_wkt is None else "geotransform"
        return f"{info.path} has no {lacks}: what is found is written in pixels only, not onto a map.", False
    a, b, _, d, e, _ = info.transform
    if not all(map(math.isfinite, info.transform)) or a * e == b * d:
        return f"{info.path} has the geotransform {info.transform}, which has no area; mend it with gdal_edit.py.", True
    try:
        crs_of(info.crs_wkt, info.path)
    except _NoMap as e:
        return f"{e} Until then, what is found is written in pixels only.", False
    except DataError as e:
        return str(e), True
    return "", False


def _gdalwarp(info: SceneInfo) -> str:
    """The refusal of a scene that is placed by points or a camera model alone, with the command that helps."""
    with optional("rasterio").open(info.path) as file:
        points, crs = file.gcps
        crs_degrees = info.rpcs or (crs is not None and crs.is_geographic)
        lon, lat = (
            np.mean([(p.x, p.y) for p in points], axis=0) if points and not info.rpcs
            else (file.rpcs.long_off, file.rpcs.lat_off) if file.rpcs else (math.nan, math.nan)
        )  # fmt: skip
    onto = f"-t_srs EPSG:{_usual_epsg(lon, lat)} " if crs_degrees and math.isfinite(lon + lat) else ""
    by, of = ("-rpc", "RPC") if info.rpcs else ("-tps", "ground control points")
    terrain = " (with -to RPC_DEM=dem.tif it follows the terrain)" if info.rpcs else ""
    new = info.path.with_name(f"{info.path.stem}-map.tif").name
    return (
        f"{info.path} is placed by {of} alone, not by a geotransform; rectify it and pass the result: "
        f"gdalwarp {by} {onto}-r bilinear {shlex.quote(str(info.path))} {shlex.quote(new)}{terrain}"
    )


def _usual_epsg(lon: float, lat: float) -> int:
    """The UTM zone of a place, near the poles the polar stereographic CRS."""
    if abs(lat) > 84:
        return 3995 if lat > 0 else 3031
    return (32600 if lat >= 0 else 32700) + int((lon + 180) % 360 // 6) + 1


def _affine(transform: tuple[float, ...] | None, xy: np.ndarray) -> np.ndarray:
    a, b, c, d, e, f = transform  # type: ignore[misc]
    x, y = np.asarray(xy, np.float64).reshape(-1, 2).T
    return np.stack([a * x + b * y + c, d * x + e * y + f], 1)


def _moved(xy: np.ndarray, source: str | None, target: str | None) -> np.ndarray:
    return np.stack(transformer(source, target).transform(*xy.T), 1)


@lru_cache(maxsize=32)
def transformer(source: str, target: str) -> Any:
    """The way of pyproj from one CRS to another, x (east, longitude) first on both sides.

    Raises:
        DataError: There is none, as between two bodies.
    """
    pyproj = optional("pyproj")
    try:
        return pyproj.Transformer.from_crs(source, target, always_xy=True)
    except pyproj.exceptions.ProjError as e:
        a, b = (pyproj.CRS.from_user_input(c).name for c in (source, target))
        why = " ".join(str(e).split())[:160]
        raise DataError(f"there is no way from the CRS {a} to {b} ({why}); pass both in CRSs of the same body.") from e


@lru_cache(maxsize=32)
def _globe(wkt: str | None) -> tuple[str, float, Any]:
    """Longitude and latitude of a CRS without a change of datum (WKT), degrees in its unit, and its ellipsoid."""
    crs = optional("pyproj").CRS.from_user_input(wkt)
    own = crs.geodetic_crs
    return own.to_wkt(), math.degrees(own.axis_info[0].unit_conversion_factor), crs.get_geod()


def _within_180(lonlat: np.ndarray) -> np.ndarray:
    """Degrees of scenes in geographic CRSs may go on behind 180."""
    out = np.isfinite(lonlat[:, 0]) & (np.abs(lonlat[:, 0]) > 180)
    lonlat[out, 0] = (lonlat[out, 0] + 180) % 360 - 180
    return lonlat
