"""Quicklook and contact sheet of a scene: what a person sees on them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rsdet.data.pictures import PictureReader
from rsdet.scenes.contact_sheet import COLUMNS, CROP_PX, write_contact_sheet
from rsdet.scenes.found import Found
from rsdet.scenes.quicklook import LONGEST_PX, write_quicklook
from rsdet.scenes.reader import Values, open_raster
from rsdet.tasks.detect.visual import class_colour

pytest.importorskip("rasterio", reason="scenes are read with rasterio")

NAMES = {0: "car", 1: "ship", 2: "pl\x1b[31mane\n" + 300 * "x"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A dim grey scene of 5000 x 3000 px, opened, and its values."""
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(60, 90, (3000, 5000, 3), dtype=np.uint8))
    with open_raster(path) as raster:
        yield raster, Values.of(raster, PictureReader())


def opened(path, size_hw):
    cv2.imwrite(str(path), np.full((*size_hw, 3), 70, np.uint8))
    raster = open_raster(path)
    return raster, Values.of(raster, PictureReader())


def found(boxes, classes=0, **more) -> Found:
    boxes = np.array(boxes, float).reshape(-1, 4)
    n = len(boxes)
    zero = np.zeros(n)
    return Found(boxes, np.linspace(0.9, 0.1, n), zero + classes, np.arange(n), zero, zero, zero, **more)


def coloured(path, class_id: int) -> np.ndarray:
    """(H, W) bool, pixels of a picture in the colour of a class."""
    return (cv2.imread(str(path)) == class_colour(class_id)[::-1]).all(2)


def test_the_smallest_object_is_seen_on_the_quicklook(scene, tmp_path):
    path = write_quicklook(tmp_path / "q.png", *scene, found([[2500, 1500, 2501.5, 1501]]), NAMES)
    seen = coloured(path, 0)
    assert seen.shape[1] == LONGEST_PX
    assert max(seen.shape) == LONGEST_PX
    y, x = round(1500 * LONGEST_PX / 5000), LONGEST_PX // 2
    assert seen[y - 4 : y + 4, x - 4 : x + 4].sum() >= 12


@pytest.mark.parametrize("kind", ["corners", "outlines"])
def test_shapes_are_drawn_as_they_are(kind, scene, tmp_path):
    diamond = np.array([[2500, 1000], [3000, 1500], [2500, 2000], [2000, 1500]], float)
    more = {"corners": diamond[None]} if kind == "corners" else {"outlines": [[diamond]]}
    path = write_quicklook(tmp_path / "q.png", *scene, found([[2000, 1000, 3000, 2000]], **more), NAMES)
    seen, scale = coloured(path, 0)[:1220], LONGEST_PX / 5000
    for x, y in (diamond * scale).astype(int):
        assert seen[y - 6 : y + 6, x - 6 : x + 6].any()
    corner = seen[int(1000 * scale) - 5 : int(1200 * scale), int(2000 * scale) - 5 : int(2200 * scale)]
    assert not corner.any()
    sheet = write_contact_sheet(tmp_path / "c.png", *scene, found([[2000, 1000, 3000, 2000]], **more), NAMES, 4)
    crop = coloured(sheet, 0)[36 : 36 + CROP_PX, 8 : 8 + CROP_PX]
    assert crop.any()
    assert not crop[: CROP_PX // 4 + 20, : CROP_PX // 4 + 20].any()


def test_small_or_empty_outlines_do_not_vanish(scene, tmp_path):
    speck = np.array([[700, 700], [701, 700], [701, 701.0]])
    one = found([[700, 700, 701, 701], [1700, 700, 1701, 701]], outlines=[[speck], []])
    seen = coloured(write_quicklook(tmp_path / "q.png", *scene, one, NAMES), 0)
    assert seen[:500, 250:350].sum() >= 8
    assert seen[:500, 650:750].sum() >= 8


def test_a_crowd_is_counted_in_squares(scene, tmp_path):
    rng = np.random.default_rng(0)
    xy = np.concatenate([rng.normal([1000, 1500], 200, (4000, 2)), rng.normal([4000, 1500], 200, (4000, 2))])
    many = found(np.concatenate([xy - 5, xy + 5], 1), np.repeat([0, 1], 4000))
    path = write_quicklook(tmp_path / "q.png", *scene, many, NAMES)
    picture = cv2.imread(str(path)).astype(int)[:1220]
    left, right, far = (picture[600:628, x : x + 30].mean((0, 1)) for x in (395, 1625, 1010))
    assert left[2] > left[0] + 60  # orange, over grey
    assert right[0] > right[2] + 40  # blue
    assert np.ptp(far) < 5
    same = write_quicklook(tmp_path / "again.png", *scene, many.take(rng.permutation(8000)), NAMES)
    assert same.read_bytes() == path.read_bytes()


def test_nothing_found(scene, tmp_path):
    assert write_quicklook(tmp_path / "q.png", *scene, Found.none(), NAMES).stat().st_size
    assert write_contact_sheet(tmp_path / "c.png", *scene, Found.none(), NAMES, 24) is None
    assert write_contact_sheet(tmp_path / "c.png", *scene, found([[1, 1, 9, 9]]), NAMES, 0) is None
    assert [p.name for p in tmp_path.iterdir()] == ["q.png"]


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 6000), (6000, 3), (90, 120), (700, 300)])
def test_scenes_of_any_shape(size_hw, tmp_path):
    raster, values = opened(tmp_path / "s.png", size_hw)
    with raster:
        things = found([[0, 0, 2, 1], [-50, -50, 9000, 9000], [5990, 0, 6010, 3]], [0, 1, 7])
        for path in (
            write_quicklook(tmp_path / "q.png", raster, values, things, NAMES),
            write_contact_sheet(tmp_path / "c.png", raster, values, things, NAMES, 24),
        ):
            height, width, _ = cv2.imread(str(path)).shape
            assert max(height, width) <= LONGEST_PX + 200
            assert width >= min(640, max(size_hw))


