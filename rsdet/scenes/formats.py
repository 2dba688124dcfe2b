"""The files that layers are made of, one function a format; the same objects give the same bytes on each run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsdet.scenes.found import Found
from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional
from rsdet.scenes.shapes import shapes_lonlat, shapes_map, shapes_px
from rsdet.scenes.table import columns_of
from rsdet.writing import not_written, write_csv

if TYPE_CHECKING:
    from rsdet.scenes.reader import SceneInfo

_TABLE = "objects"  # of a GeoPackage, and name of a GeoJSON
_TIME = "1970-01-01T00:00:00.000Z"  # of the last change, in the place of the clock's
_ROWS = 50_000  # objects turned into text at once


@dataclass(frozen=True)
class Content:
    """What the layers of a scene are made of; see :func:`rsdet.scenes.layers.write_layers`."""

    found: Found
    names: Mapping[int, str]
    georef: Georef
    info: SceneInfo

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """Name -> (N,) values."""
        return columns_of(self.found, self.names, self.georef)

    @cached_property
    def shapes(self) -> np.ndarray:
        """(N,) shapely geometries in pixels."""
        return shapes_px(self.found)

    @property
    def fid(self) -> np.ndarray:
        """(N,) numbers of the objects, from 1."""
        return np.arange(1, len(self.found) + 1)


def write_gpkg(path: Path, content: Content) -> None:
    """A GeoPackage of one table in the CRS of the scene, with a spatial index."""
    kind = "Polygon" if content.found.outlines is None else "MultiPolygon"
    shapes = shapes_map(content.shapes, content.georef)
    _by_gdal(path, content, shapes, "GPKG", kind, content.georef.crs_wkt, {"FID": "fid"})


def write_geojson(path: Path, content: Content) -> None:
    """GeoJSON as RFC 7946 has it: WGS 84, 7 digits, counterclockwise, cut at the antimeridian."""
    shapes = shapes_lonlat(content.shapes, content.georef)
    options = {"RFC7946": "YES", "COORDINATE_PRECISION": "7", "ID_FIELD": "fid"}
    _by_gdal(path, content, shapes, "GeoJSON", "Unknown", "EPSG:4326", options, fid=content.fid)


def write_parquet(path: Path, content: Content) -> None:
    """GeoParquet in the CRS of the scene."""
    geopandas = optional("geopandas", "parquet")
    shapes = shapes_map(content.shapes, content.georef)
    frame = geopandas.GeoDataFrame({"fid": content.fid, **content.columns}, geometry=shapes, crs=content.georef.crs_wkt)
    frame.to_parquet(path, index=False)


def write_coco(path: Path, content: Content) -> None:
    """A COCO file of one image, in pixels; ``segmentation`` holds corners of turned boxes and polygons of masks.

    Masks are no run lengths, which :mod:`rsdet.tasks.detect.outputs` writes: those of a scene grow with its height.
    """
    height, width = content.info.size_hw
    image = {"id": 1, "file_name": content.info.path.name, "width": width, "height": height}
    categories = [{"id": i + 1, "name": name} for i, name in content.names.items()]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"images": [{json.dumps(image)}],\n"categories": {json.dumps(categories)},\n"annotations": [')
        for start in range(0, len(content.found), _ROWS):
            lines = ",\n".join(map(json.dumps, _annotations(content, slice(start, start + _ROWS))))
            file.write(f"{',' if start else ''}\n{lines}")
        file.write("]}\n")


def write_table(path: Path, content: Content) -> None:
    """The columns as CSV."""
    columns = {"fid": content.fid, **content.columns}
    values = [_cells(v) for v in columns.values()]
    write_csv(path, list(columns), (dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)))


def _annotations(content: Content, part: slice) -> Iterator[dict[str, Any]]:
    """Annotations as :meth:`rsdet.runtime.results.Detections.coco_rows` has them."""
    found = content.found
    corners = found.boxes_xyxy[part].reshape(-1, 2, 2)
    columns = {
        "id": content.fid[part].tolist(),
        "category_id": (found.classes[part] + 1).tolist(),
        "bbox": np.round(np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], 1), 3).tolist(),
        "score": content.columns["score"][part].tolist(),
        "area": np.round(optional("shapely").area(content.shapes[part]), 3).tolist(),
    }
    if found.corners is not None:
        columns["segmentation"] = np.round(found.corners[part], 3).reshape(-1, 1, 8).tolist()
    elif found.outlines is not None:
        columns["segmentation"] = [
            [np.round(ring, 3).ravel().tolist() for ring in outline if len(ring) > 2]
            for outline in found.outlines[part]
        ]
    for row in zip(*columns.values(), strict=True):
        yield {**dict(zip(columns, row, strict=True)), "image_id": 1, "iscrowd": 0}


def _cells(values: np.ndarray) -> list[Any]:
    """Values of a column as CSV takes them: empty where there is none."""
    cells = values.astype(int).tolist() if values.dtype == bool else values.tolist()
    if values.dtype.kind == "f" and np.isnan(values).any():
        return [None if v != v else v for v in cells]
    return cells


def _by_gdal(
    path: Path,
    content: Content,
    shapes: np.ndarray,
    driver: str,
    kind: str,
    crs: str | None,
    options: Mapping[str, str],
    **first: np.ndarray,
) -> None:
    pyogrio, shapely = optional("pyogrio"), optional("shapely")
    columns = {**first, **content.columns}
    with _fixed_time(pyogrio):
        try:
            pyogrio.raw.write(
                path,
                shapely.to_wkb(shapes),
                list(columns.values()),
                list(columns),
                layer=_TABLE,
                driver=driver,
                geometry_type=kind,
                crs=crs,
                layer_options=dict(options),
            )
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError) as e:
            raise not_written(path, e) from e


@contextmanager
def _fixed_time(pyogrio: Any) -> Iterator[None]:
    """GDAL's clock stands still: a GeoPackage says when it was changed last."""
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _TIME})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
