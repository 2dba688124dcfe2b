"""format=engine: the graph is checked, the trtexec command lies beside it, and an engine is proved like any other.

TensorRT is a stand-in (tests/fake_tensorrt.py): what is tested is everything around the build.
"""

from __future__ import annotations

import shlex
import sys

import numpy as np
import onnx
import pytest
import torch
from exported import lively
from fake_tensorrt import Fake

from rsdet.cli import run
from rsdet.deploy import job as jobs
from rsdet.deploy.artifact import read_metadata, write_metadata
from rsdet.deploy.export import export
from rsdet.deploy.gate import GateReport
from rsdet.deploy.runners import TorchRunner
from rsdet.deploy.trt import build as building
from rsdet.deploy.trt import optable
from rsdet.errors import ConfigError, ExportError, MissingDependencyError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lively("rtdetr", tmp_path_factory.mktemp("rtdetr"))


PHOTOS = [np.random.default_rng(0).integers(0, 255, (90, 140, 3), dtype=np.uint8)]


def make(model, out, **more):
    return export(model, "engine", imgsz=128, images=PHOTOS, out=out, **{"verbose": False, **more})


@pytest.fixture
def trt(monkeypatch):
    module = Fake("10.3.0")
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Orin")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 7))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (int(2e9), int(8e9)))
    monkeypatch.setattr(building, "cuda_name", lambda _: "cpu")
    return module


@pytest.fixture
def runs(model, monkeypatch):
    """Engines run as the network does; ``runs.wrong`` makes them put boxes elsewhere."""

    class Engine(TorchRunner):
        wrong = 0.0

        def outputs(self, x):
            out = super().outputs(x)[0]
            out[..., 0] += Engine.wrong
            return (out,)

    stock = jobs.open_runner
    monkeypatch.setattr(jobs, "open_runner", lambda p, d: Engine(model.model) if p.suffix == ".engine" else stock(p, d))
    return Engine


def test_without_tensorrt_graph_and_command_are_left(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingDependencyError, match=r"JetPack 6.*rtdetr-128\.onnx.*rtdetr-128\.trtexec\.txt") as e:
        make(model, tmp_path, half=True)
    assert "\n" not in str(e.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rtdetr-128.onnx", "rtdetr-128.trtexec.txt"]
    words = shlex.split((tmp_path / "rtdetr-128.trtexec.txt").read_text().splitlines()[1])
    assert f"--onnx={tmp_path / 'rtdetr-128.onnx'}" in words
    assert f"--saveEngine={tmp_path / 'rtdetr-half-128.engine'}" in words
    assert "--fp16" in words
    types = {i.data_type for i in onnx.load(tmp_path / "rtdetr-128.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in types  # TensorRT lowers the precision itself, where that is safe


def test_the_command_line_says_so_with_status_2(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    status = run(["export", f"model={model.ckpt_path}", "format=engine", "imgsz=128", f"out={tmp_path}"])
    assert status == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("rsdet: error: TensorRT is not installed")
    assert "rtdetr-128.onnx" in last


def test_an_engine_is_built_proved_and_described(model, tmp_path, trt, runs):
    made = make(model, tmp_path, half=True, workspace_mb=512)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "rtdetr-128.onnx", "rtdetr-128.trtexec.txt", "rtdetr-half-128.engine"
    ]  # fmt: skip
    assert made.path == tmp_path / "rtdetr-half-128.engine"
    assert made.format == "engine"
    assert made.parity.ok
    said = read_metadata(made.path)
    assert (said["format"], said["half"], said["family"], said["imgsz"]) == ("engine", True, "rtdetr", [128, 128])
    assert said["thresholds"]["conf"] == 0.25
    assert said["engine"]["gpu"] == "Orin"
    assert said["engine"]["workspace_mb"] == 512
    assert said["engine"]["fp32_layers"]


def test_an_engine_that_disagrees_is_put_out_of_the_way(model, tmp_path, trt, runs):
    runs.wrong = 0.1
    with pytest.raises(ExportError, match=r"engine artifact disagrees.*px"):
        make(model, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "rtdetr-128.engine.rejected", "rtdetr-128.onnx", "rtdetr-128.trtexec.txt"
    ]  # fmt: skip


def test_accuracy_and_int8_are_passed_on(model, tmp_path, trt, runs, monkeypatch, tiny_data):
    asked = []

    def gate(task, model, artifact, settings, device, project):
        asked.append((artifact.name, device, settings.allowed))
        return GateReport("coco AP", "demo.yaml", 0.5, 0.495, settings.allowed, 4)

    monkeypatch.setattr(jobs, "accuracy_gate", gate)
    made = make(model, tmp_path, int8=True, data=tiny_data)
    assert made.parity is None
    assert asked == [("rtdetr-int8-128.engine", "cuda:0", 1.0)]
    said = read_metadata(made.path)
    assert said["accuracy"]["drop"] == 0.5
    assert said["int8"] is True
    assert said["engine"]["gpu"] == "Orin"  # still there after the accuracy was added
    with pytest.raises(ExportError, match=r"accuracy FAILED.*max_drop="):
        make(model, tmp_path, data=tiny_data)
    assert asked[-1][2] == 0.1


def test_a_graph_of_free_batch_gets_a_profile(model, tmp_path, trt, runs, monkeypatch):
    made = make(model, tmp_path, dynamic="batch", batch=2)
    shapes = read_metadata(made.path)["engine"]["shapes"]
    assert shapes == {"images": [[1, 3, 128, 128], [2, 3, 128, 128], [2, 3, 128, 128]]}


def test_a_graph_that_no_version_takes_is_refused_and_others_only_hear_of_it(model, tmp_path, trt, monkeypatch, capsys):
    monkeypatch.setitem(optable.REFUSED, "GridSample", "sample in another way")
    monkeypatch.delitem(optable.SINCE, "GridSample")
    with pytest.raises(ExportError, match=r"layer /model\.5/.*GridSample.*sample in another way") as e:
        make(model, tmp_path / "engine")
    assert "\n" not in str(e.value)
    assert "EngineBuilder" not in trt.calls
    made = export(model, "onnx", imgsz=128, images=PHOTOS, out=tmp_path / "onnx")
    assert any("GridSample" in p for p in made.tensorrt)
    assert "TensorRT would not take this graph" in capsys.readouterr().out


def test_suppression_inside_is_left_to_predict(tmp_path):
    yolo = lively("yolo", tmp_path)
    with pytest.raises(ConfigError, match="nms=True with format=engine"):
        make(yolo, tmp_path / "o", nms=True)


def test_metadata_of_an_engine_can_be_renewed(model, tmp_path, trt, runs):
    made = make(model, tmp_path)
    before = made.path.read_bytes()
    write_metadata(made.path, "engine", {"remark": "x"})
    assert read_metadata(made.path)["remark"] == "x"
    assert made.path.read_bytes()[-16:] == before[-16:] == b"a plan of 10.3.0"
