"""Weights and every file made from them find the same boxes by the door that a user takes, on images of odd sizes.

0.5 px and 0.005 of score are the project's promise; they are asserted through RSDet(...).predict.
"""

from __future__ import annotations

import json

import cv2
import numpy as np
import onnx
import pytest
import yaml
from exported import lively, pictures, stock_export

from rsdet import RSDet
from rsdet.deploy.artifact import KEY, read_metadata
from rsdet.deploy.export import export
from rsdet.errors import ConfigError
from rsdet.geometry import corner_distance
from rsdet.runtime import Detector, MaskDetector, OrientedDetector
from rsdet.runtime.results import detections_of
from rsdet.tasks.detect.parity import compare

FORMATS = ["onnx", "openvino", "torchscript"]
SIZE = 160
SAR = {
    "quantity": "amplitude", "units": "linear", "dtype": "uint16",
    "stretch": {"domain": "db", "method": "percentile", "low": 1.0, "high": 99.5, "per_image": False,
                "range": [20.0, 60.0]},
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return {kind: lively(kind, folder) for kind in ("yolo", "rtdetr")}


@pytest.fixture(scope="module")
def photos(request, tmp_path_factory):
    return pictures(request, tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def artifact(weights, photos, tmp_path_factory):
    made = {}

    def get(kind, format, **more):
        key = json.dumps([kind, format, more])
        if key not in made:
            if format == "openvino":
                pytest.importorskip("openvino")
            out = tmp_path_factory.mktemp(kind)
            made[key] = export(
                weights[kind], format, imgsz=SIZE, images=photos[-2:], out=out, verbose=False, **more
            ).path
        return made[key]

    return get


def boxes(model, images, **more):
    return [r.boxes.data.numpy() for r in model.predict(images, verbose=False, **more)]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["yolo", "rtdetr"])
def test_weights_and_artifact_agree_on_real_images_of_odd_sizes(kind, format, weights, photos, artifact):
    files = [str(p) for p in photos]
    expected = boxes(weights[kind], files, imgsz=SIZE)
    report = compare(expected, boxes(RSDet(artifact(kind, format)), files), conf=0.25)
    assert report.ok, report.summary()
    assert report.matched > 10 * len(files)


@pytest.mark.parametrize("free", [True, "batch"])
def test_so_do_graphs_of_free_size_and_several_images_at_once(free, weights, photos, artifact):
    files = [str(p) for p in photos]
    expected = boxes(weights["yolo"], files, imgsz=SIZE)
    for format in ("onnx", "openvino"):
        model = RSDet(artifact("yolo", format, dynamic=free))
        for batch in (1, 3):
            report = compare(expected, boxes(model, files, imgsz=SIZE, batch=batch), conf=0.25)
            assert report.ok, report.summary()


def test_the_rectangle_of_ultralytics_is_there_when_asked_for(weights, tmp_path):
    cv2.imwrite(str(tmp_path / "wide.png"), np.random.default_rng(0).integers(0, 255, (60, 300, 3), np.uint8))
    shapes = []
    for rect in (None, True):
        model = RSDet(weights["yolo"].ckpt_path)
        hook = model.model.model[0].register_forward_pre_hook(lambda _, x: shapes.append(tuple(x[0].shape[2:])))
        model.predict(str(tmp_path / "wide.png"), imgsz=SIZE, verbose=False, **({} if rect is None else {"rect": rect}))
        hook.remove()
    assert shapes[0] == (SIZE, SIZE)
    assert shapes[-1] == (32, SIZE)


def test_validation_of_weights_has_the_input_of_an_artifact(weights, artifact, tmp_path):
    """Six oblong scenes: with Ultralytics' rectangles, weights would see another input than the file."""
    from rsdet.data.scenes import render_scene

    folder = tmp_path / "images" / "val"
    folder.mkdir(parents=True)
    (tmp_path / "labels" / "val").mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), render_scene(i, (75, 200)).image)
        (tmp_path / "labels" / "val" / f"{i}.txt").write_text("0 0.5 0.5 0.2 0.3\n")
    data = tmp_path / "d.yaml"
    names = {i: str(n) for i, n in weights["yolo"].names.items()}
    data.write_text(yaml.safe_dump({"path": str(tmp_path), "train": "images/val", "val": "images/val", "names": names}))
    shapes, kept = set(), []
    model = RSDet(weights["yolo"].ckpt_path)
    model.model.model[0].register_forward_pre_hook(lambda _, x: shapes.add(tuple(x[0].shape[2:])))
    from rsdet.tasks.detect.val import YOLOVal

    class Kept(YOLOVal):
        def __init__(self, **kw):
            super().__init__(**kw)
            kept.append(self)

    for m in (model, RSDet(artifact("yolo", "onnx"))):
        m.val(Kept, data=data, imgsz=SIZE, plots=False, project=str(tmp_path / "val"), conf=0.1, protocol="coco")
    assert shapes - {(32, 32)} == {(SIZE, SIZE)}  # 32 is the size at which Ultralytics counts operations
    found = [
        [np.column_stack([d.boxes_xyxy, d.scores, d.classes]) for d in v.detections] for v in kept
    ]  # fmt: skip
    report = compare(*found, conf=0.1)
    assert report.ok, report.summary()
    assert report.matched > 30


