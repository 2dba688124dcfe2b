"""How much has changed in each tile and district, counted pixel by pixel; nothing is counted twice or lost."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdet.data.tiling import partition
from rsdet.errors import DataError
from rsdet.scenes.georef import Georef

rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")
pyproj = pytest.importorskip("pyproj")
pytest.importorskip("pyogrio")
from rasters import UTM, compare, dates, place_of, read, write  # noqa: E402

from rsdet.tasks.change import districts as table  # noqa: E402

SIZE = (150, 220)
SQUARES = [(40, 40, 52, 60), (0, 0, 3, 4), (60, 90, 140, 190), (10, 100, 11, 101)]
X, Y, SIDE = 500_000, 5_400_000, 0.5


def on_map(px: Any) -> Any:
    return shapely.transform(px, lambda xy: np.array([X, Y]) + xy * [SIDE, -SIDE])


def write_geojson(path: Path, shapes: list, crs: str = UTM, **columns: list) -> Path:
    features = []
    for i, shape in enumerate(shapes):
        said = {k: v[i] for k, v in columns.items()}
        features.append({"type": "Feature", "properties": said, "geometry": json.loads(shapely.to_geojson(shape))})
    epsg = crs.removeprefix("EPSG:")
    named = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": named, "features": features}))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as f:
        return list(csv.DictReader(f))


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """Both dates, what has changed, and where both show anything."""
    folder = tmp_path_factory.mktemp("pair")
    before, after, changed = dates(SIZE, SQUARES)
    before[:, 200:] = 0
    seen = np.ones(SIZE, bool)
    seen[:, 200:] = False
    return write(folder / "a.tif", before, nodata=0), write(folder / "b.tif", after), changed & seen, seen


def inside(shape: Any) -> np.ndarray:
    """(H, W) bool: pixels whose middle lies in a shape in pixels."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return shapely.contains_xy(shape, x, y)


DISTRICTS = [
    shapely.box(30, 20, 130, 90),
    shapely.Polygon([(80.3, 30.2), (210.1, 60.7), (150.9, 149.2), (70.4, 120.8)]),  # over the first, and over no data
    shapely.MultiPolygon([shapely.box(0, 0, 10, 10), shapely.box(180, 130, 320, 200)]),  # beyond the map, too
    shapely.Polygon([(50, 100), (90, 100), (90, 140), (50, 140)], [[(60, 110), (80, 110), (80, 130), (60, 130)]]),
    shapely.box(900, 900, 950, 950),  # elsewhere
]


@pytest.mark.parametrize("crs", [UTM, "EPSG:25833"])
@pytest.mark.parametrize("window", [40, 1024])
def test_districts_are_counted_as_pixel_by_pixel(tmp_path, scene, crs, window, monkeypatch):
    a, b, changed, seen = scene
    monkeypatch.setattr(table, "_WINDOW_PX", window)
    shapes = [on_map(d) for d in DISTRICTS]
    if crs != UTM:
        way = pyproj.Transformer.from_crs(UTM, crs, always_xy=True)
        shapes = [shapely.transform(s, lambda xy: np.stack(way.transform(*xy.T), 1)) for s in shapes]
    names = ["north", "=1+1", "two parts", "with a hole", "far"]
    file = write_geojson(tmp_path / "d.geojson", shapes, crs, name=names, people=[1, 2, 3, 4, 5])
    compare(tmp_path, a, b, districts=file)
    got, probability = rows(tmp_path / "tables" / "x-districts.csv"), read(tmp_path / "probability" / "x.tif")[0]
    assert [r["people"] for r in got] == list("12345")
    assert [r["name"].lstrip("'") for r in got] == names
    assert not got[1]["name"].startswith("=")  # no formula of a spreadsheet
    for row, shape in zip(got, DISTRICTS, strict=True):
        there = inside(shape) & seen
        near = 0 if crs == UTM else 2  # pixels whose middle lies on an edge, to a millimetre
        assert int(row["seen_px"]) == pytest.approx(there.sum(), abs=near)
        assert int(row["changed_px"]) == pytest.approx((there & changed).sum(), abs=near)
        assert float(row["seen_share"]) == pytest.approx(there.sum() / shape.area, abs=0.01)
        if not there.any():
            assert row["mean_prob"] == row["changed_share"] == ""
            continue
        assert float(row["changed_m2"]) == pytest.approx((there & changed).sum() / 4, rel=5e-3, abs=near)
        assert float(row["mean_prob"]) == pytest.approx(probability[there].mean(), abs=2e-3)


