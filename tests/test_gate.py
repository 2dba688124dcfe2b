"""The accuracy gate: what an artifact may cost, on the same files under the same protocol, and INT8 that passes it."""

from __future__ import annotations

import importlib.util

import numpy as np
import onnx
import pytest
import torch
import yaml
from conftest import TRAIN
from exported import YAMLS, lively

from rsdet import RSDet
from rsdet.deploy import job as jobs
from rsdet.deploy.artifact import read_metadata
from rsdet.deploy.export import export
from rsdet.deploy.gate import GateReport
from rsdet.deploy.settings import allowed_drop
from rsdet.errors import ConfigError, ExportError, MissingDependencyError


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    from rsdet.data.demo import make_demo

    return make_demo(tmp_path_factory.mktemp("s") / "scenes", n_train=8, n_val=6, size=128, seed=5, progress=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory, scenes):
    """A detector that learnt enough for an AP above zero: it has seen the validation scenes."""
    folder = tmp_path_factory.mktemp("yolo")
    spec = yaml.safe_load(scenes.read_text())
    names = spec["names"]
    (folder / "net.yaml").write_text(yaml.safe_dump({"nc": len(names), "task": "detect", **YAMLS["yolo"]}))
    seen = folder / "seen.yaml"
    seen.write_text(yaml.safe_dump({**spec, "path": str(scenes.parent), "train": spec["val"]}))
    net = RSDet(str(folder / "net.yaml"))
    settings = {**TRAIN, "imgsz": 128, "lr0": 5e-3, "val": False, "fliplr": 0.0, "scale": 0.0, "translate": 0.0}
    net.train(data=seen, epochs=60, project=str(folder), name="run", **settings, erasing=0.0, hsv_v=0.0)
    return RSDet(folder / "run" / "weights" / "last.pt")


def make(model, scenes, out, **more):
    return export(model, imgsz=128, data=scenes, out=out, verbose=False, **more)


def test_the_change_of_ap_is_measured_printed_and_stored(model, scenes, tmp_path, capsys):
    before = model.model.state_dict()
    made = make(model, scenes, tmp_path)
    own = RSDet(model.ckpt_path).val(data=scenes, imgsz=128, plots=False, project=str(tmp_path / "val"))
    assert made.accuracy.ok
    assert made.accuracy.model == pytest.approx(own.protocol_metrics.ap, abs=1e-6)
    assert made.accuracy.model > 0
    assert made.accuracy.images == 6
    assert made.accuracy.summary() in made.summary()
    assert read_metadata(made.path)["accuracy"]["measure"] == "coco AP"
    assert list(model.model.state_dict()) == list(before)  # not fused: the user may go on training
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


def weaken(path):
    """Scale the first convolution: finite, of the right shape, and worse."""
    graph = onnx.load(str(path))
    weight = next(i for i in graph.graph.initializer if len(i.dims) == 4)
    values = onnx.numpy_helper.to_array(weight) * np.float32(0.2)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(graph, str(path))


@pytest.fixture
def spoilt(monkeypatch):
    """Every artifact is spoilt after it was made."""
    stock = jobs.run_exporter

    def run(*args, **kwargs):
        path = stock(*args, **kwargs)
        weaken(path)
        return path

    monkeypatch.setattr(jobs, "run_exporter", run)


def test_what_costs_too_much_is_rejected(model, scenes, tmp_path, spoilt):
    with pytest.raises(ExportError, match=r"accuracy FAILED: coco AP.*max_drop=") as e:
        make(model, scenes, tmp_path, box_tol_px=1e9, score_tol=1.0, parity_conf=1.0)
    assert "\n" not in str(e.value)
    assert [p.name for p in tmp_path.iterdir()] == ["last.onnx.rejected"]
    made = make(model, scenes, tmp_path, box_tol_px=1e9, score_tol=1.0, parity_conf=1.0, max_drop=100)
    assert made.accuracy.drop > 0.1
    assert made.path.name == "last.onnx"


