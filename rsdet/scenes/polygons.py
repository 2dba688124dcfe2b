"""Polygons with columns of any kind as layers: GeoPackage and GeoJSON on the map, GeoJSON in pixels without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsdet.errors import DataError
from rsdet.names import printable
from rsdet.scenes.crs import LONLAT, transformer
from rsdet.scenes.georef import Georef
from rsdet.scenes.maps import write_geojson, write_gpkg
from rsdet.scenes.optional import optional
from rsdet.scenes.style import qml
from rsdet.writing import put, workplace, write_text

_ROWS = 50_000


@dataclass(frozen=True)
class PolygonTable:
    """N polygons, in the form that :mod:`rsdet.scenes.maps` writes.

    Attributes:
        wkb: (N,) object, polygons in pixels as bytes: shapes take several times as much.
        columns: Name of the column to (N,) values.
        georef: Where the pixels lie.
        geometry_type: ``Polygon``, or ``MultiPolygon`` where one of them may be.
    """

    wkb: np.ndarray
    columns: Mapping[str, np.ndarray]
    georef: Georef
    geometry_type: str = "Polygon"

    def __len__(self) -> int:
        return len(self.wkb)

    @property
    def fid(self) -> np.ndarray:
        """(N,) numbers of the polygons, from 1."""
        return np.arange(1, len(self) + 1)

    def parts(self) -> Iterator[slice]:
        """All polygons in parts."""
        for start in range(0, len(self), _ROWS):
            yield slice(start, min(start + _ROWS, len(self)))

    def shapes(self, part: slice) -> np.ndarray:
        """Shapely geometries of a part, in pixels."""
        shapes: np.ndarray = optional("shapely").from_wkb(self.wkb[part])
        return shapes


def check_packages() -> None:
    """Refuse before hours are spent.

    Raises:
        MissingDependencyError: A package that writes polygons is not installed.
    """
    for package in ("shapely", "pyproj", "pyogrio"):
        optional(package)


def write_polygons(
    folder: Path, stem: str, table: PolygonTable, names: Mapping[int, str], column: str = "class", empty: str = ""
) -> list[Path]:
    """Write polygons; no layer has its name before all are complete.

    Args:
        folder: Where they shall lie.
        stem: Their name before the suffix.
        table: The polygons.
        names: Class number to name, as it stands in the column that they are coloured by.
        column: That column.
        empty: What the legend calls those without an entry there.

    Returns:
        The GeoPackage, the GeoJSON where they lie on the Earth, and the style that QGIS loads with them; without a
        place the GeoJSON alone, in pixels.

    Raises:
        WriteError: A full disk, a folder that cannot be written.
    """
    writers = {".gpkg": write_gpkg, ".geojson": write_geojson}
    if not table.georef.placed:
        del writers[".gpkg"]
    elif not _on_earth(table.georef):
        del writers[".geojson"]
    with workplace(folder, "polygons") as place:
        made = []
        for suffix, write in writers.items():
            made.append(place / f"{stem}{suffix}")
            write(made[-1], table)
        if table.georef.placed:
            shown = {k: printable(name) for k, name in names.items()}
            made.append(write_text(place / f"{stem}.qml", qml(shown, column, empty)))
        return [put(path, folder / path.name) for path in made]


def _on_earth(georef: Georef) -> bool:
    try:
        transformer(georef.crs_wkt, LONLAT)  # type: ignore[arg-type]
    except DataError:
        return False
    return True
