"""Layers read back by other programs: places, columns, bytes that stay the same, and names that are hostile."""

from __future__ import annotations

import csv
import json
import sqlite3
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rsdet.errors import ConfigError, DataError, WriteError
from rsdet.scenes.found import Found
from rsdet.scenes.georef import Georef
from rsdet.scenes.layers import check_layers, write_layers
from rsdet.scenes.result import SceneResult

pyproj = pytest.importorskip("pyproj")
shapely = pytest.importorskip("shapely")
pyogrio = pytest.importorskip("pyogrio")

NAMES = {0: "ship", 1: '=cmd("x")', 2: "<b>&'\"\x1b[31m"}
UTM = (0.8, 0.6, 500_000, 0.6, -0.8, 5_000_000)  # turned by 37 degrees, 1 m pixels
COLUMNS = ["class", "class_id", "score", "tile", "scale", "x1_px", "y1_px", "x2_px", "y2_px"]
BOXES = np.array([[100.0, 200, 130, 210], [0, 0, 5, 5], [50.25, 60, 70, 99]])


def scene(crs="EPSG:32632", transform=UTM, size_hw=(1000, 2000)):
    return SimpleNamespace(
        path=Path("scene.tif"), size_hw=size_hw, transform=transform, gcps=False, rpcs=False,
        crs_wkt=crs and pyproj.CRS.from_user_input(crs).to_wkt(),
    )  # fmt: skip


def found_of(boxes=BOXES, **more):
    n = len(boxes)
    return Found(boxes, np.linspace(0.9, 0.1, n), np.arange(n) % 3, np.arange(n) + 7, np.zeros(n), np.arange(n) == 1,
                 np.zeros(n), **more)  # fmt: skip


def write(folder, layers, found=None, info=None):
    info = info or scene()
    found = found_of() if found is None else found
    return write_layers(folder, "scene", found, NAMES, Georef.of(info), info, layers)


def geojson_of(folder, found=None, info=None):
    write(folder, ["geojson"], found, info)
    return json.loads((folder / "scene.geojson").read_text("utf-8"))["features"]


def test_a_geopackage_holds_turned_boxes_where_they_lie(tmp_path):
    write(tmp_path, ["gpkg"])
    meta, fids, wkb, fields = pyogrio.raw.read(tmp_path / "scene.gpkg", return_fids=True)
    assert fids.tolist() == [1, 2, 3]
    assert meta["crs"] == "EPSG:32632"
    assert meta["geometry_type"] == "Polygon"
    assert meta["fields"].tolist() == [*COLUMNS, "length_m", "width_m", "cut"]
    row = dict(zip(meta["fields"], (values[0] for values in fields), strict=True))
    assert (row["class"], row["tile"], bool(row["cut"])) == ("ship", 7, False)
    assert row["score"] == pytest.approx(0.9)
    assert (row["length_m"], row["width_m"]) == pytest.approx((30 / 0.9996, 10 / 0.9996), abs=0.002)
    corners = shapely.get_coordinates(shapely.from_wkb(wkb[0]))[:4]
    px = np.array([[100, 200], [130, 200], [130, 210], [100, 210]])
    np.testing.assert_allclose(corners, px @ [[0.8, 0.6], [0.6, -0.8]] + [500_000, 5_000_000])


def result_of(info):
    return SceneResult(info, found_of(), NAMES, Georef.of(info), [], tiles=1, looked_at=1, unread={}, cut=(0, 0))


def test_of_a_scene_without_a_place_the_centres_are_in_pixels():
    result = result_of(scene(crs=None, transform=None))
    boxes = result.found.boxes_xyxy
    np.testing.assert_allclose(result.centres_map, (boxes[:, :2] + boxes[:, 2:]) / 2)
    placed = result_of(scene())
    np.testing.assert_allclose(placed.centres_map, placed.georef.to_map((boxes[:, :2] + boxes[:, 2:]) / 2))


def test_a_result_is_written_as_the_layers_that_one_asks_for(tmp_path):
    result = result_of(scene())
    chosen = replace(result, found=result.found.take(result.found.scores > 0.3))
    path = chosen.to_geojson(tmp_path / "new" / "city.v2")
    assert path == tmp_path / "new" / "city.v2.geojson"
    assert [f["properties"]["score"] for f in json.loads(path.read_text("utf-8"))["features"]] == [0.9, 0.5]
    made = result.to_layers(tmp_path, ["gpkg", "csv"])
    assert [p.name for p in made] == ["scene.gpkg", "scene.csv", "scene.qml"]
    for layers, said in (("geojson", "must be a list"), (["geojsn"], "geojsn")):
        with pytest.raises(ConfigError, match=said):
            result.to_layers(tmp_path, layers)
    with pytest.raises(ConfigError, match="layers=coco,csv"):
        result_of(scene(crs=None)).to_geojson(tmp_path / "nowhere.geojson")


