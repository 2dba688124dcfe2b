"""Shapes of a file of a geographic information system: what is opened, and how it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import DataError
from rsdet.names import printable
from rsdet.scenes.crs import crs_of, transformer
from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional

# GDAL opens whatever a file holds, whatever its name, and some formats point to other files and to the network.
_BEGINS = {".geojson": b"{", ".json": b"{", ".gpkg": b"SQLite format 3\0", ".shp": b"\x00\x00\x27\x0a"}


def read_features(
    path: Path, key: str, columns: Sequence[str] | None = ()
) -> tuple[np.ndarray, Any, dict[str, np.ndarray], np.ndarray]:
    """All shapes of a file with one layer.

    Args:
        path: GeoJSON, GeoPackage or Shapefile.
        key: The argument that names it, for messages.
        columns: Columns to read; None for all.

    Returns:
        (N,) shapely geometries in two dimensions, None where there is none; the CRS as pyproj has it; columns by name,
        (N,) each; and (N,) the numbers by which the file knows its features.

    Raises:
        DataError: It cannot be read, has several layers or no CRS.
        MissingDependencyError: pyogrio, shapely or pyproj is not installed.
    """
    pyogrio, shapely = optional("pyogrio"), optional("shapely")
    begin = _BEGINS.get(path.suffix.lower())
    if begin is None:
        raise DataError(f"{key}={path} must be a file of polygons: .geojson, .gpkg or .shp; convert it with ogr2ogr.")
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if not head.lstrip(b"\xef\xbb\xbf \t\r\n" if begin == b"{" else b"").startswith(begin):
            raise DataError(f"{key}={path} does not begin as {path.suffix} files do; export it again.")
        layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
        if len(layers) != 1:
            raise DataError(
                f"{key}={path} has {len(layers)} layers with shapes ({printable(', '.join(map(str, layers[:5])))}); "
                "expected one: ogr2ogr area.gpkg FILE LAYER takes it out."
            )
        meta, fids, wkb, fields = pyogrio.raw.read(
            path, layer=layers[0], columns=None if columns is None else list(columns), force_2d=True, return_fids=True
        )
    except OSError as e:
        raise DataError(f"{key}={path} cannot be read ({e.strerror or e}); check the path.") from e
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as e:
        raise DataError(f"{key}={path} cannot be read ({' '.join(str(e).split())[:200]}); export it again.") from e
    if meta["crs"] is None:
        how = f"ogr2ogr -a_srs EPSG:4326 area.gpkg {path} (with its number)"
        raise DataError(f"{key}={path} says no CRS; add it: {how}.")
    shapes = shapely.from_wkb(wkb, on_invalid="ignore")
    return shapes, crs_of(meta["crs"], path), dict(zip(map(str, meta["fields"]), fields, strict=True)), fids


def in_pixels(shapes: np.ndarray, crs: Any, georef: Georef) -> np.ndarray:
    """Shapes in pixels of a scene.

    Args:
        shapes: (N,) shapely geometries.
        crs: That they are in, of pyproj.
        georef: The place of the scene.

    Returns:
        (N,) geometries; an empty one where the projection of the scene shows no ground, as it may far away.
    """
    shapely = optional("shapely")
    way = None if crs.equals(georef.crs_wkt) else transformer(crs.to_wkt(), str(georef.crs_wkt))

    def pixels(xy: np.ndarray) -> np.ndarray:
        return georef.to_pixels(xy if way is None else np.stack(way.transform(*xy.T), 1))

    xy, number = shapely.get_coordinates(shapes, return_index=True)
    lost = np.unique(number[~np.isfinite(pixels(xy)).all(1)])
    shown: np.ndarray = shapely.transform(np.delete(shapes, lost), pixels)
    return np.insert(shown, lost - np.arange(len(lost)), shapely.Polygon())
