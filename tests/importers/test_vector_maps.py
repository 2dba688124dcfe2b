"""Polygons of a GIS over rasters become masks: holes, any CRS, tiles, no data, and what lies beside."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from test_vector_labels import BOX, PLACE, on_map, scene, write

from rsdet.data.convert import convert

rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")

HOLE = [110, 50, 130, 50, 130, 70, 110, 70]
SLIDE = [250.2, 150.7, 330.9, 180.1, 300.3, 260.6, 240.5, 240.4]


def mask(path: Path) -> np.ndarray:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None, path
    return found


def centres_in(shape: shapely.Geometry, size=(400, 600), place=PLACE) -> np.ndarray:
    """Whether the centre of each pixel is in a shape on the map, by GEOS."""
    x, y = place @ (np.arange(size[1])[None] + 0.5, np.arange(size[0])[:, None] + 0.5)
    return shapely.contains_xy(shape, np.broadcast_to(x, size).ravel(), np.broadcast_to(y, size).ravel()).reshape(size)


@pytest.fixture
def shapes() -> list:
    box, hole, slide = on_map([BOX, HOLE, SLIDE])
    far = on_map([np.array(BOX) + 5000])[0]
    return [shapely.Polygon(box, [hole]), shapely.Polygon(slide), shapely.Polygon(far)]


@pytest.mark.parametrize(("suffix", "crs"), [(".gpkg", "EPSG:32633"), (".geojson", "OGC:CRS84")])
def test_masks_are_what_geos_says_of_the_centres(tmp_path, shapes, suffix, crs):
    raster = scene(tmp_path / "scene.tif")
    labels = write(tmp_path / f"areas{suffix}", shapes, crs, kind=["field", "slide", "field"])
    report = convert(raster, "vector", tmp_path / "out", labels=labels, task="semantic", progress=False)
    want = np.full((400, 600), 2)
    want[centres_in(shapes[0])], want[centres_in(shapes[1])] = 0, 1
    found = mask(tmp_path / "out" / "masks" / "train" / "scene.png")
    content = yaml.safe_load(report.data_yaml.read_text())
    assert (content["names"], content["gsd"]) == ({0: "field", 1: "slide", 2: "background"}, 0.5)
    assert (found != want).sum() <= (0 if suffix == ".gpkg" else 2)  # degrees have few decimals
    assert (found[55:65, 115:125] == 2).all()  # the hole
    assert any("beside all scenes: 1 features" in d.reason for d in report.dropped)


def test_tiles_are_windows_of_the_whole(tmp_path, shapes):
    raster = scene(tmp_path / "scene.tif")
    labels = write(tmp_path / "areas.gpkg", shapes, kind=["slide"] * 3)
    run = dict(labels=labels, task="semantic", progress=False)
    convert(raster, "vector", tmp_path / "whole", **run)
    report = convert(raster, "vector", tmp_path / "out", tile=128, overlap=16, empty=0.5, **run)
    whole = mask(tmp_path / "whole" / "masks" / "train" / "scene.png")
    assert set(np.unique(whole)) == {0, 1}
    tiles = sorted((tmp_path / "out" / "masks" / "train").iterdir())
    for tile in tiles:
        left, top = (int(v) for v in tile.stem.replace("_y", "__x").split("__x")[1:])
        assert np.array_equal(mask(tile), whole[top : top + 128, left : left + 128])
        with rasterio.open(tmp_path / "out" / "images" / "train" / f"{tile.stem}.tif") as f:
            assert f.transform == PLACE @ rasterio.Affine.translation(left, top)
    full = [t for t in tiles if mask(t).any()]
    assert len(tiles) == len(full) + -(-len(full) // 2)
    assert report.splits["train"].counts["pictures"] == 1


def test_where_a_raster_has_no_data_there_is_no_class(tmp_path, shapes):
    raster = scene(tmp_path / "scene.tif", nodata=0)
    with rasterio.open(raster, "r+") as f:
        values = f.read()
        values[:, :, 280:] = 0
        f.write(values)
    labels = write(tmp_path / "areas.gpkg", shapes[:2], kind=["field", "slide"])
    report = convert(raster, "vector", tmp_path / "out", labels=labels, task="semantic", progress=False)
    found = mask(tmp_path / "out" / "masks" / "train" / "scene.png")
    assert (found[:, 280:] == 255).all()
    assert (found[:, :280] != 255).all()
    assert report.splits["train"].forms["pixels without data, which have no class"] == {"255": 400 * 320}
    run = dict(labels=labels, task="semantic", tile=100, overlap=0, empty=99, progress=False)
    cut = convert(raster, "vector", tmp_path / "cut", **run)
    assert all((mask(p) != 255).any() for p in (tmp_path / "cut" / "masks" / "train").iterdir())
    assert cut.splits["train"].counts["images"] == 4 * 3


def test_what_is_to_be_ignored_lies_over_all_else(tmp_path, shapes):
    raster = scene(tmp_path / "scene.tif")
    cloud = shapely.Polygon(on_map([[120, 0, 400, 0, 400, 300, 120, 300]])[0])
    labels = write(tmp_path / "areas.gpkg", [*shapes[:2], cloud], kind=["field", "slide", "ignore"])
    convert(raster, "vector", tmp_path / "out", labels=labels, task="semantic", progress=False)
    found = mask(tmp_path / "out" / "masks" / "train" / "scene.png")
    assert np.array_equal(found == 255, centres_in(cloud))
    assert (found == 0).sum() == (centres_in(shapes[0]) & ~centres_in(cloud)).sum() > 0
