"""Coordinate reference systems, as files state them, and the ways between them."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from rsdet.errors import DataError
from rsdet.scenes.optional import optional

LONLAT = "OGC:CRS84"  # WGS 84 in the order of GeoJSON


class NoMap(DataError):
    """A CRS without a place on Earth: of a building site, of heights alone."""


def crs_of(wkt: str, where: str | Path) -> Any:
    """A CRS as pyproj has it.

    Args:
        wkt: WKT, or whatever else pyproj takes.
        where: The file it stands in, for the message.

    Raises:
        DataError: pyproj cannot read it.
        NoMap: It is neither projected nor geographic.
    """
    pyproj = optional("pyproj")
    remedy = "for example with rio edit-info --crs EPSG:32632 (ogr2ogr -a_srs for polygons)"
    try:
        crs = pyproj.CRS.from_user_input(wkt)
    except pyproj.exceptions.CRSError as e:
        raise DataError(f"the CRS of {where} cannot be read ({_short(e)}); give it one by its number, {remedy}.") from e
    if not (crs.is_projected or crs.is_geographic):
        raise NoMap(
            f"the CRS of {where} is a {crs.type_name} ({crs.name}), which says nothing of where on Earth that is; "
            f"give it a projected or geographic one, {remedy}."
        )
    return crs


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
        raise DataError(f"there is no way from the CRS {a} to {b} ({_short(e)}); use CRSs of the same body.") from e


@lru_cache(maxsize=32)
def globe(wkt: str) -> tuple[str, float, Any]:
    """Longitude and latitude of a CRS without a change of datum (WKT), degrees in its unit, and its ellipsoid."""
    crs = optional("pyproj").CRS.from_user_input(wkt)
    own = crs.geodetic_crs
    return own.to_wkt(), math.degrees(own.axis_info[0].unit_conversion_factor), crs.get_geod()


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
