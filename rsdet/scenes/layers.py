"""What was found in a scene, as layers: of a map (GeoPackage, GeoJSON, GeoParquet), in pixels (COCO JSON, CSV)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rsdet.errors import ConfigError
from rsdet.names import printable
from rsdet.scenes import maps, records
from rsdet.scenes.crs import LONLAT, transformer
from rsdet.scenes.found import Found
from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional
from rsdet.scenes.placement import placement_problem
from rsdet.scenes.style import qml
from rsdet.scenes.table import Table
from rsdet.writing import put, workplace, write_text

if TYPE_CHECKING:
    from rsdet.scenes.raster import SceneInfo

_ON_MAP = ("gpkg", "geojson", "parquet")
_WRITERS = {
    "gpkg": (".gpkg", maps.write_gpkg),
    "geojson": (".geojson", maps.write_geojson),
    "parquet": (".parquet", maps.write_parquet),
    "coco": ("-coco.json", records.write_coco),
    "csv": (".csv", records.write_table),
}


def usual_layers(georef: Georef) -> tuple[str, ...]:
    """What is written where nobody says: a GeoPackage where the scene lies on a map, else COCO JSON and CSV."""
    return ("gpkg",) if georef.placed else ("coco", "csv")


def check_layers(layers: Sequence[str], georef: Georef, info: SceneInfo) -> None:
    """Refuse layers that cannot be made of a scene, before hours are spent on it.

    Raises:
        ConfigError: One that there is not, or one of a map, of a scene without a place.
        DataError: GeoJSON of another body than the Earth.
        MissingDependencyError: A package that writes one of them is not installed.
    """
    if isinstance(layers, str) or (unknown := [layer for layer in layers if layer not in _WRITERS]):
        said = layers if isinstance(layers, str) else ",".join(map(str, unknown))
        raise ConfigError(f"layers={said!r} must be a list of {', '.join(_WRITERS)}.")
    on_map = [layer for layer in layers if layer in _ON_MAP]
    if on_map and not georef.placed:
        raise ConfigError(f"layers={','.join(on_map)} cannot be made: {placement_problem(info)} Use layers=coco,csv.")
    for package in ("shapely", "pyproj", "pyogrio") if on_map else ("shapely",):
        optional(package)
    for package in ("pyarrow", "geopandas") if "parquet" in layers else ():
        optional(package, "parquet")
    if "geojson" in layers:
        transformer(georef.crs_wkt, LONLAT)


def write_layers(
    folder: Path,
    stem: str,
    found: Found,
    names: Mapping[int, str],
    georef: Georef,
    info: SceneInfo,
    layers: Sequence[str],
) -> list[Path]:
    """Write what was found in a scene; no layer has its name before all are complete.

    Args:
        folder: Where they shall lie.
        stem: Their name before the suffix.
        found: The objects, merged; they are numbered from 1 (``fid``) in this order.
        names: Class number -> name, of all classes of the model.
        georef: The place of the scene.
        info: The scene.
        layers: Of ``gpkg``, ``geojson``, ``parquet``, ``coco`` and ``csv``; beside those of a map lies a style that
            QGIS loads with them.

    Returns:
        The files.

    Raises:
        ConfigError: See :func:`check_layers`.
        WriteError: A full disk, a folder that cannot be written.
    """
    check_layers(layers, georef, info)
    names = {i: printable(str(name)) for i, name in names.items()}
    table = Table(found, names, georef, info)
    with workplace(folder, "layers") as place:
        made = []
        for layer in dict.fromkeys(layers):
            suffix, write = _WRITERS[layer]
            made.append(place / f"{stem}{suffix}")
            write(made[-1], table)
        if set(_ON_MAP) & set(layers):
            made.append(write_text(place / f"{stem}.qml", qml(names)))
        return [put(path, folder / path.name) for path in made]
