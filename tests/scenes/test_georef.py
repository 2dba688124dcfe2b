"""Known points: the place of pixels on the map, on the globe and in metres, and scenes that have none."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rsdet.errors import DataError
from rsdet.scenes.georef import Georef
from rsdet.scenes.placement import placement_problem

pyproj = pytest.importorskip("pyproj")

UTM = (0.3, 0, 500_000, 0, -0.3, 5_000_000)


def scene(crs="EPSG:32632", transform=UTM, size_hw=(1000, 2000), **more):
    wkt = crs and pyproj.CRS.from_user_input(crs).to_wkt()
    return SimpleNamespace(
        **{"path": Path("scene.tif"), "size_hw": size_hw, "crs_wkt": wkt, "transform": transform, "gcps": False,
           "rpcs": False, **more}
    )  # fmt: skip


def turned(angle_deg, px_m, shear_deg=0.0, east=500_000.0, north=5_000_000.0):
    """A geotransform whose columns run at an angle to the east, and whose rows are sheared."""
    a, s = math.radians(angle_deg), math.radians(shear_deg)
    return (px_m * math.cos(a), px_m * math.sin(a + s), east, px_m * math.sin(a), -px_m * math.cos(a + s), north)


def test_a_box_in_utm_lies_where_pyproj_says():
    georef = Georef.of(scene())
    assert georef.to_map([[100, 200]]).tolist() == [[500_030, 4_999_940]]
    lon, lat = pyproj.Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(500_030, 4_999_940)
    np.testing.assert_allclose(georef.to_lonlat([[100, 200]]), [[lon, lat]], atol=1e-12)
    assert 8 < lon < 10
    assert 45 < lat < 46


@pytest.mark.parametrize("transform", [turned(30, 0.5), turned(-75, 2, 12), turned(200, 0.05, -30), (1, 0, 0, 0, 1, 0)])
def test_pixels_come_back_from_turned_sheared_and_south_up_maps(transform):
    georef = Georef.of(scene(transform=transform))
    px = np.random.default_rng(0).uniform(-10, 60_000, (500, 2))
    a, b, c, d, e, f = transform
    there = georef.to_map(px)
    assert there[7].tolist() == pytest.approx([a * px[7, 0] + b * px[7, 1] + c, d * px[7, 0] + e * px[7, 1] + f])
    np.testing.assert_allclose(georef.to_pixels(there), px, atol=1e-6)


def test_a_turned_scene_has_metres_along_its_own_sides():
    """30 x 10 px of 0.5 m, which lie at an angle on the map."""
    georef = Georef.of(scene(transform=turned(37, 0.5)))
    quad = np.array([[[100, 100], [130, 100], [130, 110], [100, 110]]])
    scale = 0.9996  # of UTM on its middle meridian
    np.testing.assert_allclose(georef.extent_m(quad), [[15 / scale, 5 / scale]], rtol=1e-6)
    assert georef.gsd_m() == pytest.approx(0.5 / scale, rel=1e-5)


def test_web_mercator_does_not_double_what_lies_at_60_degrees():
    x, y = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(10, 60)
    georef = Georef.of(scene("EPSG:3857", (1, 0, x - 50, 0, -1, y + 50), size_hw=(100, 100)))
    quad = np.array([[[30.0, 45], [70, 45], [70, 55], [30, 55]]])
    corners = georef.to_lonlat([[30, 50], [70, 50]]).ravel()
    known = pyproj.Geod(ellps="WGS84").inv(*corners)[2]
    assert georef.extent_m(quad)[0, 0] == pytest.approx(known, rel=1e-9)
    assert known == pytest.approx(20, rel=0.01)
    assert georef.gsd_m() == pytest.approx(0.5, rel=0.01)


def test_a_geographic_crs_is_measured_on_its_ellipsoid():
    georef = Georef.of(scene("EPSG:4326", (1e-5, 0, 10, 0, -1e-5, 60), size_hw=(10, 10)))
    east, north = 1e-5 * 55_800, 1e-5 * 111_412  # metres a degree at 60 degrees north
    assert georef.gsd_m() == pytest.approx(math.sqrt(east * north), rel=1e-3)


@pytest.mark.parametrize("crs", ["EPSG:27572", "EPSG:2263", "ESRI:104905", "EPSG:5555"])
def test_grads_feet_mars_and_heights_have_metres(crs):
    """NTF Paris counts in grads, New York in feet; Mars has its own ellipsoid; a compound CRS has heights."""
    crs = pyproj.CRS.from_user_input(crs)
    unit = crs.axis_info[0].unit_conversion_factor
    radius = crs.ellipsoid.semi_major_metre
    step = 1e-7 if crs.is_geographic else 1.0
    x, y = {"EPSG:27572": (600_000, 2_200_000), "EPSG:2263": (984_250, 200_000)}.get(crs.srs, (500_000.0, 0.0))
    if crs.is_geographic:
        x = y = 0.0
    georef = Georef.of(scene(crs, (step, 0, x, 0, -step, y), size_hw=(2, 2)))
    assert georef.gsd_m() == pytest.approx(step * unit * (radius if crs.is_geographic else 1), rel=0.01)


def test_longitudes_behind_180_are_told_within_180():
    georef = Georef.of(scene("EPSG:4326", (0.1, 0, 179, 0, -0.1, 0.5), size_hw=(10, 20)))
    np.testing.assert_allclose(georef.to_lonlat([[5, 0], [15, 0]])[:, 0], [179.5, -179.5])


def test_a_place_beside_the_earth_has_no_metres():
    geos = "+proj=geos +h=35785831 +lon_0=-75 +sweep=x +ellps=GRS80 +type=crs"
    georef = Georef.of(scene(geos, (4000, 0, -6e6, 0, -4000, 6e6), size_hw=(3000, 3000)))
    quads = np.array([[[0, 0], [2, 0], [2, 1], [0, 1]], [[1500, 1500], [1502, 1500], [1502, 1501], [1500, 1501]]])
    assert np.isnan(georef.extent_m(quads)[0]).all()
    assert georef.extent_m(quads)[1] == pytest.approx([8000, 4000], rel=0.01)


def test_a_place_can_be_sent_to_workers():
    georef = Georef.of(scene())
    georef.gsd_m()
    assert pickle.loads(pickle.dumps(georef)) == georef


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (scene(crs=None), "no CRS"),
        (scene(transform=None), "no geotransform"),
        (scene(crs='LOCAL_CS["arbitrary",UNIT["metre",1]]'), "Engineering CRS"),
    ],
)
def test_scenes_without_a_place_are_told_and_looked_at(info, words):
    assert words in placement_problem(info)
    georef = Georef.of(info)
    assert not georef.placed
    assert georef.gsd_m() is None
    assert np.isnan(georef.extent_m(np.zeros((3, 4, 2)))).all()


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (scene(transform=(1, 2, 0, 2, 4, 0)), "without area"),
        (SimpleNamespace(**{**vars(scene()), "crs_wkt": 'PROJCS["half'}), "-a_srs"),
    ],
)
def test_a_place_that_cannot_be_read_is_refused_with_a_remedy(info, words):
    with pytest.raises(DataError, match=words) as e:
        Georef.of(info)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("by", ["gcps", "rpcs"])
def test_points_or_a_camera_alone_are_refused_with_the_command_that_helps(tmp_path, by):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.control import GroundControlPoint
    from rasterio.rpc import RPC

    path = tmp_path / "raw scene.tif"
    place = {}
    if by == "gcps":
        at = [(0, 0, 12.0, 43.0), (0, 50, 12.1, 43.0), (50, 0, 12.0, 42.9), (50, 50, 12.1, 42.9)]
        place = {"gcps": [GroundControlPoint(r, c, x, y) for r, c, x, y in at], "crs": "EPSG:4326"}
    else:
        one, x, y = ([float(k == n) for k in range(20)] for n in (0, 1, 2))  # polynomials of RPCs: 1, lon, lat
        place = {"rpcs": RPC(0, 500, -43, 0.1, one, y, 25, 25, 12, 0.1, one, x, 25, 25)}
    with rasterio.open(path, "w", driver="GTiff", width=50, height=50, count=1, dtype="uint8", **place) as file:
        file.write(np.zeros((1, 50, 50), np.uint8))
    info = scene(crs=None, transform=None, path=path, **{by: True})
    with pytest.raises(DataError) as e:
        Georef.of(info)
    option, epsg = ("-tps", 32633) if by == "gcps" else ("-rpc", 32733)
    assert f"gdalwarp {option} -t_srs EPSG:{epsg} " in str(e.value)
    assert f"'{path}' 'raw scene-map.tif' (" in str(e.value)  # with nothing behind it that a copy would take along