def test_a_geopackage_of_nothing_opens_with_its_columns_and_crs(tmp_path):
    fiona = pytest.importorskip("fiona")
    write(tmp_path, ["gpkg", "geojson", "coco", "csv"], Found.none())
    with fiona.open(tmp_path / "scene.gpkg") as file:
        assert len(file) == 0
        assert file.crs.to_epsg() == 32632
        assert list(file.schema["properties"])[:3] == ["class", "class_id", "score"]
    assert json.loads((tmp_path / "scene.geojson").read_text())["features"] == []
    assert json.loads((tmp_path / "scene-coco.json").read_text())["annotations"] == []
    assert (tmp_path / "scene.csv").read_text().startswith("fid,class,class_id,score,tile,scale,x1_px")


def test_a_geopackage_is_a_sound_database_with_an_index(tmp_path):
    write(tmp_path, ["gpkg"])
    with sqlite3.connect(tmp_path / "scene.gpkg") as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("SELECT srs_id, min_x FROM gpkg_contents").fetchone() == (32632, pytest.approx(500_000))
        assert file.execute("SELECT count(*) FROM rtree_objects_geom").fetchone() == (3,)


@pytest.mark.parametrize("task", ["boxes", "turned", "masks"])
def test_the_same_objects_give_the_same_bytes(tmp_path, task):
    pytest.importorskip("geopandas"), pytest.importorskip("pyarrow")
    corners = np.tile(BOXES, 2)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    more = {"turned": {"corners": corners}, "masks": {"outlines": [[c] for c in corners]}}.get(task, {})
    layers = ["gpkg", "geojson", "parquet", "coco", "csv"]
    first = [p.read_bytes() for p in write(tmp_path / "a", layers, found_of(**more))]
    time.sleep(1.1)  # a GeoPackage counts seconds
    again = [p.read_bytes() for p in write(tmp_path / "b" / "deeper", layers, found_of(**more))]
    assert len(first) == 6
    assert first == again


def test_geojson_has_longitudes_first_and_turns_to_the_left(tmp_path):
    for transform in (UTM, (1, 0, 500_000, 0, 1, 5_000_000)):  # the second is south-up
        feature = geojson_of(tmp_path, info=scene(transform=transform))[0]
        corners = np.array(feature["geometry"]["coordinates"][0])
        assert np.abs(corners - [9, 45.15]).max() < 0.1
        assert shapely.is_ccw(shapely.linearrings(corners))
        assert corners.tolist() == np.round(corners, 7).tolist()
        assert feature["id"] == 1
        expected = Georef.of(scene(transform=transform)).to_lonlat([[100, 200], [130, 210]])
        assert {tuple(p) for p in np.round(expected, 7).tolist()} <= {tuple(p) for p in corners.tolist()}


def test_geojson_is_read_by_others_as_it_was_meant(tmp_path):
    geojson_of(tmp_path)
    meta, _, wkb, fields = pyogrio.raw.read(tmp_path / "scene.geojson")
    assert meta["crs"] == "EPSG:4326"
    assert [str(v) for v in fields[0]] == ["ship", '=cmd("x")', "<b>&'\"\\x1b[31m"]
    assert shapely.is_valid(shapely.from_wkb(wkb)).all()


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:3832", (1000, 0, 3_329_000, 0, -1000, -1_800_000)),  # Mercator around 150 E
        ("EPSG:4326", (0.01, 0, 179.9, 0, -0.01, -16)),
    ],
)
def test_geojson_is_cut_at_the_antimeridian(tmp_path, crs, transform):
    info = scene(crs, transform, (100, 100))
    to_map = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x = float(Georef.of(info).to_pixels(to_map.transform(180, -16.1))[0, 0])
    boxes = np.array([[x - 3, 5, x + 1, 9], [x - 9, 5, x - 5, 9], [x, 5, x + 2, 9]])
    shapes = [shapely.from_geojson(json.dumps(f["geometry"])) for f in geojson_of(tmp_path, found_of(boxes), info)]
    assert [shapely.get_num_geometries(s) for s in shapes] == [2, 1, 1]
    assert shapes[2].bounds[0] == -180
    parts = sorted(shapely.get_parts(shapes[0]), key=lambda p: p.bounds[0])
    assert parts[0].bounds[0] == -180
    assert parts[1].bounds[2] == 180
    assert parts[1].area == pytest.approx(3 * parts[0].area, rel=1e-3)
    assert all(shapely.is_ccw(p.exterior) for p in parts)
    assert max(s.bounds[2] - s.bounds[0] for s in [*parts, shapes[1]]) < 1