def test_tiles_have_each_pixel_once(tmp_path, scene):
    a, b, changed, seen = scene
    found = compare(tmp_path, a, b)
    got = rows(tmp_path / "tables" / "x-tiles.csv")
    cells = partition(SIZE, 64)
    assert [(int(r["top"]), int(r["left"]), int(r["height"]), int(r["width"])) for r in got] == [
        (c.top, c.left, c.height, c.width) for c in cells
    ]
    for row, cell in zip(got, cells, strict=True):
        assert int(row["seen_px"]) == seen[cell.slices].sum()
        assert int(row["changed_px"]) == changed[cell.slices].sum()
    assert sum(float(r["changed_m2"]) for r in got) == pytest.approx(found.area_m2[1], abs=0.1)


def test_a_geopackage_is_read_too_and_no_column_is_lost_to_ours(tmp_path, scene):
    import pyogrio

    a, b, *_ = scene
    file = tmp_path / "d.gpkg"
    shapes = shapely.to_wkb(np.array([on_map(DISTRICTS[0])], object))
    pyogrio.raw.write(
        file, shapes, [np.array(["north"], object), np.array([7])], ["name", "changed_px"], crs=UTM, layer="d",
        geometry_type="Polygon", driver="GPKG",
    )  # fmt: skip
    compare(tmp_path, a, b, districts=file)
    (row,) = rows(tmp_path / "tables" / "x-districts.csv")
    assert row["name"] == "north"
    assert int(row["changed_px"]) > 7
    assert row["changed_px_of_file"] == "7"


@pytest.mark.parametrize(("shapes", "says"), [
    ([shapely.box(900, 900, 950, 950)], "none of its 1 polygons lies on 220x150 pixels of the map"),
    ([shapely.Point(3, 3)], "must hold polygons and nothing else, received Point"),
    ([], "must hold polygons"),
])  # fmt: skip
def test_districts_that_say_nothing_are_refused_before_hours_are_spent(tmp_path, scene, shapes, says):
    a, b, *_ = scene
    file = write_geojson(tmp_path / "d.geojson", [on_map(s) for s in shapes])
    with pytest.raises(DataError, match=says):
        compare(tmp_path / "out", a, b, lambda x: pytest.fail("the network was asked"), districts=file)


def test_districts_that_claim_another_crs_are_not_on_the_map(tmp_path, scene):
    a, b, *_ = scene
    file = write_geojson(tmp_path / "d.geojson", [on_map(DISTRICTS[0])])
    file.write_text(re.sub(r'"crs": \{.*?\}\}, ', "", file.read_text()))  # metres read as degrees, as GeoJSON has it
    with pytest.raises(DataError, match="none of its 1 polygons lies on"):
        compare(tmp_path / "out", a, b, districts=file)


def test_rasters_without_a_place_have_no_districts(tmp_path):
    file = write_geojson(tmp_path / "d.geojson", [on_map(DISTRICTS[0])])
    with pytest.raises(DataError, match="needs rasters with a CRS"):
        table.Districts.of(file, Georef(None, None, SIZE))


def test_areas_are_those_on_the_ground_where_pixels_differ(tmp_path):
    from rasterio.transform import from_origin

    size = (120, 90)
    before, after, _ = dates(size, [(0, 0, 120, 90)])
    place = {"crs": "EPSG:4326", "transform": from_origin(10, 60, 0.01, 0.01)}
    a, b = write(tmp_path / "a.tif", before, **place), write(tmp_path / "b.tif", after, **place)
    compare(tmp_path, a, b)
    expected = abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(
        shapely.segmentize(shapely.box(10, 58.8, 10.9, 60), 0.01)
    )[0])  # fmt: skip
    got = sum(float(r["changed_m2"]) for r in rows(tmp_path / "tables" / "x-tiles.csv"))
    assert got == pytest.approx(expected, rel=1e-3)


def test_the_grid_of_these_tests_is_that_of_the_rasters():
    assert tuple(place_of())[:6] == (SIDE, 0, X, 0, -SIDE, Y)
