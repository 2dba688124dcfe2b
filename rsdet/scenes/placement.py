"""What keeps a scene off the map: no CRS, one that is none of maps, points or a camera model alone."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING

import numpy as np

from rsdet.errors import DataError
from rsdet.scenes.crs import NoMap, crs_of
from rsdet.scenes.optional import optional

if TYPE_CHECKING:
    from rsdet.scenes.raster import SceneInfo


def placement_problem(info: SceneInfo) -> str:
    """Why nothing found in a scene can be put onto a map, and what helps; empty where it can."""
    return problem_of(info)[0]


def problem_of(info: SceneInfo) -> tuple[str, bool]:
    """The same, and whether the file has a place after all, which another program must make readable first."""
    if info.transform is None and (info.gcps or info.rpcs):
        return _gdalwarp(info), True
    if info.crs_wkt is None or info.transform is None:
        lacks = "CRS" if info.crs_wkt is None else "geotransform"
        return f"{info.path} has no {lacks} (rio edit-info adds it): {_PIXELS}", False
    a, b, _, d, e, _ = info.transform
    if not all(map(math.isfinite, info.transform)) or a * e == b * d:
        return f"{info.path} has a geotransform without area, {info.transform}; mend it with rio edit-info.", True
    try:
        crs_of(info.crs_wkt, info.path)
    except NoMap as e:
        return f"{e} Until then: {_PIXELS}", False
    except DataError as e:
        return str(e), True
    return "", False


_PIXELS = "what is found is written in pixels only, not onto a map."


def _gdalwarp(info: SceneInfo) -> str:
    """The refusal of a scene that points or a camera model alone place, with the command that helps."""
    with optional("rasterio").open(info.path) as file:
        points, crs = file.gcps
        camera = file.rpcs if info.rpcs else None
    onto = ""
    if camera is not None:
        onto = f"-t_srs EPSG:{_usual_epsg(camera.long_off, camera.lat_off)} "
    elif points and crs is not None and crs.is_geographic:  # a projected one is kept
        onto = f"-t_srs EPSG:{_usual_epsg(*np.mean([(p.x, p.y) for p in points], axis=0))} "
    how, of = ("-rpc", "RPCs") if info.rpcs else ("-tps", "ground control points")
    terrain = ", with -to RPC_DEM=dem.tif where the ground is no plain" if info.rpcs else ""
    new = shlex.quote(f"{info.path.stem}-map.tif")
    return (
        f"{info.path} is placed by {of} alone, not by a geotransform; rectify it with: gdalwarp {how} {onto}"
        f"-r bilinear {shlex.quote(str(info.path))} {new} (and pass the result as source={terrain})"
    )


def _usual_epsg(lon: float, lat: float) -> int:
    """The UTM zone of a place, near the poles the polar stereographic CRS."""
    if abs(lat) > 84:
        return 3995 if lat > 0 else 3031
    return (32600 if lat >= 0 else 32700) + int((lon + 180) % 360 // 6) + 1
