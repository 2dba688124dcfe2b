"""Maps of pictures: numbers in pixels of the picture, by every backend alike; and what val counts."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from semantic_fakes import data_yaml, enlivened, model_yaml
from ultralytics import YOLO

from rsdet import RSDet, cli
from rsdet.errors import ConfigError
from rsdet.metrics.confusion import count_pixels
from rsdet.runtime.geometry import letterboxed
from rsdet.tasks.semantic.classmap import ClassMap, classes_of, probabilities, shown_classes, to_picture
from rsdet.tasks.semantic.visual import COLOURS, overlay, write_index


def test_a_map_is_that_of_the_picture_without_what_pads_it():
    place = letterboxed((20, 40), (64, 64))
    logits = np.full((2, 64, 64), -1.0, np.float32)
    logits[1, 16:48] = 3.0  # the picture alone: 32 rows in the middle
    classes, confidence = to_picture(logits, place)
    assert classes.shape == confidence.shape == (20, 40)
    assert (classes == 1).all()
    np.testing.assert_allclose(confidence, 1 / (1 + np.exp(-4.0)), rtol=1e-6)


def test_one_class_is_a_sigmoid():
    logits = np.array([[[2.0, -2.0]]], np.float32)
    assert classes_of(logits).tolist() == [[1, 0]]
    np.testing.assert_allclose(probabilities(logits)[0], 1 / (1 + np.exp([[-2.0, 2.0]])), rtol=1e-6)


def test_numbers_survive_the_file_and_have_the_colours_of_the_overlay(tmp_path):
    classes = np.array([[0, 3], [255, 1]], np.uint8)
    with Image.open(write_index(tmp_path / "a.png", classes)) as image:
        assert (np.asarray(image) == classes).all()
        assert tuple(np.asarray(image.convert("RGB"))[0, 1]) == tuple(COLOURS[3])
    shown = overlay(np.full((2, 2, 3), 80, np.uint8), classes, {}, legend=False)
    assert (shown[1, 0] == 80).all()  # no class: the picture alone
    assert (shown[0, 1] != 80).any()


def test_background_leaves_its_picture_as_it_is():
    classes, picture = np.array([[0, 1]], np.uint8), np.full((1, 2, 3), 80, np.uint8)
    shown = overlay(picture, classes, {0: "background", 1: "slide"}, legend=False)
    assert (shown[0, 0] == 80).all()
    assert (shown[0, 1] != 80).any()


def test_only_some_classes():
    found = ClassMap(np.array([[0, 1, 2]], np.uint8), None, {}, (8, 8)).only([2])
    assert found.classes.tolist() == [[255, 255, 2]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    model = enlivened(RSDet(model_yaml(folder)))
    model.save(str(folder / "w.pt"))
    return folder, data_yaml(folder)


def test_val_counts_in_pixels_of_the_pictures(made):
    folder, data = made
    model = RSDet(folder / "w.pt")
    given = {"imgsz": 64, "batch": 1}  # as predict looks at them: kernels for more at once may round otherwise
    metrics = model.val(data=data, plots=False, project=str(folder / "val"), name="v", **given)
    by_hand = np.zeros((7, 7), int)
    for file in sorted((data.parent / "images" / "val").iterdir()):
        (result,) = model.predict(file, imgsz=64, verbose=False, save=False)
        truth = cv2.imread(str(data.parent / "masks" / "val" / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED)
        by_hand += count_pixels(truth, result.map.classes, 7)
    assert by_hand.sum() > 0.9 * 2 * 96 * 96
    assert metrics.scores.matrix.tolist() == by_hand.tolist()
    assert {p.name for p in (folder / "val" / "v").iterdir()} >= {"metrics.json", "metrics.csv"}


def test_val_tells_objects_by_size(made):
    folder, data = made
    metrics = RSDet(folder / "w.pt").val(data=data, imgsz=64, plots=False, project=str(folder / "val"), name="o")
    told = json.loads((folder / "val" / "o" / "metrics.json").read_text())
    by_hand = {k: 0 for k in range(7)}
    for file in (data.parent / "masks" / "val").iterdir():
        truth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        for k in by_hand:
            by_hand[k] += cv2.connectedComponents((truth == k).astype(np.uint8), connectivity=8)[0] - 1
    whole = [row for row in told["objects"] if row["below_px"] is None and row["from_px"] == 0]
    assert [row["objects"] for row in whole] == list(by_hand.values())
    assert "average_precision" not in told  # there are more than two classes
    with open(folder / "val" / "o" / "objects.csv", newline="") as f:
        assert len(list(csv.DictReader(f))) == len(told["objects"]) == 7 * 5
    assert "objects hit" in metrics.table()


def test_val_by_tiles_counts_what_predict_by_tiles_maps(made):
    pytest.importorskip("rasterio")
    folder, data = made
    model, given = RSDet(folder / "w.pt"), {"tile": 48, "overlap": 16}
    metrics = model.val(data=data, imgsz=64, plots=False, project=str(folder / "val"), name="t", **given)
    by_hand = np.zeros((7, 7), int)
    for file in sorted((data.parent / "images" / "val").iterdir()):
        run = {"save": False, "verbose": False, "project": str(folder / "t"), "name": file.stem}
        (result,) = model.predict(file, **given, **run)
        found = np.asarray(Image.open(result.save_path))
        truth = cv2.imread(str(data.parent / "masks" / "val" / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED)
        by_hand += count_pixels(truth, found, 7)
    assert metrics.scores.matrix.tolist() == by_hand.tolist()
    assert json.loads((folder / "val" / "t" / "metrics.json").read_text())["look"] == "tiles of 48 px that share 16"
    pytest.importorskip("onnxruntime")
    exported = RSDet(model.export(format="onnx", imgsz=64, out=folder / "tiled", verbose=False).path)
    run = {"data": data, "plots": False, "tile": 64, "overlap": 16, "project": str(folder / "val")}
    ours, theirs = (m.val(**run, name=n).scores.matrix for m, n in ((model, "a"), (exported, "b")))
    assert ours.sum() == theirs.sum()
    assert np.abs(ours - theirs).sum() <= 2e-3 * ours.sum()
    for wrong in ({"tile": -1}, {"overlap": 0.5}, {"tile": 48, "overlap": 48}):
        with pytest.raises(ConfigError):
            model.val(data=data, **wrong)


def test_pictures_are_mapped_alike_without_pytorch(made):
    pytest.importorskip("onnxruntime")
    folder, data = made
    exported = RSDet(folder / "w.pt").export(format="onnx", imgsz=64, out=folder, verbose=False).path
    source = data.parent / "images" / "val"
    for name, weights in (("full", folder / "w.pt"), ("light", exported)):
        words = [f"model={weights}", f"source={source}", f"project={folder}", f"name={name}", "verbose=False"]
        assert cli.run(["predict", *words, *(["imgsz=64"] if name == "full" else [])]) == 0
    for file in sorted((folder / "full" / "classes").iterdir()):
        a, b = (np.asarray(Image.open(folder / name / "classes" / file.name)) for name in ("full", "light"))
        assert a.shape == (96, 96)
        assert (a != b).mean() < 1e-3
    assert {p.name for p in (folder / "light").iterdir()} == {p.name for p in (folder / "full").iterdir()}


def test_ultralytics_own_network_gives_logits_of_the_size_of_its_input(tmp_path):
    torch.manual_seed(0)
    stock = YOLO("yolo26n-sem.yaml")
    stock.save(str(tmp_path / "stock.pt"))
    ours = RSDet(tmp_path / "stock.pt")
    x = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        small, full = stock.model.eval()(x), ours.model.eval().float()(x)
    assert full.shape == (1, 19, 64, 96)
    large = torch.nn.functional.interpolate(small, scale_factor=8.0, mode="bilinear")
    torch.testing.assert_close(full, large, atol=1e-2, rtol=1e-2)  # checkpoints are stored in half


def test_of_one_class_nothing_is_left_out():
    assert shown_classes({0: "slide"}, [0]) is None  # 0 is the background of its maps
    assert shown_classes({0: "a", 1: "b", 2: "c"}, 2) == [2]
    assert shown_classes({0: "a", 1: "b", 2: "c"}, (2, 0)) == [0, 2]