def test_an_object_that_is_truly_wide_is_not_taken_for_one_across_the_antimeridian(tmp_path):
    info = scene("EPSG:4326", (0.1, 0, -180, 0, -0.1, 90), (1800, 3600))
    (feature,) = geojson_of(tmp_path, found_of(np.array([[100.0, 800, 3500, 900]])), info)
    shape = shapely.from_geojson(json.dumps(feature["geometry"]))
    assert shape.bounds == (-170, 0, 170, 10)
    assert shape.area == pytest.approx(3400)


def test_geojson_of_an_object_around_the_pole_reaches_it(tmp_path):
    info = scene("EPSG:3413", (1000, 0, -100_000, 0, -1000, 100_000), (200, 200))
    (feature,) = geojson_of(tmp_path, found_of(np.array([[90.0, 90, 110, 110]])), info)
    shape = shapely.from_geojson(json.dumps(feature["geometry"]))
    assert shape.bounds == pytest.approx((-180, 89.87, 180, 90), abs=0.01)
    assert shapely.is_valid(shape)


def test_an_object_beside_the_earth_has_no_shape_in_geojson(tmp_path):
    geos = "+proj=geos +h=35785831 +lon_0=-75 +sweep=x +ellps=GRS80 +type=crs"
    info = scene(geos, (4000, 0, -6e6, 0, -4000, 6e6), (3000, 3000))
    beside, on = geojson_of(tmp_path, found_of(np.array([[0.0, 0, 9, 9], [1500, 1500, 1509, 1509]])), info)
    assert beside["geometry"] is None
    assert beside["properties"]["length_m"] is None
    assert on["geometry"]["type"] == "Polygon"


def test_masks_are_valid_multipolygons_whatever_their_rings(tmp_path):
    square = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    bow = np.array([[0.0, 0], [10, 10], [10, 0], [0, 10]])
    thin = [np.array([[3.0, 3]]), np.array([[1.0, 1], [4, 4]])]
    outlines = [[square, square + 5], [square, square + 50], [bow], thin, [np.array([[1.0, 1], [4, 4], [1, 1]])], []]
    boxes = np.tile([[0.0, 0, 20, 10]], (6, 1))
    write(tmp_path, ["gpkg", "coco"], found_of(boxes, outlines=outlines), scene(transform=(1, 0, 0, 0, -1, 0)))
    meta, _, wkb, _ = pyogrio.raw.read(tmp_path / "scene.gpkg")
    shapes = shapely.from_wkb(wkb)
    assert meta["geometry_type"] == "MultiPolygon"
    assert {s.geom_type for s in shapes} == {"MultiPolygon"}
    assert shapely.is_valid(shapes).all()
    assert shapely.area(shapes).tolist() == pytest.approx([175, 200, 50, 200, 200, 200])  # too thin: the box
    annotations = json.loads((tmp_path / "scene-coco.json").read_text())["annotations"]
    assert annotations[0]["segmentation"][0] == square.ravel().tolist()


def test_turned_boxes_keep_corners_and_angle(tmp_path):
    from rsdet.geometry import xywhr_to_corners

    corners = xywhr_to_corners(np.array([[500, 500, 40, 10, 0.5], [300, 300, 10, 40, 0.5], [9, 9, 6, 2, np.pi]]))
    info = scene(transform=(1, 0, 0, 0, -1, 0))
    write(tmp_path, ["gpkg", "csv", "coco"], found_of(corners=corners), info)
    _, _, wkb, _ = pyogrio.raw.read(tmp_path / "scene.gpkg")
    np.testing.assert_allclose(shapely.get_coordinates(shapely.from_wkb(wkb[0]))[:4], corners[0] * [1, -1])
    with open(tmp_path / "scene.csv", encoding="utf-8", newline="") as file:
        angles = [float(row["angle_deg"]) for row in csv.DictReader(file)]
    assert angles == pytest.approx([np.degrees(0.5), np.degrees(0.5) + 90, 0], abs=1e-3)
    annotation = json.loads((tmp_path / "scene-coco.json").read_text())["annotations"][0]
    assert annotation["area"] == pytest.approx(400)
    assert annotation["segmentation"] == [pytest.approx(corners[0].ravel().tolist(), abs=1e-3)]