def test_a_sar_model_sees_the_same_in_16_bit_files(tmp_path):
    model = lively("yolo", tmp_path, sar=SAR)
    rng = np.random.default_rng(0)
    files = []
    for i, size in enumerate([(97, 301), (130, 131)]):
        values = rng.gamma(2.0, 60.0, size)
        values[20:40, 30:60] += 4000 * rng.random((20, 30))
        files.append(str(tmp_path / f"{i}.tif"))
        cv2.imwrite(files[-1], values.astype(np.uint16))
    expected = boxes(model, files, imgsz=SIZE)
    assert sum(map(len, expected)) > 20
    for format in ("onnx", "openvino"):
        made = export(model, format, imgsz=SIZE, images=files, out=tmp_path / format, verbose=False)
        report = compare(expected, boxes(RSDet(made.path), files), conf=0.25)
        assert report.ok, report.summary()


def test_openvino_stays_in_fp32_where_the_processor_offers_less(artifact, photos, monkeypatch):
    path = artifact("yolo", "openvino")
    import openvino as ov

    stock = ov.Core

    def coarse():  # what OpenVINO does by itself on processors with fast BF16
        core = stock()
        core.set_property("CPU", {"INFERENCE_PRECISION_HINT": ov.Type.bf16})
        return core

    monkeypatch.setattr(ov, "Core", coarse)
    model = RSDet(path)
    model.predict(str(photos[-1]), verbose=False)
    compiled = model.predictor.model.backend.ov_compiled_model
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == ov.Type.f32


@pytest.mark.parametrize("kind", ["obb", "segment"])
def test_turned_boxes_and_masks_of_weights_are_those_of_the_small_runtime(kind, photos, tmp_path):
    path = stock_export(kind, tmp_path)
    detector = OrientedDetector(path) if kind == "obb" else MaskDetector(path)
    model, n = RSDet(tmp_path / f"{kind}.pt"), 0
    for photo in photos:
        theirs = detections_of(model.predict(str(photo), imgsz=SIZE, verbose=False)[0])
        ours = detector.predict(photo)
        assert len(ours) == len(theirs)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=0.005)
        if kind == "obb":
            assert (corner_distance(ours.corners, theirs.corners) < 0.5).all()
        elif len(ours):
            np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=0.5)
            assert (ours.masks != theirs.masks).sum() <= 0.005 * theirs.masks.sum() + 1
        n += len(ours)
    assert n > len(photos)


# ------------------------------------------------------------------------------------------------- thresholds


def test_the_thresholds_of_the_export_are_those_of_predict(weights, photos, artifact):
    chosen = {"conf": 0.6, "iou": 0.4, "max_det": 7}
    path = artifact("yolo", "onnx", **chosen)
    assert read_metadata(path)["thresholds"] == chosen
    files = [str(p) for p in photos[-2:]]
    model = RSDet(path)
    expected = boxes(weights["yolo"], files, imgsz=SIZE, **chosen)
    assert compare(expected, boxes(model, files), conf=0.6).ok
    assert 0 < max(map(len, expected)) <= 7
    wider = {"conf": 0.3, "iou": 0.8, "max_det": 50}  # and what the user says goes
    assert compare(boxes(weights["yolo"], files, imgsz=SIZE, **wider), boxes(model, files, **wider), conf=0.3).ok
    assert read_metadata(artifact("yolo", "onnx"))["thresholds"] == {"conf": 0.25, "iou": 0.7, "max_det": 300}


