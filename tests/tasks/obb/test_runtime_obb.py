"""Oriented boxes without PyTorch are those of Ultralytics' predictor on the same file, which it has exported itself."""

from __future__ import annotations

import json
import re
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from exported import almost_equal, pictures, stock_export
from hypothesis import given, settings
from hypothesis import strategies as st
from ultralytics import YOLO
from ultralytics.utils.metrics import batch_probiou
from ultralytics.utils.nms import TorchNMS
from ultralytics.utils.ops import xywhr2xyxyxyxy

from rsdet.data.scenes import render_scene
from rsdet.errors import CheckpointError, ConfigError
from rsdet.runtime import Detector, OrientedDetector, light
from rsdet.tasks.obb.runtime.nms import probiou, rotated_nms

END2END = {"end2end": True, "reg_max": 1, "head": [[[2, 3], 1, "OBB26", ["nc", 1]]]}
KINDS = {
    "raw": {},
    "free-size": {"dynamic": True},
    "two-at-a-time": {"batch": 2},
    "end2end": {"head": END2END, "nms": False},
    "suppression-inside": {"nms": True, "simplify": True},
}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = stock_export("obb", tmp_path_factory.mktemp(kind), **KINDS[kind])
        return made[kind]

    return get


@pytest.fixture(scope="module")
def photos(request, tmp_path_factory):
    return pictures(request, tmp_path_factory.mktemp("photos"))


@pytest.fixture
def stable(monkeypatch):
    """Which of two equal scores comes first is open in PyTorch, and fixed here."""
    monkeypatch.setattr(torch, "argsort", partial(torch.argsort, stable=True))


@pytest.mark.usefixtures("stable")
@pytest.mark.parametrize("kind", ["raw", "two-at-a-time", "end2end"])
@pytest.mark.parametrize("more", [{}, {"iou": 0.3, "max_det": 7}, {"agnostic": True, "classes": [0, 2]}])
def test_the_boxes_are_those_of_ultralytics(artifact, photos, kind, more):
    full, small, n = YOLO(artifact(kind)), OrientedDetector(artifact(kind)), 0
    more = {**more, "conf": 0.03 if kind == "end2end" else 0.25}  # random weights: enough boxes on any machine
    theirs_of = {"agnostic_nms" if k == "agnostic" else k: v for k, v in more.items()}
    for photo in photos:
        theirs, ours = full.predict(photo, imgsz=160, verbose=False, **theirs_of)[0].obb, small.predict(photo, **more)
        assert len(ours) == len(theirs)
        np.testing.assert_allclose(ours.boxes_xywhr, theirs.xywhr, atol=1e-3)
        np.testing.assert_allclose(ours.corners, theirs.xyxyxyxy, atol=2e-3)
        np.testing.assert_allclose(ours.boxes_xyxy, theirs.xyxy, atol=2e-3)
        np.testing.assert_allclose(ours.scores, theirs.conf, atol=1e-5)
        np.testing.assert_array_equal(ours.classes, theirs.cls)
        n += len(ours)
    assert n > len(photos)


def test_every_form_of_the_file_gives_the_same_boxes(artifact, photos):
    expected = OrientedDetector(artifact("raw")).predict(photos[-1])
    for kind in ("free-size", "suppression-inside"):
        found = OrientedDetector(artifact(kind)).predict(photos[-1])
        assert len(found) == len(expected) > 3
        np.testing.assert_allclose(found.boxes_xywhr, expected.boxes_xywhr, rtol=5e-5, atol=1e-2)  # sides of 900 px
    batch = OrientedDetector(artifact("two-at-a-time")).predict_batch([str(photos[-1])] * 3)
    assert [len(d) for d in batch] == [len(expected)] * 3


def test_openvino_gives_the_boxes_of_onnx(artifact, photos, tmp_path):
    pytest.importorskip("openvino")
    folder = stock_export("obb", tmp_path, "openvino")
    for photo in photos:
        a, b = OrientedDetector(artifact("raw")).predict(photo), OrientedDetector(folder).predict(photo)
        assert len(a) == len(b)
        np.testing.assert_allclose(a.corners, b.corners, atol=0.05)


def turned(rng: np.random.Generator, n: int) -> np.ndarray:
    boxes = np.c_[rng.random((n, 2)) * 60, rng.random((n, 2)) * 30, (rng.random(n) - 0.25) * np.pi]
    boxes[n // 2 :] = boxes[: n - n // 2]  # the same once more
    return boxes.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 60), iou=st.sampled_from([0.0, 0.25, 0.7, 1.0]))
