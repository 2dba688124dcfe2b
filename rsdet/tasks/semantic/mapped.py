"""Maps of classes that were made before: their files, polygons and grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.geotiff import BLOCK_PX
from rsdet.errors import DataError
from rsdet.metrics.confusion import IGNORE
from rsdet.scenes.class_rasters import CLASSES, CONFIDENCE
from rsdet.scenes.features import in_pixels, read_features
from rsdet.scenes.georef import Georef
from rsdet.scenes.opening import open_dataset
from rsdet.scenes.optional import optional
from rsdet.scenes.placement import placement_problem
from rsdet.scenes.reader import open_raster
from rsdet.scenes.warped import names_of
from rsdet.tasks.semantic.polygons import BACKGROUND, POLYGONS, PolygonSettings, drawn_classes, raster_polygons

_RASTERS = (".tif", ".tiff")
_VECTORS = (".gpkg", ".geojson", ".json", ".shp")
_AREAL = (3, 6)  # Polygon and MultiPolygon among the types of shapely


@dataclass(frozen=True)
class Mapped:
    """A map of classes in files.

    Attributes:
        classes: GeoTIFF of class numbers; None of polygons alone.
        polygons: File of its polygons; None where they are still to be made.
    """

    classes: Path | None
    polygons: Path | None

    @property
    def stem(self) -> str:
        """Name of what is made of it."""
        return (self.classes or self.polygons).stem

    @property
    def key(self) -> str:
        """How messages call it."""
        return f"source={self.classes or self.polygons}"

    def grid(self) -> Georef:
        """Place and size of the map.

        Raises:
            DataError: It has no place.
        """
        with open_raster(self.classes) as raster:
            info = raster.info
            if problem := placement_problem(info):
                why = problem.partition(": what is found")[0].rstrip(".")
                raise DataError(f"source={why}; rules need to know where on Earth a map lies.")
        with open_dataset(info.path) as f:
            if f.count != 1 or f.dtypes[0] != "uint8":
                raise DataError(
                    f"source={info.path} has {f.count} bands of {f.dtypes[0]}; expected class numbers, one band of "
                    "uint8, as predict writes them into classes/."
                )
        return Georef.of(info)

    def names(self) -> dict[int, str]:
        """Class number to name; numbers where the file names none. Of 0 and 1 alone, 0 is background."""
        with open_dataset(self.classes) as f:
            if known := names_of(f):
                return known
            there = np.zeros(256, np.int64)
            for top in range(0, f.height, BLOCK_PX):
                window = (top, min(top + BLOCK_PX, f.height)), (0, f.width)
                there += np.bincount(f.read(1, window=window).ravel(), minlength=256)
            present = set(np.flatnonzero(there).tolist()) - {IGNORE, f.nodata}
        names = {k: str(k) for k in sorted(present)}
        return names | {0: BACKGROUND, 1: "1"} if present <= {0, 1} else names

    def drawn(self) -> list[int]:
        """Classes that have polygons."""
        with open_dataset(self.classes) as f:
            return [k for k in drawn_classes(self.names()) if k != f.nodata]

    def outlined(self, grid: Georef | None) -> tuple[np.ndarray, dict[str, np.ndarray], Any]:
        """Its polygons.

        Args:
            grid: That of the map; None for coordinates as they stand in the file.

        Returns:
            (N,) shapely polygons, in pixels of the grid where there is one; columns by name; and the CRS of the file.

        Raises:
            DataError: The file cannot be read, or holds something else.
        """
        shapely = optional("shapely")
        if self.polygons is None:
            percent = self.classes.parents[1] / CONFIDENCE / self.classes.name
            beside = percent if self.classes.parent.name == CLASSES and percent.is_file() else None
            table, _ = raster_polygons(self.classes, beside, self.names(), grid, PolygonSettings())
            return table.shapes(slice(0, len(table))), dict(table.columns), None
        shapes, crs, columns, _ = read_features(self.polygons, "source", None)
        kinds = shapely.get_type_id(shapes)
        if not np.isin(kinds, _AREAL).all() or shapely.is_empty(shapes).any():
            raise DataError(f"source={self.polygons} must hold polygons and nothing else; take the others out.")
        columns = {k: _plain(v) for k, v in columns.items() if k.lower() not in ("fid", "geom")}
        if grid is not None:
            shapes = in_pixels(shapes, crs, grid)
            if lost := int(shapely.is_empty(shapes).sum()):
                raise DataError(
                    f"source={self.polygons}: {lost} polygons lie where the CRS of the map shows no ground; give the "
                    "file its own CRS (ogr2ogr -a_srs), or take them out."
                )
        return shapely.make_valid(shapes, method="structure", keep_collapsed=False), columns, crs


def mapped_in(source: Path) -> list[Mapped]:
    """The maps that a source stands for.

    Args:
        source: Folder of a prediction, GeoTIFF of class numbers, or a file of polygons.

    Raises:
        DataError: It is none of these.
    """
    source = source.absolute()  # what lies beside it is found by its parents
    if source.is_dir():
        files = sorted(p for p in (source / CLASSES).glob("*") if p.suffix.lower() in _RASTERS)
        if not files:
            raise DataError(
                f"source={source} holds no {CLASSES}/*.tif, the maps of rasters; predict with a source that lies on "
                "Earth, or pass a GeoTIFF or polygons."
            )
        return [_beside(p) for p in files]
    if source.suffix.lower() in _RASTERS:
        return [_beside(source)]
    if source.suffix.lower() not in _VECTORS:
        raise DataError(f"source={source} must be a folder, a GeoTIFF (.tif) or polygons ({', '.join(_VECTORS)}).")
    raster = source.parents[1] / CLASSES / f"{source.stem}.tif" if source.parent.name == POLYGONS else None
    return [Mapped(raster if raster is not None and raster.is_file() else None, source)]


def _beside(classes: Path) -> Mapped:
    polygons = classes.parent.parent / POLYGONS / f"{classes.stem}.gpkg"
    return Mapped(classes, polygons if classes.parent.name == CLASSES and polygons.is_file() else None)


def _plain(values: np.ndarray) -> np.ndarray:
    """A column as every format takes it."""
    return values if values.dtype.kind in "biufO" else values.astype(str).astype(object)