@pytest.mark.parametrize("format", FORMATS)
def test_suppression_in_the_graph(format, weights, photos, artifact):
    settings = {"conf": 0.4, "iou": 0.5, "max_det": 30}
    path = artifact("yolo", format, nms=True, **settings)
    if format == "onnx":
        shape = onnx.load(path).graph.output[0].type.tensor_type.shape.dim
        assert [d.dim_value for d in shape] == [1, 30, 6]
    said = read_metadata(path)
    assert said["nms"] is True
    assert said["thresholds"] == settings
    files = [str(p) for p in photos]
    model = RSDet(path)
    report = compare(boxes(weights["yolo"], files, imgsz=SIZE, **settings), boxes(model, files), conf=0.4)
    assert report.ok, report.summary()
    assert report.matched > len(files)
    assert len(boxes(model, files[-1], conf=0.9)[0]) <= len(boxes(model, files[-1])[0])
    for wish in ({"conf": 0.2}, {"iou": 0.7}, {"max_det": 31}):
        with pytest.raises(ConfigError, match=f"{next(iter(wish))}=.*export again with nms=True"):
            model.predict(files[-1], **wish)


def test_suppression_that_was_not_exercised_is_no_proof(weights, tmp_path):
    from rsdet.errors import ExportError

    black = [np.zeros((64, 64, 3), np.uint8)]
    with pytest.raises(ExportError, match=r"nothing was found above conf=0\.99.*images="):
        export(weights["yolo"], imgsz=64, images=black, nms=True, conf=0.99, out=tmp_path, verbose=False)


def test_a_graph_of_free_batch_has_one_size(artifact, photos):
    path = artifact("yolo", "onnx", dynamic="batch")
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    assert (shape[0].dim_value, [d.dim_value for d in shape[1:]]) == (0, [3, SIZE, SIZE])
    assert read_metadata(path)["dynamic"] == "batch"
    with pytest.raises(ConfigError, match="imgsz=320 and this file takes 160,160 only"):
        RSDet(path).predict(str(photos[-1]), imgsz=320)


def test_more_queries_than_the_usual_limit_are_all_there(tmp_path, photos):
    head = [[[2, 4], 1, "RTDETRDecoder", ["nc", 32, 320, 2, 4, 2, 64]]]
    model = lively("rtdetr", tmp_path, head=head)
    made = export(model, imgsz=SIZE, images=photos[-1:], out=tmp_path, verbose=False)
    counts = [len(b) for m in (model, RSDet(made.path)) for b in boxes(m, str(photos[-1]), imgsz=SIZE, conf=0.001)]
    assert counts == [320, 320]


def test_the_small_runtime_gives_the_same_on_a_graph_of_free_size(artifact, photos):
    path = artifact("yolo", "onnx", dynamic=True)
    model = RSDet(path)
    full = [boxes(model, str(p))[0] for p in photos]
    small = [Detector(path).predict(p) for p in photos]
    small = [np.column_stack([d.boxes_xyxy, d.scores, d.classes]) for d in small]
    assert compare(full, small, conf=0.25).ok


def test_metadata_hold_all_that_a_deployment_needs(artifact):
    graph = onnx.load(artifact("yolo", "onnx"))
    said = json.loads(next(p.value for p in graph.metadata_props if p.key == KEY))
    assert {"family", "task", "names", "channels", "imgsz", "preprocess", "thresholds", "git_commit", "weights_sha256",
            "half", "int8", "nms", "dynamic", "batch", "opset", "version"} <= set(said)  # fmt: skip


def test_the_small_runtime_uses_the_thresholds_in_the_file(artifact, photos):
    file = artifact("yolo", "onnx", conf=0.4, iou=0.5, max_det=7)
    found, full = Detector(file).predict(photos[0]), RSDet(file).predict(photos[0], save=False, verbose=False)[0]
    assert len(found) == len(full.boxes)
    assert len(found) <= 7
    assert (found.scores >= 0.4).all()
    assert len(Detector(file).predict(photos[0], conf=0.01, max_det=300)) > len(found)  # the user's word counts
