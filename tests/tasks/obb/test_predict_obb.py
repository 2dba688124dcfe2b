"""Prediction of oriented boxes: what is cut out, what is written for DOTA, and that enhancers leave pixels alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from exported import lively

from rsdet.data.scenes import render_scene
from rsdet.enhance.loading import load_chain
from rsdet.errors import ConfigError
from rsdet.geometry import xywhr_to_corners
from rsdet.tasks.obb.predict import OBBResults


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lively("obb", tmp_path_factory.mktemp("obb"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i, size in enumerate([(96, 128), (128, 96)]):
        cv2.imwrite(str(folder / f"P{i:04d}.png"), np.ascontiguousarray(render_scene(i, size).image[..., ::-1]))
    return folder


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.3, 2.2])
def test_a_crop_shows_its_object_upright(tmp_path, angle):
    """The upper left quarter of the object is bright, and stays the upper left quarter of the crop."""
    box = np.array([[80.0, 70.0, 60.0, 24.0, angle]])
    corners = xywhr_to_corners(box)[0]  # lower right, upper right, upper left, lower left as the box has it
    middle = corners.mean(0)
    quarter = np.array([corners[2], (corners[2] + corners[1]) / 2, middle, (corners[2] + corners[3]) / 2])
    picture = np.zeros((140, 160, 3), np.uint8)
    for outline, colour in ((corners, 90), (quarter, 255)):
        cv2.fillPoly(picture, [np.round((outline - 0.5) * 16).astype(np.int32)], (colour,) * 3, shift=4)
    found = torch.tensor(np.hstack([box, [[0.9, 0.0]]]), dtype=torch.float32)
    result = OBBResults(picture, path="a.png", names={0: "ship"}, obb=found)
    result.save_crop(tmp_path, "a")
    crop = cv2.imread(str(tmp_path / "ship" / "a.jpg"), cv2.IMREAD_GRAYSCALE)
    assert crop.shape == (round(24 * 1.02 + 10), round(60 * 1.02 + 10))
    height, width = crop.shape
    left, top = (width - 60) / 2, (height - 24) / 2
    means = [crop[int(top + y) + 3 : int(top + y) + 9, int(left + x) + 4 : int(left + x) + 26].mean()
             for y in (0, 12) for x in (0, 30)]  # fmt: skip
    np.testing.assert_allclose(means, [255, 90, 90, 90], atol=12)
    assert crop[:2].mean() < 20


def test_dota_gets_a_file_for_each_class(model, photos, tmp_path):
    results = model.predict(photos, imgsz=128, save_dota=True, save=False, project=str(tmp_path), name="run")
    rows = {f.name: f.read_text().splitlines() for f in (tmp_path / "run" / "dota").iterdir()}
    assert sorted(rows) == [f"Task1_{i}.txt" for i in range(3)]
    assert sum(map(len, rows.values())) == sum(map(len, results)) > 0
    wanted = np.concatenate([r.obb.xyxyxyxy.reshape(-1, 8).numpy() for r in results])
    written = [line.split() for lines in rows.values() for line in lines]
    assert {w[0] for w in written} == {"P0000", "P0001"}
    places = np.array([[float(v) for v in w[2:]] for w in written])
    assert np.abs(places[:, None] - wanted[None]).max(-1).min(1).max() < 0.011


def test_boxes_in_an_enlarged_picture_come_back_in_pixels_of_the_source(model, photos):
    chain, photo = load_chain("bicubic"), photos / "P0000.png"
    enlarged = chain.apply_bgr(cv2.imread(str(photo)))
    (there,) = model.predict(enlarged, imgsz=128, save=False, conf=0.1)
    (here,) = model.predict(photo, imgsz=128, save=False, conf=0.1, enhance="bicubic")
    assert len(here) > 0
    assert here.orig_shape == (96, 128)
    np.testing.assert_allclose(here.obb.xywhr[:, :4] * chain.scale, there.obb.xywhr[:, :4], rtol=1e-5)
    np.testing.assert_array_equal(here.obb.xywhr[:, 4], there.obb.xywhr[:, 4])


def test_a_picture_with_a_blank_in_its_name_costs_no_other_its_row(model, tmp_path):
    for name in ("a b.png", "a-b.png"):
        cv2.imwrite(str(tmp_path / name), np.ascontiguousarray(render_scene(0, (96, 128)).image[..., ::-1]))
    model.predict(tmp_path, imgsz=128, save_dota=True, save=False, project=str(tmp_path), name="run")
    rows = [line.split() for f in (tmp_path / "run" / "dota").iterdir() for line in f.read_text().splitlines()]
    assert {len(row) for row in rows} == {10}
    assert {row[0] for row in rows} == {"a-b", "a-b-2"}


def test_an_unread_prediction_does_not_block_the_next(model, photos):
    """Ultralytics holds a lock between two results, on which a second prediction waits for ever."""
    stream = model.predict(photos, imgsz=128, save=False, stream=True)
    next(stream)
    with pytest.raises(ConfigError, match="not read to its end"):
        model.predict(photos, imgsz=128, save=False)
    stream.close()
    assert len(model.predict(photos, imgsz=128, save=False)) == 2
