"""A STAC item beside the layers of a scene: where and when it was taken, what was made of it, and by which model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from rsdet import tasks
from rsdet.errors import DataError
from rsdet.names import printable
from rsdet.scenes.found import Found
from rsdet.scenes.opening import gdal, open_dataset
from rsdet.scenes.optional import optional
from rsdet.scenes.shapes import shapes_lonlat
from rsdet.scenes.work import SceneWork
from rsdet.stac import ROLE, band_objects, item, model_properties
from rsdet.writing import write_text

_PROJECTION = ("https://stac-extensions.github.io/projection/v2.0.0/schema.json",)
_STRAIGHT_DEG = 1e-6  # bends of the footprint that are left out
_SIDE = 16  # points along each edge of the footprint: straight lines of a projection are none on the globe
_KINDS = {  # ending -> media type, role
    ".gpkg": ("application/geopackage+sqlite3", "data"),
    ".geojson": ("application/geo+json", "data"),
    ".parquet": ("application/vnd.apache.parquet", "data"),
    "-coco.json": ("application/json", "data"),
    ".csv": ("text/csv", "data"),
    ".qml": ("application/xml", "style"),
    "-quicklook.png": ("image/png", "overview"),
    "-contact-sheet.png": ("image/png", "overview"),
    ".json": ("application/json", "metadata"),
}
_ARTIFACTS = {".pt": "torch.save", ".safetensors": "safetensors", ".onnx": "onnx", ".torchscript": "torch.jit.save"}


def write_item(place: Path, folder: Path, stem: str, files: Sequence[Path], work: SceneWork, found: Found) -> Path:
    """Write the item of a scene, ``<stem>.stac.json``; the same bytes for the same scene, model and layers.

    Args:
        place: Folder that it is made in.
        folder: Folder that it shall lie in with the layers.
        stem: Name of the layers before their endings, the ``id``.
        files: What was written of the scene.
        work: The scene and what looked at it.
        found: Its objects, merged.
    """
    assets = {}
    for file in files:
        ending = file.name.removeprefix(stem)
        media_type, role = _KINDS[ending]
        key = "report" if ending == ".json" else ending.lstrip(".-").partition(".")[0]
        assets[key] = {"href": f"./{file.name}", "type": media_type, "roles": [role]}
    geometry, bbox = _footprint(work)
    text = item(
        stem, _model(work), {**assets, "model": _model_asset(work, folder)}, geometry=geometry, bbox=bbox,
        moment=_taken(work.info.path), extensions=_PROJECTION,
        more={"title": printable(work.info.path.name), **_projection(work), "rsdet:objects": len(found)},
    )  # fmt: skip
    return write_text(place / f"{stem}.stac.json", text)


def _bands(work: SceneWork) -> tuple[int, ...]:
    """Bands of the scene as the model is shown them: one of gray in each of its channels."""
    bands = work.values.bands
    return bands * work.values.channels if len(bands) == 1 else bands


def _model(work: SceneWork) -> Any:
    p, s = work.predictor, work.settings
    columns = 10 if p.task == "obb" else 6  # corners or a box, then score and class
    return model_properties(
        Path(p.model).name, tasks.get(p.task).stac_task, p.family or p.task, p.names, _bands(work),
        (-1, work.values.channels, *p.input_hw), ((-1, columns), ("object", "value")),
        limits=work.values.limits or ((0, 255),), resized=any(ratio != 1 for ratio in work.ratios),
        steps=work.values.describe(), framework=p.backend.split()[0], batch_size_suggestion=p.batch,
        hyperparameters={"tile": s.tile, "overlap": s.overlap_px, "merging": s.merging, "merging_iou": s.merging_iou},
    )  # fmt: skip


def _model_asset(work: SceneWork, folder: Path) -> dict[str, Any]:
    file = Path((work.predictor.again or {}).get("model", work.predictor.model))
    href = file.name
    if file.exists():
        with suppress(ValueError):  # of another drive
            href = Path(os.path.relpath(file, folder)).as_posix()
    return {
        "href": href,
        "type": "application/octet-stream",
        "roles": [ROLE],
        "mlm:artifact_type": _ARTIFACTS.get(file.suffix, "other"),
        "bands": band_objects(dict.fromkeys(_bands(work))),
    }


def _taken(path: Path) -> datetime | None:
    """When a TIFF says that it was taken, as UTC; None where it does not say so."""
    with open_dataset(path) as file, gdal(path):
        said = file.tags().get("TIFFTAG_DATETIME", "")
    try:
        return datetime.strptime(said.strip(), "%Y:%m:%d %H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _projection(work: SceneWork) -> dict[str, Any]:
    """Place of the scene by the projection extension; its shape alone where it has none."""
    georef = work.georef
    said: dict[str, Any] = {"proj:shape": list(work.info.size_hw)}
    if georef.placed:
        code = optional("pyproj").CRS(georef.crs_wkt).to_authority()
        said["proj:code"] = ":".join(code) if code else None
        said["proj:transform"] = [*georef.transform, 0.0, 0.0, 1.0]  # type: ignore[misc]
        if not code:
            said["proj:wkt2"] = georef.crs_wkt
    return said


def _footprint(work: SceneWork) -> tuple[Mapping[str, Any] | None, list[float] | None]:
    """GeoJSON and bounding box of the scene in longitude and latitude; None and None without a place on Earth."""
    if not work.georef.placed:
        return None, None
    shapely = optional("shapely")
    height, width = work.info.size_hw
    outline = shapely.segmentize(shapely.box(0, 0, width, height), max(height, width) / _SIDE)
    try:
        (shape,) = shapes_lonlat(np.array([shapely.multipolygons([outline])]), work.georef)
    except DataError:  # of another body
        return None, None
    if shape is None:
        return None, None
    shape = shapely.reverse(shapely.normalize(shapely.simplify(shape, _STRAIGHT_DEG)))  # RFC 7946: counterclockwise
    west, south, east, north = shapely.bounds(shape).tolist()
    parts = shapely.bounds(shapely.get_parts(shape))
    if east - west > 180 and len(parts) > 1:  # RFC 7946: over the antimeridian, west is the larger number
        west, east = parts[parts[:, 0] > 0, 0].min(), parts[parts[:, 2] < 0, 2].max()
    return json.loads(shapely.to_geojson(shape)), [float(west), south, float(east), north]
