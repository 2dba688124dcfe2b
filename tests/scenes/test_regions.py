"""Regions of maps read in bands are those of the whole map: joined across bands, holes kept, corners no bridges."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet.scenes.georef import Georef
from rsdet.scenes.ground import PixelAreas
from rsdet.scenes.regions import Regions, connected_regions

shapely = pytest.importorskip("shapely")
features = pytest.importorskip("rasterio.features")
pyproj = pytest.importorskip("pyproj")
ndimage = pytest.importorskip("scipy.ndimage")


def found(classes, rows, planes=(), kept=range(255)):
    def read(top, bottom):
        return classes[top:bottom], [p[top:bottom] for p in planes]

    return Regions.joined(list(connected_regions(read, classes.shape, set(kept), rows)))


def whole(classes, kept):
    """Reference: SciPy's labels of each class of the whole map, as (class, first pixel) -> mask."""
    out = {}
    for k in kept:
        labels, n = ndimage.label(classes == k)  # neighbours by their sides
        for i in range(1, n + 1):
            out[int(np.flatnonzero(labels == i)[0])] = (k, labels == i)
    return out


MAPS = {
    "noise": lambda rng: rng.integers(0, 3, (41, 29)),
    "blobs": lambda rng: ndimage.zoom(rng.integers(0, 4, (9, 7)), 6, order=0),
    "rings": lambda rng: (np.maximum(*np.abs(np.indices((40, 40)) - 19.5)) // 3 % 2).astype(int),
    "chequers": lambda rng: np.indices((24, 24)).sum(0) % 2,
    "combs": lambda rng: np.where(np.arange(30)[:, None] == 29, 1, np.arange(31) % 2) * np.ones((30, 1), int),
    "ignored": lambda rng: np.where(rng.random((33, 17)) < 0.4, 255, rng.integers(0, 2, (33, 17))),
    "spiral": lambda rng: spiral(31),
}


def spiral(n):
    out, y, x, dy, dx = np.zeros((n, n), int), 0, 0, 0, 1
    while not out[y, x]:
        out[y, x] = 1
        ahead = [(y + dy * k, x + dx * k) for k in (1, 2)]
        if any(not (0 <= a < n and 0 <= b < n) for a, b in ahead[:1]) or (
            0 <= ahead[1][0] < n and 0 <= ahead[1][1] < n and out[ahead[1]]
        ):
            dy, dx = dx, -dy
        y, x = y + dy, x + dx
        if not (0 <= y < n and 0 <= x < n):
            break
    return out


@pytest.mark.parametrize("rows", [1, 2, 7, 1000])
@pytest.mark.parametrize("name", MAPS)
def test_regions_in_bands_are_those_of_the_whole_map(name, rows):
    rng = np.random.default_rng(1)
    classes = MAPS[name](rng).astype(np.uint8)
    plane = np.where(rng.random(classes.shape) < 0.1, np.nan, rng.normal(size=classes.shape))
    got, expected = found(classes, rows, [plane]), whole(classes, range(255))
    assert got.first.tolist() == sorted(expected)
    for i, first in enumerate(got.first.tolist()):
        k, mask = expected[first]
        shape = got.shapes[i]
        assert (got.classes[i], got.pixels[i], shape.area) == (k, mask.sum(), mask.sum())
        assert shape.is_valid
        assert shape.geom_type == "Polygon"
        assert (features.rasterize([shape], classes.shape) == mask).all()
        values = plane[mask & np.isfinite(plane)]
        assert got.counts[i, 0] == len(values)
        assert got.sums[i, 0] == pytest.approx(values.sum())
        if len(values):
            assert (got.lowest[i, 0], got.highest[i, 0]) == (values.min(), values.max())


@pytest.mark.parametrize("name", MAPS)
def test_polygons_have_the_corners_that_those_of_the_whole_map_have(name):
    classes = MAPS[name](np.random.default_rng(2)).astype(np.uint8)
    at_once, in_bands = found(classes, 1000), found(classes, 3)
    assert shapely.equals(at_once.shapes, in_bands.shapes).all()
    assert shapely.get_num_coordinates(at_once.shapes).tolist() == shapely.get_num_coordinates(in_bands.shapes).tolist()
    reference = [
        shapely.geometry.shape(g)
        for k in np.unique(classes[classes < 255]).tolist()
        for g, v in features.shapes((classes == k).astype(np.uint8), connectivity=4)
        if v
    ]
    assert sorted(s.normalize().wkt for s in reference) == sorted(s.normalize().wkt for s in at_once.shapes)


def test_pixels_that_touch_in_a_corner_across_a_band_are_two_regions():
    classes = np.zeros((4, 4), np.uint8)
    classes[:2, :2] = classes[2:, 2:] = 1
    assert found(classes, 2, kept=[1]).pixels.tolist() == [4, 4]
    assert found(classes, 2, kept=[0]).pixels.tolist() == [4, 4]
    assert len(found(classes, 2, kept=[7])) == 0


def test_a_u_whose_arms_meet_in_the_last_band_is_one_region_and_its_halves_are_never_given():
    classes = np.zeros((9, 9), np.uint8)
    classes[:, [1, 3, 5, 7]] = 1
    classes[8, 1:8] = 1
    got = found(classes, 2, kept=[1])
    assert got.pixels.tolist() == [4 * 9 + 3]
    assert got.first.tolist() == [1]


def test_what_is_held_does_not_grow_with_the_height():
    """Regions are given out as soon as their last row is read."""
    top = [0]

    def read(first, past):
        top[0] = first
        return (np.indices((past - first, 8))[0] % 4 < 2).astype(np.uint8), []

    seen = [(top[0], p.first.max()) for p in connected_regions(read, (4000, 8), {1}, 10) if len(p)]
    assert all(at - last // 8 <= 20 for at, last in seen)
    assert sum(1 for _ in seen) > 300


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32632", (10, 0, 500_000, 0, -10, 5_000_000)),
        ("EPSG:4326", (0.01, 0, 10, 0, -0.01, 60)),
        ("EPSG:3857", (1000, 0, 0, 0, -1000, 8_000_000)),
        ("EPSG:3035", (3000, 0, 2_500_000, 0, -3000, 5_000_000)),  # keeps areas, not angles
        ("ESRI:54008", (1000, 0, 5_000_000, 0, -1000, 6_000_000)),  # sinusoidal: shears by half a right angle
        ("EPSG:4326", (0.008, 0.006, 10, 0.006, -0.008, 60)),
    ],
)
def test_areas_of_pixels_are_those_of_their_geodesic_polygons(crs, transform):
    geod, to_lonlat = pyproj.CRS(crs).get_geod(), pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    georef = Georef(pyproj.CRS(crs).to_wkt(), transform, (700, 800))
    areas = PixelAreas(georef).rows(3, 640)
    assert areas.shape == (637, 800)
    np.testing.assert_array_equal(PixelAreas(georef).rows(97, 130, slice(5, 70)), areas[94:127, 5:70])
    for row, column in ((3, 0), (100, 333), (639, 799)):
        square = np.array([(column + dx, row + dy) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1))], float)
        lonlat = to_lonlat.transform(*georef.to_map(square).T)
        assert areas[row - 3, column] == pytest.approx(abs(geod.polygon_area_perimeter(*lonlat)[0]), rel=2e-4)


def test_areas_of_scenes_without_a_place_are_unknown():
    assert np.isnan(PixelAreas(Georef(None, None, (5, 6))).rows(1, 3)).all()
    tall = Georef(pyproj.CRS("EPSG:32632").to_wkt(), (10, 0, 5e5, 0, -10, 5e6), (1, 3))
    np.testing.assert_allclose(PixelAreas(tall).rows(0, 1), 100 / 0.9996**2, rtol=1e-4)
