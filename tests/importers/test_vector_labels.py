"""Rasters and polygons of a GIS as a data set: any CRS, boxes, oriented boxes and outlines, nothing lost in silence."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import yaml

from rsdet import cli
from rsdet.data.convert import convert
from rsdet.data.importers import read_dataset
from rsdet.errors import ConfigError, DataError
from rsdet.geometry import corners_to_xywhr, polygon_iou

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")
pyproj = pytest.importorskip("pyproj")

UTM = "EPSG:32633"
PLACE = rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)


def scene(path: Path, size=(400, 600), place=PLACE, crs=UTM, **profile) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=size[0], width=size[1], count=3, dtype="uint8", crs=crs, transform=place,
        **profile,
    ) as f:  # fmt: skip
        f.write(np.random.default_rng(0).integers(1, 255, (3, *size), dtype=np.uint8))
    return path


def on_map(rings_px: list, place=PLACE) -> list:
    return [np.stack(place @ tuple(np.reshape(r, (-1, 2)).T), 1) for r in rings_px]


def write(path: Path, shapes: list, crs: str = UTM, **columns) -> Path:
    to = pyproj.Transformer.from_crs(UTM, crs, always_xy=True)
    moved = [shapely.transform(s, lambda xy: np.stack(to.transform(*xy.T), 1)) for s in shapes]
    names = list(columns)
    kinds = {s.geom_type for s in shapes}
    pyogrio.raw.write(
        path, shapely.to_wkb(moved), [np.array(columns[n], object) for n in names], names, crs=crs,
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        driver={".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile"}[path.suffix],
    )  # fmt: skip
    return path


BOX = [100, 40, 160, 40, 160, 90, 100, 90]
TURNED = [300, 200, 340, 240, 330, 250, 290, 210]
STAR = [450, 300, 500, 300, 500, 350, 475, 325, 450, 350]


@pytest.mark.parametrize(("suffix", "crs"), [(".gpkg", UTM), (".geojson", "OGC:CRS84"), (".shp", "EPSG:3857")])
def test_polygons_of_any_crs_are_where_they_were_drawn(tmp_path, suffix, crs):
    raster = scene(tmp_path / "scene.tif")
    polygons = [shapely.Polygon(r) for r in on_map([BOX, TURNED, STAR])]
    labels = write(tmp_path / f"objects{suffix}", polygons, crs, kind=["car", "ship", "car"])
    for task in ("detect", "obb", "segment"):
        out = tmp_path / task
        convert(raster, "vector", out, labels=labels, task=task, progress=False)
        content = yaml.safe_load((out / f"{task}.yaml").read_text())
        assert (content["names"], content["gsd"]) == ({0: "car", 1: "ship"}, 0.5)
        rows = [list(map(float, line.split())) for line in (out / "labels/train/scene.txt").read_text().splitlines()]
        assert [int(r[0]) for r in rows] == [0, 1, 0]
        for row, ring in zip(rows, (BOX, TURNED, STAR), strict=True):
            seen, points = np.array(row[1:]).reshape(-1, 2) * [600, 400], np.reshape(ring, (-1, 2))
            if task == "detect":
                (cx, cy), (w, h) = seen
                seen = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
                np.testing.assert_allclose(seen, [*points.min(0), *points.max(0)], atol=0.05)
            elif task == "obb":
                assert corners_to_xywhr([seen])[0][2:4] == pytest.approx(corners_to_xywhr([points])[0][2:4], abs=0.1)
            else:
                assert polygon_iou(seen[None], points[None].astype(float))[0] > 0.99


def test_cut_straight_from_the_scene(tmp_path, capsys):
    raster = scene(tmp_path / "scene.tif", (900, 1300))
    rng = np.random.default_rng(2)
    corners = [(x, y, x + w, y + h) for x, y, w, h in np.c_[rng.uniform(5, 850, (40, 2)), rng.uniform(5, 40, (40, 2))]]
    shapes = [shapely.Polygon(r) for r in on_map([[a, b, c, b, c, d, a, d] for a, b, c, d in corners])]
    labels = write(tmp_path / "objects.gpkg", shapes, **{"class": ["car"] * 40})
    words = [f"source={raster}", f"labels={labels}", f"out={tmp_path / 'tiles'}", "tile=256", "overlap=64", "keep=0.4"]
    assert cli.run(["convert", *words]) == 0
    assert "data:" in capsys.readouterr().out
    tiles, _ = read_dataset(tmp_path / "tiles", "yolo")
    seen = []
    for record in tiles.splits["train"]:
        left, top = (int(v[1:]) for v in record.stem.split("__")[1].split("_"))
        seen += [np.add(o.xyxy_px, [left, top, left, top]) for o in record.objects]
        with rasterio.open(record.path) as f:
            assert f.transform @ (0, 0) == PLACE @ (left, top)
    for box in corners:  # each fits into the overlap, so that one tile shows all of it
        assert np.abs(np.array(seen) - box).max(1).min() < 0.01 or box[3] > 900


def test_what_cannot_be_used_is_counted(tmp_path):
    raster = scene(tmp_path / "scene.tif")
    hole = shapely.Polygon(on_map([BOX])[0], [on_map([[110, 50, 120, 50, 120, 60, 110, 60]])[0]])
    far = shapely.Polygon(on_map([[5000, 5000, 5050, 5000, 5050, 5050]])[0])
    over = shapely.Polygon(on_map([[580, 300, 660, 300, 660, 340, 580, 340]])[0])
    shapes = [hole, far, over, shapely.Point(on_map([[30, 30]])[0][0]), shapely.Polygon(on_map([TURNED])[0])]
    labels = write(tmp_path / "objects.geojson", shapes, name=["car", "car", "car", "car", None])
    report = convert(raster, "vector", tmp_path / "out", labels=labels, task="segment", progress=False)
    assert report.counts["train"]["boxes"] == 2
    assert report.counts["train"]["clipped"] == 1
    reasons = sorted(d.reason for d in report.dropped)
    assert reasons == ["beside all scenes: 1 features", "no class: its column is empty there", "no polygon: 1 features"]
    assert report.splits["train"].forms["holes of a polygon filled"] == {"car": 1}


def test_several_scenes_are_divided_before_they_are_cut(tmp_path):
    (tmp_path / "scenes").mkdir()
    shapes, labels = [], []
    for i in range(4):
        place = PLACE @ rasterio.Affine.translation(1000 * i, 0)
        scene(tmp_path / "scenes" / f"s{i}.tif", place=place)
        shapes += [shapely.Polygon(r) for r in on_map([BOX, STAR], place)]
        labels += ["car", "tree"]
    labels = write(tmp_path / "all.gpkg", shapes, label=labels)
    convert(tmp_path / "scenes", "vector", tmp_path / "out", labels=labels, tile=128, val_fraction=0.25, progress=False)
    of = {s: {f.name.split("__")[0] for f in (tmp_path / "out/images" / s).iterdir()} for s in ("train", "val")}
    assert [len(of["train"]), len(of["val"])] == [3, 1]
    assert not of["train"] & of["val"]


@pytest.mark.parametrize(
    ("columns", "words", "says"),
    [
        ({"a": ["x"], "b": ["y"]}, {}, "does not say which column holds the class (columns: a, b)"),
        ({"a": ["x"]}, {"class_column": "kind"}, "has no column kind"),
        ({}, {}, "does not say which column"),
    ],
)
def test_a_column_that_is_not_plain_is_asked_for(tmp_path, columns, words, says):
    labels = write(tmp_path / "o.gpkg", [shapely.Polygon(on_map([BOX])[0])], **columns)
    with pytest.raises(ConfigError) as e:
        convert(scene(tmp_path / "s.tif"), "vector", tmp_path / "out", labels=labels, progress=False, **words)
    assert says in str(e.value).replace('"', "").replace("'", "")
    report = convert(tmp_path / "s.tif", "vector", tmp_path / "out", labels=labels, names="car", progress=False) if (
        not columns
    ) else None  # fmt: skip
    assert report is None or report.names == ["car"]


def test_wrong_files_are_refused_in_one_line(tmp_path):
    labels = write(tmp_path / "o.gpkg", [shapely.Polygon(on_map([BOX])[0])], kind=["car"])
    raster = scene(tmp_path / "s.tif")
    out = tmp_path / "out"
    away = scene(tmp_path / "away.tif", place=PLACE @ rasterio.Affine.translation(9000, 0))
    nowhere = scene(tmp_path / "nowhere.tif", place=rasterio.Affine(1, 0, 5, 0, -1, 5), crs=None)
    (tmp_path / "text.gpkg").write_text("nothing")
    (tmp_path / "bare.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    for source, words, error, says in (
        (away, {"labels": labels}, DataError, "no polygon of it lies on"),
        (nowhere, {"labels": labels}, DataError, "nowhere.tif"),
        (raster, {"labels": tmp_path / "text.gpkg"}, DataError, "does not begin as .gpkg files do"),
        (raster, {"labels": tmp_path / "gone.gpkg"}, DataError, "cannot be read"),
        (raster, {"labels": tmp_path / "s.tif"}, DataError, "must be a file of polygons"),
        (raster, {}, ConfigError, "labels= and format=vector belong together"),
    ):
        with pytest.raises(error) as e:
            convert(source, "vector", out, progress=False, **words)
        assert says in str(e.value)
        assert "\n" not in str(e.value)
    assert not out.exists()


def test_a_scene_too_large_to_be_a_picture_must_be_cut_and_is_never_read_whole(tmp_path):
    big = tmp_path / "big.tif"
    with rasterio.open(
        big, "w", driver="GTiff", height=12_000, width=12_000, count=3, dtype="uint8", crs=UTM, transform=PLACE,
        tiled=True, blockxsize=512, blockysize=512, compress="deflate", sparse_ok=True,
    ) as f:  # fmt: skip
        f.write(np.full((3, 512, 512), 80, np.uint8), window=rasterio.windows.Window(9216, 9216, 512, 512))
    ring = [9300, 9300, 9330, 9300, 9330, 9320, 9300, 9320]
    labels = write(tmp_path / "o.gpkg", [shapely.Polygon(on_map([ring])[0])], kind=["car"])
    with pytest.raises(ConfigError, match="give tile="):
        convert(big, "vector", tmp_path / "out", labels=labels, progress=False)
    tracemalloc.start()
    report = convert(big, "vector", tmp_path / "out", labels=labels, tile=512, progress=False)
    assert tracemalloc.get_traced_memory()[1] < 100e6  # of 432 MB
    tracemalloc.stop()
    assert report.counts["train"]["boxes"] >= 1


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
@pytest.mark.parametrize("content", [b"", b"{}", b'{"type": "FeatureCollection"}', b"SQLite format 3\0", b"\xff" * 200])
def test_any_bytes_are_refused_in_one_line(tmp_path, suffix, content):
    labels = tmp_path / f"labels{suffix}"
    labels.write_bytes(content)
    with pytest.raises((DataError, ConfigError)) as e:
        convert(scene(tmp_path / "s.tif"), "vector", tmp_path / "out", labels=labels, progress=False)
    assert "\n" not in str(e.value)
