"""Rules of other rasters on a toy map: each alone, in order, on other grids; nothing is removed without a reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsdet import cli
from rsdet.errors import ConfigError, DataError
from rsdet.tasks.semantic.postprocess import postprocess

rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")
pyogrio = pytest.importorskip("pyogrio")
PLACE = rasterio.transform.from_origin(500_000, 3_200_000, 20, 20)
UTM = "EPSG:32647"
SIX = [(r, c) for r in (5, 25) for c in (5, 25, 45)]  # corners of six squares of 10 px, numbered from 0


def write(path: Path, band: np.ndarray, crs=UTM, place=PLACE, tags=None, scale=None, **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {"driver": "GTiff", "count": 1, "dtype": band.dtype, **more}
    with rasterio.open(path, "w", height=band.shape[0], width=band.shape[1], crs=crs, transform=place, **kind) as f:
        f.write(band, 1)
        f.update_tags(**(tags or {}))
        if scale:
            f.scales = (scale,)
    return path


def toy(folder: Path, **more) -> Path:
    """A map of six slides."""
    classes = np.zeros((40, 60), np.uint8)
    for r, c in SIX:
        classes[r : r + 10, c : c + 10] = 1
    classes[38:, :2] = 255
    return write(folder / "map.tif", classes, nodata=255, tags={"class_0": "background", "class_1": "slide"}, **more)


def over(value, which, elsewhere=0, dtype=np.float32, part=1.0) -> np.ndarray:
    """A band that has a value on some of the squares, on their left part where that is below 1."""
    band = np.full((40, 60), elsewhere, dtype)
    for i in which:
        r, c = SIX[i]
        band[r : r + 10, c : c + round(10 * part)] = value
    return band


def dropped(folder: Path) -> list[str]:
    meta, _, _, fields = pyogrio.raw.read(folder / "map.gpkg")
    return [v or "" for v in dict(zip(meta["fields"].tolist(), fields, strict=True))["dropped"].tolist()]


def judged(tmp_path: Path, **rules) -> list[str]:
    postprocess(rules.pop("source", None) or toy(tmp_path), tmp_path / "out", **rules)
    return dropped(tmp_path / "out")


def test_land_cover_alone(tmp_path):
    cover = over(40, [1], 10, np.uint8) + over(40, [3], 0, np.uint8)
    file = write(tmp_path / "cover.tif", cover)
    assert judged(tmp_path, landcover=file, landcover_drop=[40]) == ["", "landcover", "", "", "", ""]
    postprocess(toy(tmp_path), tmp_path / "names", landcover=file, landcover_table="worldcover")
    assert dropped(tmp_path / "names") == ["", "landcover", "", "landcover", "", ""]  # 50 is built-up there
    postprocess(
        toy(tmp_path), tmp_path / "built", landcover=file, landcover_table="worldcover", landcover_drop=["built"]
    )
    assert dropped(tmp_path / "built") == ["", "", "", "landcover", "", ""]


def test_ndvi_alone_and_a_band_with_a_scale(tmp_path):
    file = write(tmp_path / "ndvi.tif", (over(0.61, [0, 2], 0.2) * 10000).astype(np.int16), scale=1e-4)
    assert judged(tmp_path, ndvi=file) == ["ndvi", "", "ndvi", "", "", ""]
    postprocess(toy(tmp_path), tmp_path / "more", ndvi=file, ndvi_max=0.7)
    assert dropped(tmp_path / "more") == [""] * 6


def test_layover_alone(tmp_path):
    file = write(tmp_path / "layover.tif", over(2, [4], 0, np.uint8) + over(1, [5], 0, np.uint8))
    assert judged(tmp_path, layover=file) == ["", "", "", "", "layover", "layover"]
    postprocess(toy(tmp_path), tmp_path / "codes", layover=file, layover_drop=[1])
    assert dropped(tmp_path / "codes") == ["", "", "", "", "", "layover"]


def test_a_layover_mask_whose_zero_is_no_data_drops_none_where_there_is_none(tmp_path):
    assert judged(tmp_path, layover=write(tmp_path / "l.tif", over(1, [], 0, np.uint8), nodata=0)) == [""] * 6


def test_slope_alone_whose_edges_are_interpolated(tmp_path):
    file = write(tmp_path / "slope.tif", over(30, [0, 1, 2], 4))
    assert judged(tmp_path, slope=file) == ["", "", "", "slope", "slope", "slope"]
    postprocess(toy(tmp_path), tmp_path / "less", slope=file, slope_min=3)
    assert dropped(tmp_path / "less") == [""] * 6


def test_names_of_files_may_be_relative(tmp_path, monkeypatch):
    toy(tmp_path)
    layer(tmp_path / "shapes.gpkg", [square(5, 5, 10)])
    monkeypatch.chdir(tmp_path)
    postprocess("map.tif", "out", min_area_m2=1)
    postprocess("shapes.gpkg", "shapes", min_area_m2=1)
    assert dropped(tmp_path / "out") == [""] * 6
    assert (tmp_path / "shapes" / "shapes.gpkg").is_file()


def test_area_alone(tmp_path):
    assert judged(tmp_path, min_area_m2=39_000) == [""] * 6
    postprocess(toy(tmp_path), tmp_path / "large", min_area_m2=41_000)
    assert dropped(tmp_path / "large") == ["min_area"] * 6


def test_the_first_rule_that_holds_is_the_reason(tmp_path, capsys):
    rules = {
        "landcover": write(tmp_path / "c.tif", over(5, [0], 2, np.uint8)), "landcover_table": "esri",
        "ndvi": write(tmp_path / "n.tif", over(0.9, [0, 1], 0.1)),
        "layover": write(tmp_path / "l.tif", over(1, [0, 1, 2], 0, np.uint8)),
        "slope": write(tmp_path / "s.tif", over(1, [0, 1, 2, 3], 40)),
        "min_area_m2": 41_000,
    }  # fmt: skip
    assert judged(tmp_path, **rules) == ["landcover", "ndvi", "layover", "slope", "min_area", "min_area"]
    told = "map: 6 polygons: 0 kept; dropped: 1 landcover, 1 ndvi, 1 layover, 1 slope, 2 min_area"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(("part", "fraction", "reason"), [
    (0.5, 0.5, "layover"), (0.4, 0.5, ""), (0.4, 0.4, "layover"), (0.9, 1.0, ""), (1.0, 1.0, "layover"),
])  # fmt: skip
def test_a_region_is_dropped_where_enough_of_it_is_covered(tmp_path, part, fraction, reason):
    file = write(tmp_path / "l.tif", over(1, [1], 0, np.uint8, part))
    assert judged(tmp_path, layover=file, fraction=fraction)[1] == reason
    meta, _, _, fields = pyogrio.raw.read(tmp_path / "out" / "map.gpkg")
    assert dict(zip(meta["fields"].tolist(), fields, strict=True))["layover_share"][1] == pytest.approx(part)


def test_rasters_of_another_crs_and_resolution_are_brought_onto_the_map(tmp_path):
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    bounds = rasterio.transform.array_bounds(40, 60, PLACE)
    for name, crs, scale in (("slope", "EPSG:4326", 0.5), ("ndvi", "EPSG:3857", 3)):
        low, high = {"slope": (40, 4), "ndvi": (0.1, 0.9)}[name]
        place, width, height = calculate_default_transform(UTM, crs, 60, 40, *bounds)
        place, size = place * place.scale(scale), (int(height / scale), int(width / scale))
        there = np.full(size, np.nan, np.float32)
        reproject(over(high, [0, 4], low), there, src_transform=PLACE, src_crs=UTM, dst_transform=place, dst_crs=crs,
                  dst_nodata=np.nan, resampling=Resampling.nearest)  # fmt: skip
        file = write(tmp_path / f"{name}.tif", there, crs, place)  # nowhere says that NaN is no data
        postprocess(toy(tmp_path), tmp_path / name, **{name: file})
        assert dropped(tmp_path / name) == [name, "", "", "", name, ""]


def test_maps_that_are_turned_are_judged_where_they_lie(tmp_path):
    turned = PLACE * PLACE.rotation(30) * PLACE.scale(1, -1)
    to_utm, size = PLACE, (150, 150)
    shifted = to_utm * PLACE.translation(-50, -80)
    y, x = np.indices(size) + 0.5
    columns, rows = ~turned * (shifted * (x, y))
    inside = (columns >= 25) & (columns < 35) & (rows >= 5) & (rows < 15)
    slope = write(tmp_path / "s.tif", np.where(inside, 2, 40).astype(np.float32), place=shifted)
    assert judged(tmp_path, source=toy(tmp_path, place=turned), slope=slope) == ["", "slope", "", "", "", ""]


def test_where_a_raster_has_no_data_it_says_nothing(tmp_path, caplog):
    slope = over(2, [0, 1, 2, 3, 4, 5], 2)
    slope[:20] = -9999
    assert judged(tmp_path, slope=write(tmp_path / "s.tif", slope, nodata=-9999)) == ["", "", "", *["slope"] * 3]
    half = write(
        tmp_path / "h.tif", slope[20:], place=PLACE * PLACE.translation(0, 20)
    )  # no nodata value: it just ends
    assert judged(tmp_path / "b", source=toy(tmp_path), slope=half) == ["", "", "", *["slope"] * 3]
    codes = write(tmp_path / "c.tif", over(3, [0], 3, np.uint8)[20:], place=PLACE * PLACE.translation(0, 20))
    rules = {"landcover": codes, "landcover_drop": [0]}  # what lies beside the raster is no code 0
    assert judged(tmp_path / "c", source=toy(tmp_path), **rules) == [""] * 6


def test_the_filtered_map_holds_what_is_kept_and_lies_where_the_map_does(tmp_path):
    judged(tmp_path, layover=write(tmp_path / "l.tif", over(1, [1, 5], 0, np.uint8)))
    with rasterio.open(tmp_path / "map.tif") as f, rasterio.open(tmp_path / "out" / "map.tif") as g:
        before, after = f.read(1), g.read(1)
        assert (f.crs, f.transform, f.nodata, f.tags()["class_1"]) == (
            g.crs,
            g.transform,
            g.nodata,
            g.tags()["class_1"],
        )
    expected = np.where(over(1, [1, 5], 0, np.uint8) > 0, 0, before)
    assert (after == expected).all()


def test_of_many_classes_what_is_dropped_has_no_class(tmp_path):
    classes = np.full((40, 60), 2, np.uint8)
    classes[5:15, 5:15] = 0
    tags = {"class_0": "sand", "class_1": "rock", "class_2": "soil"}
    file = write(tmp_path / "map.tif", classes, nodata=255, tags=tags)
    layover = write(tmp_path / "l.tif", over(1, [0, 1], 0, np.uint8))
    postprocess(file, tmp_path / "out", layover=layover)
    assert sorted(dropped(tmp_path / "out")) == ["", "layover"]
    with rasterio.open(tmp_path / "out" / "map.tif") as g:
        assert (g.read(1) == np.where(classes == 0, 255, classes)).all()
    postprocess(file, tmp_path / "soil", layover=layover, classes=["soil"])
    assert dropped(tmp_path / "soil") == ["", ""]


def test_the_folder_of_a_prediction_brings_its_polygons_with_all_their_columns(tmp_path):
    toy(tmp_path / "run" / "classes")
    (tmp_path / "run" / "polygons").mkdir()
    shapes = [square(c, r, 10) for r, c in SIX[:5]]  # the sixth was too small for whoever predicted
    names = np.array(["slide"] * 5, object)
    layer(
        tmp_path / "run" / "polygons" / "map.gpkg", shapes, velocity_mean_mm_y=np.arange(5) - 30.5, **{"class": names}
    )
    slope = write(tmp_path / "s.tif", over(1, [1], 40))
    assert judged(tmp_path, source=tmp_path / "run", slope=slope) == ["", "slope", "", "", ""]
    features = json.loads((tmp_path / "out" / "map.geojson").read_text())["features"]
    assert [f["properties"]["velocity_mean_mm_y"] for f in features] == [-30.5, -29.5, -28.5, -27.5, -26.5]
    with rasterio.open(tmp_path / "out" / "map.tif") as g:
        assert ((g.read(1) == 1) == (over(1, [0, 2, 3, 4]) > 0)).all()
    before = (tmp_path / "run" / "polygons" / "map.gpkg").read_bytes()
    again = postprocess(tmp_path / "run" / "polygons" / "map.gpkg", tmp_path / "out", slope=slope)
    assert {p.parent.name for p in again} == {"out-2"}
    assert {p.suffix for p in again} == {".gpkg", ".geojson", ".qml", ".tif"}
    postprocess(tmp_path / "run", tmp_path / "run" / "polygons", slope=slope)  # goes into a new folder
    assert (tmp_path / "run" / "polygons" / "map.gpkg").read_bytes() == before


def square(x: float, y: float, side: float):
    return shapely.box(500_000 + 20 * x, 3_200_000 - 20 * (y + side), 500_000 + 20 * (x + side), 3_200_000 - 20 * y)


def layer(path: Path, shapes, crs=UTM, **columns) -> Path:
    columns = columns or {"name": np.array([f"p{i}" for i in range(len(shapes))], object)}
    kind = shapely.geometrycollections(shapes).geoms[0].geom_type
    pyogrio.raw.write(path, shapely.to_wkb(np.array(shapes, object)), list(columns.values()), list(columns),
                      geometry_type=kind, crs=crs)  # fmt: skip
    return path


def test_polygons_alone_are_judged_one_by_one_though_they_overlap_or_hold_no_pixel(tmp_path):
    shapes = [square(5, 5, 10), square(5, 5, 20), square(8.6, 8.6, 0.1), square(30, 30, 5)]
    source = layer(tmp_path / "map.gpkg", shapes)
    assert judged(tmp_path, source=source, layover=write(tmp_path / "l.tif", over(1, [0], 0, np.uint8))) == [
        "layover", "", "layover", "",
    ]  # fmt: skip
    features = json.loads((tmp_path / "out" / "map.geojson").read_text())["features"]
    assert [f["properties"]["name"] for f in features] == ["p0", "p1", "p2", "p3"]
    assert [f["properties"]["layover_share"] for f in features] == [1, 0.25, 1, 0]
    assert not (tmp_path / "out" / "map.tif").exists()


def test_areas_of_polygons_without_a_column_are_measured(tmp_path):
    holed = square(5, 5, 10) - square(6, 6, 8)
    source = layer(tmp_path / "map.gpkg", [square(5, 5, 10), holed])
    assert judged(tmp_path, source=source, min_area_m2=20_000) == ["", "min_area"]


def test_polygons_of_another_crs_than_the_rasters(tmp_path):
    import pyproj

    to_lonlat = pyproj.Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    shapes = [
        shapely.transform(square(5 + c, 5, 10), lambda xy: np.stack(to_lonlat.transform(*xy.T), 1)) for c in (0, 20)
    ]
    source = layer(tmp_path / "map.geojson", shapes, "EPSG:4326")
    assert judged(tmp_path, source=source, slope=write(tmp_path / "s.tif", over(1, [1], 40))) == ["", "slope"]


@pytest.mark.parametrize("size", [3.3, 7, 21.5])
def test_polygons_of_a_rasterised_polygon_keep_its_area_within_a_ring_of_pixels(tmp_path, size):
    from rasterio.features import rasterize

    rng = np.random.default_rng(int(size))
    at = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = size * rng.uniform(0.7, 1, 40)
    blob = shapely.Polygon(np.stack([32 + radius * np.cos(at), 32 + radius * np.sin(at)], 1))
    file = write(tmp_path / "map.tif", rasterize([blob], (64, 64)).astype(np.uint8), place=PLACE)
    judged(tmp_path, source=file, min_area_m2=1)
    _, _, wkb, _ = pyogrio.raw.read(tmp_path / "out" / "map.gpkg")
    area_px = shapely.area(shapely.from_wkb(wkb)).sum() / 400
    assert abs(area_px - blob.area) <= blob.length
    assert area_px == rasterize([blob], (64, 64)).sum()


BAD = {
    "no rule": (lambda d: {}, ConfigError, "needs a rule"),
    "elsewhere": (lambda d: {"slope": write(d / "s.tif", over(1, []), place=PLACE * PLACE.translation(0, 99))},
                  DataError, "lies elsewhere"),
    "no CRS": (lambda d: {"slope": write(d / "s.tif", over(1, []), None)}, DataError, "has no CRS"),
    "all nodata": (lambda d: {"slope": write(d / "s.tif", over(1, [], -1), nodata=-1)}, DataError, "no data under any"),
    "no file": (lambda d: {"ndvi": d / "none.tif"}, DataError, "is no file"),
    "bands": (lambda d: {"ndvi": write(d / "s.tif", over(0, []), count=2)}, DataError, "2 bands"),
    "unsaid nodata": (lambda d: {"slope": write(d / "s.tif", over(-9999, [1], 20))}, DataError, "--nodata -9999"),
    "unsaid scale": (lambda d: {"ndvi": write(d / "s.tif", over(6100, [1], 20, np.int16))}, DataError, "its scale"),
    "names": (lambda d: {"landcover": write(d / "s.tif", over(1, [], 0, np.uint8))}, ConfigError, "landcover_table="),
    "name": (lambda d: {"landcover": d / "map.tif", "landcover_drop": ["slid"]}, ConfigError, "Did you mean 'slide'"),
    "table": (lambda d: {"landcover": d / "map.tif", "landcover_table": "esr"}, ConfigError, "Did you mean 'esri'"),
    "fraction": (lambda d: {"min_area_m2": 1, "fraction": 0}, ConfigError, "fraction=0"),
    "class": (lambda d: {"min_area_m2": 1, "classes": ["rock"]}, ConfigError, "there are slide"),
    "without": (lambda d: {"min_area_m2": 1, "layover_drop": [1]}, ConfigError, "needs layover="),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_said_in_one_line_and_nothing_is_written(tmp_path, case, capsys):
    source, (rules, error, text) = toy(tmp_path), BAD[case]
    given = rules(tmp_path)
    with pytest.raises(error, match=text):
        postprocess(source, tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()
    words = [f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}" for k, v in given.items()]
    assert cli.run(["postprocess", f"source={source}", f"out={tmp_path / 'out'}", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert text in said
    assert "\n" not in said


def test_sources_that_are_no_map_are_refused(tmp_path):
    layover = write(tmp_path / "l.tif", over(1, [], 0, np.uint8))
    for name in ("none", "empty", "map.png"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "map.png").write_bytes(b"")
        with pytest.raises(DataError, match="source="):
            postprocess(tmp_path / name, tmp_path / "out", layover=layover)
    with pytest.raises(DataError, match="uint8"):
        postprocess(write(tmp_path / "f.tif", over(1, [])), tmp_path / "out", layover=layover)
    points = layer(tmp_path / "p.gpkg", [shapely.Point(500_100, 3_199_900)])
    with pytest.raises(DataError, match="polygons"):
        postprocess(points, tmp_path / "out", layover=layover)


def test_a_map_without_regions_has_nothing_to_judge(tmp_path, capsys):
    file = write(tmp_path / "map.tif", np.zeros((40, 60), np.uint8), tags={"class_0": "background", "class_1": "slide"})
    assert judged(tmp_path, source=file, slope=write(tmp_path / "s.tif", over(1, []))) == []
    assert "0 polygons" in capsys.readouterr().out


def test_reasons_of_an_earlier_call_stay(tmp_path):
    first = postprocess(toy(tmp_path), tmp_path / "one", ndvi=write(tmp_path / "n.tif", over(0.9, [0, 1])))
    polygons = next(p for p in first if p.suffix == ".gpkg")
    slope = write(tmp_path / "s.tif", over(2, [1, 2], 30))
    second = postprocess(polygons, tmp_path / "two", slope=slope)
    rows = json.loads(next(p for p in second if p.suffix == ".geojson").read_text())["features"]
    assert [r["properties"]["dropped"] or "" for r in rows] == ["ndvi", "ndvi", "slope", "", "", ""]