def test_suppression_is_that_of_ultralytics(seed, n, iou):
    rng = np.random.default_rng(seed)
    boxes, scores = turned(rng, n), rng.random(n, dtype=np.float32)
    theirs = batch_probiou(boxes, boxes).numpy()
    near = np.abs(theirs - iou) < 1e-4  # the last digits of the logarithms differ
    np.testing.assert_allclose(probiou(boxes, boxes), theirs, atol=2e-3)
    if not near.any():
        expected = TorchNMS.fast_nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou, iou_func=batch_probiou)
        np.testing.assert_array_equal(rotated_nms(boxes, scores, np.zeros(n), iou, 300), expected)
        np.testing.assert_array_equal(rotated_nms(boxes, scores, np.zeros(n), iou, 5), expected[:5])


def test_many_boxes_are_looked_at_in_parts_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(0)
    boxes, scores, classes = turned(rng, 500), rng.random(500, dtype=np.float32), rng.integers(0, 3, 500)
    whole = rotated_nms(boxes, scores, classes, 0.3, 300)
    monkeypatch.setattr("rsdet.tasks.obb.runtime.nms._STEP", 7)
    np.testing.assert_array_equal(rotated_nms(boxes, scores, classes, 0.3, 300), whole)
    assert len(rotated_nms(boxes, scores, classes, 0.3, 300, agnostic=True)) < len(whole)


def test_a_file_of_another_task_or_shape_is_refused_in_one_line(artifact, tmp_path):
    with pytest.raises(ConfigError, match=r"raw.*|is a model for task='obb'; expected one for task='detect'"):
        Detector(artifact("raw"))
    import onnx

    graph = onnx.load(str(artifact("raw")))
    for entry in graph.metadata_props:
        if entry.key == "names":
            entry.value = "{0: 'a'}"
    onnx.save(graph, str(tmp_path / "few.onnx"))
    with pytest.raises(CheckpointError, match=r"few\.onnx puts out .*expected \(B, 6, N\).*1 classes; export it again"):
        OrientedDetector(tmp_path / "few.onnx").predict(np.zeros((64, 64, 3), np.uint8))


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+\.?\d*", text)]


@pytest.mark.usefixtures("stable")
def test_the_command_writes_what_the_full_path_writes(artifact, photos, tmp_path):
    from rsdet import RSDet

    words = {"source": str(photos[-1]), "save_json": True, "save_coco": True, "project": str(tmp_path)}
    done = light.predict({"model": str(artifact("raw")), **words, "name": "small"})
    RSDet(artifact("raw")).predict(**words, save=True, name="full")
    for name in ("predictions.json", "predictions-coco.json"):
        ours, theirs = ((tmp_path / run / name).read_text() for run in ("small", "full"))
        np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-5, atol=2e-3)
    (image,) = json.loads((tmp_path / "small" / "predictions.json").read_text())
    coco = json.loads((tmp_path / "small" / "predictions-coco.json").read_text())
    assert len(image["boxes"]) == len(coco["annotations"]) == done.objects > 0
    one, row = image["boxes"][0], coco["annotations"][0]
    corners = np.array(one["corners_px"])
    np.testing.assert_allclose(corners, xywhr2xyxyxyxy(np.array([one["xywhr_px_rad"]]))[0], atol=0.01)
    np.testing.assert_allclose(row["segmentation"], corners.reshape(1, 8), atol=1e-3)
    np.testing.assert_allclose(row["bbox"], [*corners.min(0), *np.ptp(corners, axis=0)], atol=2e-3)
    assert row["area"] == pytest.approx(np.prod(one["xywhr_px_rad"][2:4]), rel=0.01)
    small, full = (cv2.imread(str(tmp_path / run / f"{photos[-1].stem}.jpg")) for run in ("small", "full"))
    assert almost_equal(small, full)


def test_boxes_behind_an_enhancer_are_in_pixels_of_the_source(artifact):
    """A chain that doubles the picture: the network sees the same, and so finds the same."""

    class Doubling:
        def apply_bgr(self, picture):
            return picture.repeat(2, 0).repeat(2, 1)

    picture = render_scene(5, (80, 80)).image
    detector = OrientedDetector(artifact("raw"))
    expected = detector.predict(picture.repeat(2, 0).repeat(2, 1), conf=0.01)
    detector.chain = Doubling()
    found = detector.predict(picture, conf=0.01)
    np.testing.assert_allclose(found.boxes_xywhr[:, :4] * 2, expected.boxes_xywhr[:, :4], atol=1e-3)
    assert len(found) > 3
    assert list(found.speed_ms) == ["enhance", "preprocess", "inference", "postprocess"]