def test_geoparquet_is_read_with_its_crs(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    pytest.importorskip("pyarrow")
    write(tmp_path, ["parquet"])
    frame = geopandas.read_parquet(tmp_path / "scene.parquet")
    assert frame.crs.to_epsg() == 32632
    assert list(frame.columns) == ["fid", *COLUMNS, "length_m", "width_m", "cut", "geometry"]
    assert frame.area.tolist() == pytest.approx([300, 25, 19.75 * 39])


def test_coco_and_csv_need_no_place_and_agree_with_pictures(tmp_path):
    from rsdet.runtime.results import Detections

    info = scene(crs=None, transform=None)
    write(tmp_path, ["coco", "csv"], info=info)
    found = found_of()
    rows = Detections(found.boxes_xyxy, found.scores, found.classes, NAMES, (1000, 2000), (1000, 2000)).coco_rows(1)
    coco = json.loads((tmp_path / "scene-coco.json").read_text())
    assert [{k: a[k] for k in rows[0]} for a in coco["annotations"]] == rows
    assert coco["images"] == [{"id": 1, "file_name": "scene.tif", "width": 2000, "height": 1000}]
    assert [c["id"] for c in coco["categories"]] == [1, 2, 3]
    with open(tmp_path / "scene.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["fid", *COLUMNS, "cut"]
    assert table[1]["class"] == '\'=cmd("x")'  # no formula for a spreadsheet
    assert not (tmp_path / "scene.qml").exists()


def test_the_style_names_each_class_whatever_it_is_called(tmp_path):
    write(tmp_path, ["gpkg"])
    style = ET.parse(tmp_path / "scene.qml")
    categories = style.findall(".//category")
    assert [c.get("value") for c in categories] == ["ship", '=cmd("x")', "<b>&'\"\\x1b[31m"]
    symbols = {s.get("name"): s.find(".//Option[@name='outline_color']").get("value") for s in style.iter("symbol")}
    assert len({symbols[c.get("symbol")] for c in categories}) == 3


def test_layers_of_a_map_are_refused_before_the_work_where_there_is_none():
    info = scene(crs=None)
    with pytest.raises(ConfigError, match=r"no CRS.*layers=coco,csv"):
        check_layers(["gpkg", "coco"], Georef.of(info), info)
    mars = scene("ESRI:104905", (0.1, 0, 0, 0, -0.1, 10))
    check_layers(["gpkg"], Georef.of(mars), mars)
    with pytest.raises(DataError, match="same body"):
        check_layers(["gpkg", "geojson"], Georef.of(mars), mars)


def test_no_layer_has_its_name_before_all_are_complete(tmp_path, monkeypatch):
    from rsdet.scenes import layers

    def full(path, table):
        assert not list(tmp_path.glob("scene*"))
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(layers._WRITERS, "csv", (".csv", full))
    with pytest.raises(WriteError, match="no space is left"):
        write(tmp_path, ["gpkg", "geojson", "csv"])
    assert list(tmp_path.iterdir()) == []


def test_a_geopackage_that_gdal_left_without_its_index_is_no_result(tmp_path, monkeypatch):
    """GDAL says nothing where a disk gets full while it closes the file."""
    write_all = pyogrio.raw.write

    def unfinished(*args, layer_options, **more):
        write_all(*args, layer_options={**layer_options, "SPATIAL_INDEX": "NO"}, **more)

    monkeypatch.setattr(pyogrio.raw, "write", unfinished)
    with pytest.raises(WriteError, match="spatial index"):
        write(tmp_path, ["gpkg"])
    assert list(tmp_path.iterdir()) == []


def test_layers_made_in_parts_are_those_made_at_once(tmp_path, monkeypatch):
    from rsdet.scenes import table

    layers = ["gpkg", "geojson", "coco", "csv"]
    whole = [p.read_bytes() for p in write(tmp_path, layers)]
    monkeypatch.setattr(table, "_ROWS", 2)
    assert [p.read_bytes() for p in write(tmp_path, layers)] == whole


def test_a_new_run_replaces_what_an_old_one_wrote(tmp_path):
    write(tmp_path, ["gpkg"])
    write(tmp_path, ["gpkg"], found_of(BOXES[:1]))
    assert pyogrio.read_info(tmp_path / "scene.gpkg")["features"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scene.gpkg", "scene.qml"]
