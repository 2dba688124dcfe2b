"""Maps become polygons that lie where the map does, with areas on the ground, probabilities and velocities."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from semantic_fakes import enlivened, model_yaml

from rsdet import RSDet, cli
from rsdet.data.pictures import PictureReader
from rsdet.data.sar.picture import SarReader
from rsdet.data.sar.stretch import Stretch
from rsdet.progress import Line
from rsdet.tasks.semantic.polygons import PolygonSettings, drawn_classes
from rsdet.tasks.semantic.scenes import Mapper, map_scene
from rsdet.tasks.semantic.visual import velocity_overlay

rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")
pyogrio = pytest.importorskip("pyogrio")
pyproj = pytest.importorskip("pyproj")
PLACE = rasterio.transform.from_origin(500_000, 5_400_000, 20, 20)


def motion(size=(90, 120), seed=0) -> np.ndarray:
    """Slow noise in mm/y with two bodies that move, one of them around an island; a corner without velocity."""
    x = np.indices(size)[1]
    out = np.random.default_rng(seed).uniform(-3, 3, size)
    out[20:60, 30:70] = -40 - x[20:60, 30:70] / 10
    out[35:45, 40:50] = 1
    out[70:80, 80:110] = 25
    out[:10, :15] = np.nan
    return out.astype(np.float32)


def write(path: Path, band: np.ndarray, crs: str | None = "EPSG:32632", place=PLACE, unit: str = "", **more) -> Path:
    kind = {"driver": "GTiff", "count": 1, "dtype": band.dtype, "nodata": np.nan, **more}
    with rasterio.open(path, "w", height=band.shape[0], width=band.shape[1], crs=crs, transform=place, **kind) as f:
        f.write(band, 1)
        if unit:
            f.units = (unit,)
    return path


def moving(x: np.ndarray) -> np.ndarray:
    """One logit, positive where a grey level is far from the middle: of motion in either direction."""
    return np.abs(x[:, :1] - 0.5) * 20 - 2


def mapped(folder: Path, file: Path, **settings):
    mapper = Mapper(moving, PictureReader(1), {0: "background", 1: "deformation"}, 1, (64, 64))
    given = {"tile": 64, "overlap": 16, "stretch": [-50, 50], **settings}
    with Line("x", verbose=False) as line:
        return map_scene(mapper, file, folder, "x", line=line, **given)


def read(path: Path):
    meta, _, wkb, fields = pyogrio.raw.read(path)
    return meta, shapely.from_wkb(wkb), dict(zip(meta["fields"].tolist(), fields, strict=True))


def test_polygons_lie_where_the_motion_does_and_say_how_fast_it_is(tmp_path):
    values = motion()
    result = mapped(tmp_path, write(tmp_path / "v.tif", values, unit="mm/y"))
    assert sorted(p.name for p in result.polygons) == ["x.geojson", "x.gpkg", "x.qml"]
    meta, shapes, columns = read(tmp_path / "polygons" / "x.gpkg")
    assert meta["crs"] == "EPSG:32632"
    assert columns["class"].tolist() == ["deformation"] * 2
    with rasterio.open(result.save_path) as f, rasterio.open(tmp_path / "confidence" / "x.tif") as g:
        classes, percent = f.read(1), g.read(1)
        masks = [rasterio.features.rasterize([s], classes.shape, transform=f.transform) > 0 for s in shapes]
    assert ((classes == 1) == np.any(masks, 0)).all()
    assert shapes[0].interiors
    for i, mask in enumerate(masks):
        inside = values[mask].astype(float)
        told = [columns[f"value_{what}_mm_y"][i] for what in ("mean", "min", "max")]
        np.testing.assert_allclose(told, [inside.mean(), inside.min(), inside.max()], rtol=1e-6)
        assert columns["probability"][i] == pytest.approx(percent[mask].mean() / 100, abs=1e-4)
        assert columns["area_px"][i] == mask.sum()
        assert columns["area_m2"][i] == pytest.approx(mask.sum() * 400 / 0.9996**2, rel=1e-4)
    assert sum(columns["area_m2"]) == pytest.approx(result.area_m2[1], abs=0.1)


def test_velocities_are_called_so_where_the_model_knows_them(tmp_path):
    rule = Stretch.from_dict({"quantity": "velocity", "stretch": {"v_max": 50}})
    reader = SarReader(rule.measured(np.array([-50.0, 50]), "float32"), 1)
    mapper = Mapper(moving, reader, {0: "background", 1: "slide"}, 1, (64, 64))
    with Line("x", verbose=False) as line:
        map_scene(mapper, write(tmp_path / "v.tif", motion()), tmp_path, "x", tile=64, overlap=16, line=line)
    columns = read(tmp_path / "polygons" / "x.gpkg")[2]
    assert columns["velocity_mean_mm_y"][0] == pytest.approx(-45, abs=0.5)
    assert columns["velocity_max_mm_y"][0] == pytest.approx(-43, abs=0.2)


def test_velocities_are_shown_from_red_over_white_to_blue_with_outlines():
    velocity = np.zeros((50, 60), np.float32)
    velocity[:, :20], velocity[:, 40:] = -200, 100
    valid = np.ones((50, 60), bool)
    valid[:5] = False
    velocity[:5] = np.nan
    classes = np.where(velocity < -50, 1, 0).astype(np.uint8)
    picture = velocity_overlay(velocity, valid, classes, {1: "slide"}, 100, "mm/y")
    factor = picture.shape[1] // 60
    assert picture.shape[1] == 60 * factor >= 480
    middle = {x: picture[30 * factor, round((x + 0.5) * factor)][::-1].tolist() for x in (10, 30, 50)}
    assert middle == {10: [178, 24, 43], 30: [247, 247, 247], 50: [33, 102, 172]}
    assert (picture[2 * factor, 30 * factor] == 128).all()
    assert (picture[30 * factor, 20 * factor] == 0).all()  # the outline, beside the region and not on it
    assert (picture[30 * factor, 20 * factor - 1] == picture[30 * factor, 10 * factor]).all()


@pytest.mark.parametrize(("crs", "place"), [
    ("EPSG:4326", rasterio.transform.from_origin(96, 29, 2e-4, 2e-4)),
    ("EPSG:3857", rasterio.transform.from_origin(10_700_000, 3_400_000, 23, 23)),
])  # fmt: skip
def test_areas_are_those_on_the_ground_whatever_the_crs(tmp_path, crs, place):
    mapped(tmp_path, write(tmp_path / "v.tif", motion(), crs, place))
    _, shapes, columns = read(tmp_path / "polygons" / "x.gpkg")
    to_lonlat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    geod = pyproj.Geod(ellps="WGS84")
    for shape, area in zip(shapes, columns["area_m2"], strict=True):
        onto = shapely.transform(shape, lambda xy: np.stack(to_lonlat.transform(*xy.T), 1))
        assert area == pytest.approx(abs(geod.geometry_area_perimeter(shapely.normalize(onto))[0]), rel=1e-5)


def test_geojson_is_in_longitude_and_latitude_counterclockwise(tmp_path):
    mapped(tmp_path, write(tmp_path / "v.tif", motion()))
    features = json.loads((tmp_path / "polygons" / "x.geojson").read_text())["features"]
    _, shapes, _ = read(tmp_path / "polygons" / "x.gpkg")
    to_lonlat = pyproj.Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    for feature, shape in zip(features, shapes, strict=True):
        ring, *holes = feature["geometry"]["coordinates"]
        assert shapely.is_ccw(shapely.linearrings(ring))
        assert not any(shapely.is_ccw(shapely.linearrings(h)) for h in holes)
        expected = np.round(np.stack(to_lonlat.transform(*shapely.get_coordinates(shape.exterior).T), 1), 7)
        assert {tuple(p) for p in expected.tolist()} == {tuple(p) for p in ring}


def test_on_another_body_there_is_no_geojson_and_areas_are_on_its_ground(tmp_path):
    mars = pyproj.CRS("ESRI:104905").to_wkt()
    place = rasterio.transform.from_origin(10, 1, 0.001, 0.001)
    result = mapped(tmp_path, write(tmp_path / "v.tif", motion(), mars, place))
    assert sorted(p.suffix for p in result.polygons) == [".gpkg", ".qml"]
    columns = read(tmp_path / "polygons" / "x.gpkg")[2]
    square = (np.radians(0.001) * 3_396_190 * (1 - 1 / 169.8944)) ** 2  # at the equator
    assert columns["area_m2"] / columns["area_px"] == pytest.approx(square, rel=2e-3)


def test_small_polygons_are_left_out_and_counted(tmp_path):
    result = mapped(tmp_path, write(tmp_path / "v.tif", motion()), polygons=PolygonSettings(None, 300_000))
    assert len(read(tmp_path / "polygons" / "x.gpkg")[1]) == 1
    assert result.outlined == "1 polygon (1 smaller than 300000 m2 left out)"


def test_rasters_without_a_place_have_polygons_in_pixels_when_asked(tmp_path):
    file = write(tmp_path / "v.tif", motion(), None, None)
    assert mapped(tmp_path / "a", file).polygons == []
    (made,) = mapped(tmp_path / "b", file, polygons=PolygonSettings(True)).polygons
    found = json.loads(made.read_text())["features"]
    assert sorted(found[0]["properties"]) == [
        "area_px", "class", "class_id", "probability", "value_max", "value_mean", "value_min",
    ]  # fmt: skip
    assert np.array(found[0]["geometry"]["coordinates"][0]).max(0).tolist() == [70, 60]
    placed = write(tmp_path / "w.tif", motion())
    assert mapped(tmp_path / "c", placed, polygons=PolygonSettings(False)).polygons == []


def test_a_map_without_the_class_has_layers_of_no_polygon(tmp_path):
    result = mapped(tmp_path, write(tmp_path / "v.tif", motion() * 0 + 1))
    assert result.outlined == "0 polygons"
    assert len(read(tmp_path / "polygons" / "x.gpkg")[1]) == 0


def test_all_classes_become_polygons_but_a_background_of_two():
    assert drawn_classes({0: "background", 1: "x"}) == [1]
    assert drawn_classes({0: "soil", 1: "rock"}) == [0, 1]
    assert drawn_classes({0: "background", 1: "x", 2: "y"}) == [0, 1, 2]


@pytest.mark.parametrize("words", ["min_area_m2=-1", "min_area_m2=big", "polygons=3"])
def test_settings_that_make_no_sense_are_refused(tmp_path, words, capsys):
    model = RSDet(model_yaml(tmp_path))
    model.save(str(tmp_path / "w.pt"))
    write(tmp_path / "v.tif", motion())
    assert cli.run(["predict", f"model={tmp_path / 'w.pt'}", f"source={tmp_path / 'v.tif'}", words]) == 2
    assert words.partition("=")[0] in capsys.readouterr().err


def test_through_the_command_line_with_pytorch_and_without(tmp_path):
    pytest.importorskip("onnxruntime")
    picture = np.random.default_rng(0).integers(0, 255, (3, 5, 6)).repeat(24, 1).repeat(24, 2).astype(np.uint8)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=3, dtype="uint8", height=120, width=144, crs="EPSG:32632",
        transform=PLACE,
    ) as f:  # fmt: skip
        f.write(picture)
    model = enlivened(RSDet(model_yaml(tmp_path)))
    model.save(str(tmp_path / "w.pt"))
    exported = model.export(format="onnx", imgsz=64, out=tmp_path, verbose=False).path
    for name, weights in (("full", tmp_path / "w.pt"), ("light", exported)):
        words = [f"model={weights}", f"source={tmp_path / 'a.tif'}", f"project={tmp_path}", f"name={name}", "imgsz=64"]
        assert cli.run(["predict", *words, "verbose=False"]) == 0
        _, shapes, columns = read(tmp_path / name / "polygons" / "a.gpkg")
        assert sum(columns["area_px"]) == 120 * 144
        assert shapely.is_valid(shapes).all()
        with open(tmp_path / name / "areas.csv", newline="") as f:
            areas = {r["name"]: float(r["area_m2"]) for r in csv.DictReader(f)}
        for k, area in areas.items():
            assert sum(columns["area_m2"][columns["class"] == k]) == pytest.approx(area, abs=1)


def test_pictures_have_polygons_in_pixels_when_asked(tmp_path):
    from rsdet.writing import write_picture

    picture = np.random.default_rng(0).integers(0, 255, (4, 4, 3)).repeat(16, 0).repeat(16, 1).astype(np.uint8)
    write_picture(tmp_path / "p.png", picture)
    model = enlivened(RSDet(model_yaml(tmp_path)))
    common = {"source": tmp_path / "p.png", "project": tmp_path, "imgsz": 64, "verbose": False, "save": True}
    model.predict(name="without", **common)
    assert not (tmp_path / "without" / "polygons").exists()
    model.predict(name="with", polygons=True, **common)
    found = json.loads((tmp_path / "with" / "polygons" / "p.geojson").read_text())["features"]
    assert sum(f["properties"]["area_px"] for f in found) == 64 * 64
