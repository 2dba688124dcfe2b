"""Layers that lie on a map: GeoPackage and GeoParquet in the CRS of the scene, GeoJSON in longitude and latitude."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional
from rsdet.scenes.shapes import shapes_lonlat, shapes_map
from rsdet.writing import not_written

_NAME = "objects"  # of the table in a GeoPackage
_TIME = "1970-01-01T00:00:00.000Z"  # of its last change: the same objects give the same bytes on each run
_NO_PATH = set("!?;\t\r\n")  # pyogrio takes a name for an address, and these for parts of it


class Table(Protocol):
    """N rows of equal columns, each with a shape; :class:`rsdet.scenes.table.Table` is of found objects."""

    georef: Georef

    @property
    def geometry_type(self) -> str:
        """``Polygon`` or ``MultiPolygon``."""

    @property
    def fid(self) -> np.ndarray:
        """(N,) numbers from 1."""

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        """Name to (N,) values."""

    def parts(self) -> Iterator[slice]:
        """All rows in parts."""

    def shapes(self, part: slice) -> np.ndarray:
        """Shapely geometries of a part, in pixels."""


def write_gpkg(path: Path, table: Table) -> None:
    """A GeoPackage of one table with a spatial index."""
    pyogrio, shapely = optional("pyogrio"), optional("shapely")
    shapes = _joined([shapely.to_wkb(shapes_map(table.shapes(part), table.georef)) for part in table.parts()])
    odd = _NO_PATH & set(str(path))
    with _fixed_time(pyogrio):
        try:
            pyogrio.raw.write(
                made := BytesIO() if odd else path,
                shapes,
                list(table.columns.values()),
                list(table.columns),
                layer=_NAME,
                driver="GPKG",
                geometry_type=table.geometry_type,
                crs=table.georef.crs_wkt,
                layer_options={"FID": "fid"},
            )
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError) as e:
            raise not_written(path, e) from e
    if odd:
        path.write_bytes(made.getvalue())
    _check_index(path, len(shapes))


def write_parquet(path: Path, table: Table) -> None:
    """A GeoParquet."""
    shapes = _joined([shapes_map(table.shapes(part), table.georef) for part in table.parts()])
    columns = {"fid": table.fid, **table.columns}
    frame = optional("geopandas", "parquet").GeoDataFrame(columns, geometry=shapes, crs=table.georef.crs_wkt)
    frame.to_parquet(path, index=False)


def write_geojson(path: Path, table: Table) -> None:
    """GeoJSON as RFC 7946 has it: WGS 84, 7 digits, counterclockwise, cut at the antimeridian.

    GDAL writes the same, and takes three times as long. Shapes without a place stay in pixels.
    """
    shapely = optional("shapely")
    cells = {"id": table.fid, **table.columns}
    row = ", ".join(f"{json.dumps(name)}: %s" for name in table.columns)
    row = f'{{"type": "Feature", "id": %s, "properties": {{{row}}}, "geometry": %s}}'
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for part in table.parts():
            shapes = table.shapes(part)
            if table.georef.placed:
                shapes = shapes_lonlat(shapes, table.georef)
            clockwise = shapely.normalize(shapes)  # outside, says GEOS
            drawn = [text or "null" for text in shapely.to_geojson(shapely.reverse(clockwise))]
            rows = zip(*(_texts(values[part]) for values in cells.values()), drawn, strict=True)
            file.write(("," if part.start else "") + "\n" + ",\n".join(row % r for r in rows))
        file.write("\n]}\n")


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([*parts, np.zeros(0, object)])


def _check_index(path: Path, n: int) -> None:
    """GDAL makes the index on closing, and says nothing where the disk does not take it.

    Raises:
        WriteError: It is not there.
    """
    try:
        with closing(sqlite3.connect(path)) as file:
            whole = file.execute(f"SELECT count(*) FROM rtree_{_NAME}_geom").fetchone() == (n,)
    except sqlite3.Error:
        whole = False
    if not whole:
        raise not_written(path, OSError("its spatial index could not be written, as on a full disk"))


def _texts(values: np.ndarray) -> list[str]:
    """Values of a column as JSON, null for NaN."""
    if values.dtype == object:
        known = {v: json.dumps(v) for v in set(values)}
        return [known[v] for v in values]
    return json.dumps(values.tolist()).replace("NaN", "null")[1:-1].split(", ")


@contextmanager
def _fixed_time(pyogrio: Any) -> Iterator[None]:
    """GDAL's clock stands still."""
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _TIME})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
