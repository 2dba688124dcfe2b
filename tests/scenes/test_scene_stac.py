"""STAC items beside layers: valid by the schemas of pystac and stac-model, the same each time, in the right place."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import blobs
import numpy as np
import pytest

from rsdet.errors import MissingDependencyError

rasterio = pytest.importorskip("rasterio", reason="scenes are read with rasterio (extra geo)")
shapely = pytest.importorskip("shapely", reason="footprints are shapes (extra geo)")
pytest.importorskip("pyogrio", reason="layers are written with pyogrio (extra geo)")

SIZE = (200, 260)


def written(folder: Path, **profile: Any) -> dict[str, Any]:
    """The item of a scene."""
    pytest.importorskip("stac_model.schema", reason="items are written with stac-model (extra stac)")
    scene, rng = folder / "town.tif", np.random.default_rng(0)
    if not scene.exists():
        blobs.write_scene(scene, blobs.picture_of(SIZE, blobs.boxes_apart(SIZE, 30, rng), rng), **profile)
    run = blobs.run(scene, folder / "runs", stac=True, quicklook=True, layers=None)
    return json.loads((run.save_dir / "town.stac.json").read_text())


def check(item: dict[str, Any]) -> None:
    """By the core schema, and by the classes of stac-model both ways."""
    import pystac
    from pystac.validation.stac_validator import JsonSchemaSTACValidator
    from stac_model.schema import MLModelExtension, MLModelProperties

    JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, pystac.get_stac_version())
    read = pystac.Item.from_dict(item)
    assert MLModelExtension.has_extension(read)
    said = {k: v for k, v in item["properties"].items() if k.startswith("mlm:")}
    again = json.loads(MLModelProperties(**said).model_dump_json(by_alias=True))
    assert {k: v for k, v in again.items() if v is not None} == said
    models = [a for a in item["assets"].values() if "mlm:model" in a["roles"]]
    assert len(models) == 1
    bands = {band["name"] for band in models[0]["bands"]}
    assert {name for one in said["mlm:input"] for name in one["bands"]} <= bands


def test_the_item_says_where_what_and_by_which_model(tmp_path: Path) -> None:
    item = written(tmp_path)
    check(item)
    assert item["id"] == "town"
    assert item["properties"]["proj:code"] == "EPSG:32635"
    assert item["properties"]["proj:transform"][:6] == [0.5, 0.0, 500_000.0, 0.0, -0.5, 5_960_000.0]
    west, south, east, north = item["bbox"]
    assert west == pytest.approx(27.0, abs=1e-4)  # the middle of the zone
    assert 0 < east - west < 0.003
    assert 53 < south < north < 54
    footprint = shapely.from_geojson(json.dumps(item["geometry"]))
    assert footprint.geom_type == "Polygon"
    assert footprint.exterior.is_ccw
    assert item["properties"]["mlm:output"][0]["classification:classes"][1]["name"] == "wide"
    hrefs = {asset["href"] for key, asset in item["assets"].items() if key != "model"}
    assert hrefs == {"./town.gpkg", "./town.qml", "./town.json", "./town-quicklook.png"}
    for href in hrefs:
        assert (tmp_path / "runs" / "predict" / href).exists()


def test_the_item_is_the_same_each_time(tmp_path: Path) -> None:
    first = written(tmp_path)
    assert written(tmp_path) == first
    a, b = ((tmp_path / "runs" / name / "town.stac.json").read_bytes() for name in ("predict", "predict-2"))
    assert a == b


def test_the_time_is_that_of_the_file_or_none(tmp_path: Path) -> None:
    assert written(tmp_path)["properties"]["datetime"] is None
    with rasterio.open(tmp_path / "town.tif", "r+") as file:
        file.update_tags(TIFFTAG_DATETIME="2021:07:03 09:12:44")
    item = written(tmp_path)
    check(item)
    assert item["properties"]["datetime"] == "2021-07-03T09:12:44Z"
    assert "start_datetime" not in item["properties"]


def test_a_scene_without_a_place_has_none_in_its_item(tmp_path: Path) -> None:
    item = written(tmp_path, crs=None, transform=rasterio.Affine.identity())
    check(item)
    assert item["geometry"] is None
    assert "bbox" not in item
    assert item["properties"]["proj:shape"] == list(SIZE)


def test_a_scene_over_the_antimeridian_is_cut_there(tmp_path: Path) -> None:
    item = written(tmp_path, crs="EPSG:4326", transform=rasterio.Affine(0.01, 0, 179.0, 0, -0.01, 10.0))
    check(item)
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"] == pytest.approx([179.0, 8.0, -178.4, 10.0])


def test_without_stac_model_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stac_model.schema", None)
    scene = blobs.write_scene(tmp_path / "a.tif", np.full((64, 64, 3), 9, np.uint8))
    with pytest.raises(MissingDependencyError, match="stac-model"):
        blobs.run(scene, tmp_path / "runs", stac=True)
    assert not (tmp_path / "runs").exists()
