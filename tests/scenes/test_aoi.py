"""Areas of interest in other CRSs than the scene's, around the antimeridian and a pole, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rsdet.errors import ConfigError, DataError
from rsdet.scenes.aoi import aoi_in_pixels
from rsdet.scenes.georef import Georef

pyproj = pytest.importorskip("pyproj")
shapely = pytest.importorskip("shapely")
pyogrio = pytest.importorskip("pyogrio")


def georef_of(crs, transform, size_hw):
    info = SimpleNamespace(path=Path("scene.tif"), size_hw=size_hw, crs_wkt=pyproj.CRS.from_user_input(crs).to_wkt(),
                           transform=transform, gcps=False, rpcs=False)  # fmt: skip
    return Georef.of(info)


UTM = georef_of("EPSG:32632", (0.8, 0.6, 500_000, 0.6, -0.8, 5_000_000), (1000, 2000))  # turned by 37 degrees


def geojson(path, *rings, kind="Polygon"):
    shape = rings if kind == "Polygon" else [[r] for r in rings] if kind == "MultiPolygon" else rings[0]
    path.write_text(json.dumps({"type": kind, "coordinates": shape}))
    return path


def ring(x1, y1, x2, y2):
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]]


def save(path, shapes, crs, kind="Polygon", **more):
    pyogrio.raw.write(path, shapely.to_wkb(np.array(shapes)), [], [], geometry_type=kind, crs=crs, **more)
    return path


def test_an_area_in_degrees_covers_the_same_pixels_of_a_turned_scene(tmp_path):
    px = np.array([[200.0, 100], [900, 100], [900, 700], [200, 700]])
    area = aoi_in_pixels(geojson(tmp_path / "a.geojson", UTM.to_lonlat([*px, px[0]]).tolist()), UTM, UTM.size_hw)
    assert shapely.is_prepared(area)
    assert shapely.is_valid(area)
    assert shapely.hausdorff_distance(area, shapely.Polygon(px)) < 0.05


def test_an_area_in_the_crs_of_the_scene_is_cut_at_its_edge(tmp_path):
    x, y = UTM.to_map([[2000, 1000]])[0]
    file = save(tmp_path / "a.gpkg", [shapely.Point(x, y).buffer(50, 64)], "EPSG:32632", driver="GPKG")
    area = aoi_in_pixels(file, UTM, UTM.size_hw)
    assert area.area == pytest.approx(np.pi * 50**2 / 4, rel=0.01)
    assert area.bounds == pytest.approx((1950, 950, 2000, 1000), abs=0.1)


def test_long_edges_stay_where_the_file_has_them(tmp_path):
    """A parallel is a curve in UTM: 4 degrees of the 60th rise 1.3 km above their chord."""
    georef = georef_of("EPSG:32632", (100, 0, 300_000, 0, -100, 6_800_000), (3000, 4000))
    area = aoi_in_pixels(geojson(tmp_path / "a.geojson", ring(7, 60, 11, 61)), georef, georef.size_hw)
    to_utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True)
    on_edge = georef.to_pixels(np.stack(to_utm.transform(np.linspace(7, 11, 50), np.full(50, 60.0)), 1))
    assert max(shapely.distance(area.exterior, shapely.points(on_edge))) < 0.1


def test_the_whole_world_covers_all_of_any_scene(tmp_path):
    world = geojson(tmp_path / "world.geojson", ring(-180, -90, 180, 90))
    pole = georef_of("EPSG:3413", (1000, 0, -500_000, 0, -1000, 500_000), (1000, 1000))
    fiji = georef_of("EPSG:32701", (100, 0, 100_000, 0, -100, 8_200_000), (1000, 1000))
    globe = georef_of("EPSG:4326", (0.1, 0, -180, 0, -0.1, 90), (1800, 3600))
    pacific = georef_of("EPSG:4326", (0.1, 0, 0, 0, -0.1, 90), (1800, 3600))
    for georef in (UTM, pole, fiji, globe, pacific):
        covered = aoi_in_pixels(world, georef, georef.size_hw).area
        assert covered == pytest.approx(np.prod(georef.size_hw), rel=1e-6)


@pytest.mark.parametrize(
    "georef",
    [
        georef_of("EPSG:3832", (100, 0, 3_229_000, 0, -100, -1_800_000), (3000, 3000)),  # Mercator around 150 E
        georef_of("EPSG:4326", (0.001, 0, 179, 0, -0.001, -16), (3000, 3000)),
        georef_of("EPSG:4326", (0.001, 0, -182, 0, -0.001, -16), (3000, 4000)),
    ],
)
def test_an_area_across_the_antimeridian_is_in_one_piece(tmp_path, georef):
    split = geojson(
        tmp_path / "s.geojson", ring(179.5, -18, 180, -17), ring(-180, -18, -179.5, -17), kind="MultiPolygon"
    )
    over = geojson(tmp_path / "o.geojson", ring(179.5, -18, 180.5, -17))
    a, b = (aoi_in_pixels(f, georef, georef.size_hw) for f in (split, over))
    assert a.geom_type == b.geom_type == "Polygon"
    assert shapely.hausdorff_distance(a, b) < 1e-3
    lonlat = georef.to_lonlat(shapely.get_coordinates(a))
    assert np.abs(lonlat[:, 0]).min() == pytest.approx(179.5)
    assert a.area > 100_000


def test_overlapping_and_crossed_polygons_are_made_one(tmp_path):
    bow = UTM.to_lonlat([[100, 100], [300, 300], [300, 100], [100, 300], [100, 100]]).tolist()
    more = UTM.to_lonlat([[250, 100], [400, 100], [400, 300], [250, 300], [250, 100]]).tolist()
    area = aoi_in_pixels(geojson(tmp_path / "a.geojson", bow, more, kind="MultiPolygon"), UTM, UTM.size_hw)
    assert shapely.is_valid(area)
    assert area.area == pytest.approx(20_000 + 30_000 - 7_500, rel=1e-3)


def test_an_area_elsewhere_is_refused_with_both_extents(tmp_path):
    with pytest.raises(DataError, match=r"outside of the scene.*from 20, 10 to 21, 11.*from 9, 45\.1.* to 9\.0") as e:
        aoi_in_pixels(geojson(tmp_path / "a.geojson", ring(20, 10, 21, 11)), UTM, UTM.size_hw)
    assert "\n" not in str(e.value)


def test_an_area_that_but_touches_the_scene_is_outside(tmp_path):
    x, y = georef_of("EPSG:32632", (1, 0, 0, 0, -1, 0), (10, 10)).to_map([[10, 0]])[0]
    flat = georef_of("EPSG:32632", (1, 0, 0, 0, -1, 0), (10, 10))
    file = save(tmp_path / "a.gpkg", [shapely.box(x, y - 10, x + 5, y)], "EPSG:32632", driver="GPKG")
    with pytest.raises(DataError, match="outside of the scene"):
        aoi_in_pixels(file, flat, flat.size_hw)


def test_a_scene_without_a_place_has_no_area(tmp_path):
    with pytest.raises(ConfigError, match="leave aoi= out"):
        aoi_in_pixels(tmp_path / "a.geojson", Georef(None, None, (10, 10)), (10, 10))


def _lines(path):
    return geojson(path / "a.geojson", [[9, 45], [10, 46]], kind="LineString")


def _nothing(path):
    (path / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    return path / "a.geojson"


def _no_crs(path):
    return save(path / "a.shp", [shapely.box(0, 0, 1, 1)], None, driver="ESRI Shapefile")


def _building_site(path):
    return save(path / "a.gpkg", [shapely.box(0, 0, 1, 1)], 'LOCAL_CS["site",UNIT["metre",1]]', driver="GPKG")


def _two_layers(path):
    for name in "ab":
        save(path / "a.gpkg", [shapely.box(0, 0, 1, 1)], "EPSG:4326", driver="GPKG", layer=name, append=name == "b")
    return path / "a.gpkg"


def _pointer(path):
    """A virtual layer, which GDAL would open by what it says and follow to wherever it points."""
    (path / "a.geojson").write_text(
        '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/vsicurl/http://localhost:9/a.geojson'
        "</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
    )
    return path / "a.geojson"


def _cut_off(path):
    (path / "a.geojson").write_text('{"type": "Polygon", "coordi')
    return path / "a.geojson"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_lines, "received LineString"),
        (_nothing, "received nothing"),
        (_no_crs, "-a_srs"),
        (_building_site, "says"),
        (_two_layers, "2 layers"),
        (_pointer, "does not begin as"),
        (_cut_off, "cannot be read"),
        (lambda path: path / "none.geojson", "No such file"),
        (lambda path: path / "area.kml", "ogr2ogr"),
    ],
)
def test_a_file_that_is_no_area_is_refused_in_one_line(tmp_path, make, words):
    with pytest.raises(DataError, match=words) as e:
        aoi_in_pixels(make(tmp_path), UTM, UTM.size_hw)
    assert "\n" not in str(e.value)


def test_an_area_of_another_body_is_refused(tmp_path):
    mars = georef_of("ESRI:104905", (0.1, 0, 0, 0, -0.1, 10), (100, 100))
    with pytest.raises(DataError, match="same body"):
        aoi_in_pixels(geojson(tmp_path / "a.geojson", ring(1, 1, 2, 2)), mars, mars.size_hw)
