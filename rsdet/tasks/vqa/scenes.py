"""Rasters that have a place on Earth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rsdet.errors import RSDetError
from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional
from rsdet.scenes.reader import open_raster
from rsdet.scenes.shapes import shapes_lonlat

_RASTERS = (".tif", ".tiff", ".jp2")


def footprint(path: str | Path) -> dict[str, Any] | None:
    """Where a picture lies, in longitude and latitude, as a geometry of GeoJSON.

    None where it has no place on Earth, or the packages that read it are not installed.
    """
    if Path(path).suffix.lower() not in _RASTERS or not Path(path).is_file():
        return None
    try:
        with open_raster(Path(path)) as raster:
            georef = Georef.of(raster.info)
        if not georef.placed:
            return None
        shapely = optional("shapely")
        height, width = georef.size_hw
        (shape,) = shapes_lonlat(shapely.box([0], [0], [width], [height]), georef)
    except RSDetError:
        return None
    if shape is None:
        return None
    made: dict[str, Any] = json.loads(shapely.to_geojson(shapely.reverse(shapely.normalize(shape))))
    return made