def test_the_sheet_shows_the_strongest_and_the_weakest(scene, tmp_path):
    xy = np.random.default_rng(1).uniform(100, 2900, (40, 2))
    things = found(np.concatenate([xy - 10, xy + 10], 1), np.repeat([0, 1, 0], [6, 28, 6]))
    path = write_contact_sheet(tmp_path / "c.png", *scene, things, NAMES, 12)
    sheet = cv2.imread(str(path))
    step = CROP_PX + 8
    assert sheet.shape[1] == COLUMNS * step + 8
    assert coloured(path, 0).any()
    assert not coloured(path, 1).any()  # the 28 between
    shuffled = things.take(np.random.default_rng(2).permutation(40))
    same = write_contact_sheet(tmp_path / "d.png", *scene, shuffled, NAMES, 12)
    assert same.read_bytes() == path.read_bytes()
    few = cv2.imread(str(write_contact_sheet(tmp_path / "e.png", *scene, things.take(np.arange(3)), NAMES, 24)))
    assert len(few) < len(sheet) / 1.5


def test_a_crop_shows_the_place_of_its_object(tmp_path):
    picture = np.full((1000, 1400, 3), 40, np.uint8)
    picture[700:720, 1000:1030] = (0, 0, 250)
    cv2.imwrite(str(tmp_path / "s.tif"), picture)
    with open_raster(tmp_path / "s.tif") as raster:
        values = Values.of(raster, PictureReader())
        one = found([[1000, 700, 1030, 720]], 1)
        sheet = cv2.imread(str(write_contact_sheet(tmp_path / "c.png", raster, values, one, NAMES, 1)))
    crop = sheet[36 : 36 + CROP_PX, 8 : 8 + CROP_PX]
    red = np.argwhere((crop[..., 2] > 200) & (crop[..., 0] < 50))
    assert abs(red.mean(0) - CROP_PX / 2).max() < 2
    blue = np.argwhere((crop == class_colour(1)[::-1]).all(2))
    assert np.abs([blue.min(0) - red.min(0), blue.max(0) - red.max(0)]).max() <= 5


def test_deep_scenes_use_the_values_of_the_model(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.tif"), np.linspace(0, 4000, 250_000).reshape(500, 500).astype(np.uint16))
    with open_raster(tmp_path / "deep.tif") as raster:
        values = Values.of(raster, replace(PictureReader(), channels=1), stretch=[1000, 3000])
        path = write_quicklook(tmp_path / "q.png", raster, values, Found.none(), NAMES)
    picture = cv2.imread(str(path))[:500]
    assert picture[:120].max() == 0
    assert picture[-120:].min() == 255