CASES = [
    # before, after, allowed, ok
    (0.5, 0.4991, 0.1, True), (0.5, 0.499, 0.1, True), (0.5, 0.4989, 0.1, False), (0.5, 0.6, 0.0, True),
    (0.5, 0.4999, 0.0, False),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "allowed", "ok"), CASES)
def test_points_of_a_hundred(before, after, allowed, ok):
    report = GateReport("coco AP", "x.yaml", before, after, allowed, 3)
    assert report.ok is ok
    assert report.drop == pytest.approx(100 * (before - after))
    assert ("FAILED" in report.summary()) is not ok


def test_what_is_allowed():
    assert (allowed_drop(None, False), allowed_drop(None, True), allowed_drop(0.3, True)) == (0.1, 1.0, 0.3)
    with pytest.raises(ConfigError, match="max_drop=-1"):
        allowed_drop(-1, False)


def test_a_graph_with_suppression_is_measured_against_weights_with_the_same(model, scenes, tmp_path):
    made = make(model, scenes, tmp_path, nms=True, conf=0.02, iou=0.5, max_det=40, max_drop=2.0)
    assert made.accuracy.ok
    plain = make(model, scenes, tmp_path / "plain").accuracy
    assert made.accuracy.model != plain.model  # few boxes kept, and both sides say so


@pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="NNCF is not installed")
def test_int8_is_calibrated_on_training_images_and_judged_by_accuracy(model, scenes, tmp_path, monkeypatch):
    import openvino as ov

    pytest.importorskip("openvino")
    seen = []
    stock = jobs.calibration_of
    monkeypatch.setattr(jobs, "calibration_of", lambda *a, **k: seen.append(stock(*a, **k)) or seen[-1])
    made = make(model, scenes, tmp_path, format="openvino", int8=True, max_drop=20)
    assert made.path.name == "last-int8_openvino_model"
    assert made.parity is None
    assert made.accuracy.artifact > 0
    assert made.metadata["int8"]
    (xml,) = made.path.glob("*.xml")
    assert "FakeQuantize" in {op.get_type_name() for op in ov.Core().read_model(str(xml)).get_ops()}
    trained = {p.name for p in (scenes.parent / "images" / "train").iterdir()}
    assert {f.name for f in seen[0].files} == trained
    x = next(iter(seen[0]))["img"]
    assert x.shape == (1, 3, 128, 128)
    np.testing.assert_array_equal(x.numpy() / np.float32(255), next(seen[0].arrays()))
    found = RSDet(made.path).predict(next((scenes.parent / "images" / "val").iterdir()), verbose=False)
    assert len(found) == 1


def test_int8_of_a_model_that_finds_nothing_is_refused(scenes, tmp_path):
    pytest.importorskip("nncf")
    blind = lively("yolo", tmp_path, nc=len(yaml.safe_load(scenes.read_text())["names"]))
    for level in blind.model.model[-1].cv3:
        torch.nn.init.constant_(level[-1].bias, -50.0)  # whatever was drawn, it is sure that nothing is there
    with pytest.raises(ExportError, match="train it first"):
        make(blind, scenes, tmp_path / "o", format="openvino", int8=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"format": "openvino", "int8": True, "data": None}, "INT8 needs data="),
        ({"format": "torchscript", "int8": True}, "INT8 with format=torchscript"),
        ({"format": "openvino", "int8": True, "half": True}, "half=True and int8=True"),
        ({"imgsz": (128, 96)}, "imgsz=128,96 with data=; expected a square size"),
        ({"protocol": "cocoo"}, "protocol must be one of"),
    ],
)
def test_what_cannot_be_gated_is_refused_before_any_work(model, scenes, tmp_path, given, message):
    with pytest.raises(ConfigError, match=message):
        export(model, **{"imgsz": 128, "data": scenes, "out": tmp_path, "verbose": False, **given})
    assert not list(tmp_path.iterdir())


def test_int8_without_its_package_says_what_to_install(model, scenes, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "nncf" else real(n, *a))
    with pytest.raises(MissingDependencyError, match=r'nncf.*pip install "?.*nncf'):
        export(model, "openvino", imgsz=128, int8=True, data=scenes)
