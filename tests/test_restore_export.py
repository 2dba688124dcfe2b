"""Export of restoration networks: the artifact makes the same pictures, says what it is, and runs on any size."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
import torch
from fake_tensorrt import Fake
from restore_fakes import clear_picture, model_yaml

from rsdet import RSDet
from rsdet.deploy import job as jobs
from rsdet.deploy.runners import OnnxRunner
from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.errors import ConfigError, ExportError, MissingDependencyError
from rsdet.tasks.restore.parity import compare_pictures


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> RSDet:
    torch.manual_seed(0)
    model = RSDet(model_yaml(tmp_path_factory.mktemp("yaml"), kind="superres"), upscale=2)
    torch.nn.init.normal_(model.model.network.b.weight, std=0.05)
    return model


@pytest.mark.parametrize("format", ["onnx", "openvino", "torchscript"])
def test_the_artifact_predicts_the_same_picture_on_any_size(model, tmp_path, format):
    if format != "torchscript":
        pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[format])
    made = model.export(format=format, imgsz=64, out=tmp_path, verbose=False)
    assert made.parity.ok
    assert made.parity.psnr_db > 90
    loaded = RSDet(made.path)
    assert (loaded.task, loaded.family) == ("restore", "restore")
    for size in ((64, 64), (96, 76), (20, 28)):  # the tile, several tiles, less than one
        x = clear_picture(np.random.default_rng(0), 96)[: size[0], : size[1]]
        a, b = (m.predict(x)[0].image[4:-4, 4:-4] for m in (loaded, model))  # borders: padding of the graph's size
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_the_metadata_say_what_a_deployment_must_know(model, tmp_path):
    made = model.export(imgsz=(32, 48), out=tmp_path / "x.onnx", verbose=False)
    from rsdet.deploy.artifact import read_metadata

    meta = read_metadata(made.path)
    told = {k: meta[k] for k in ("task", "kind", "scale", "channels", "imgsz", "local", "multiple", "network")}
    assert told == {
        "task": "restore", "kind": "superres", "scale": 2, "channels": 3, "imgsz": [32, 48], "local": True,
        "multiple": 4, "network": "TinyRestore",
    }  # fmt: skip
    assert made.path.name == "x.onnx"


def test_a_validated_artifact_has_the_numbers_of_its_network(model, tmp_path):
    pytest.importorskip("onnxruntime")
    data = pairs(tmp_path)
    made = model.export(imgsz=40, out=tmp_path, verbose=False)
    a, b = (m.val(data=data, project=str(tmp_path), plots=False) for m in (model, RSDet(made.path)))
    assert a.psnr == pytest.approx(b.psnr, abs=1e-3)
    assert "Y, border 2 px, 8 bits" in a.convention


def pairs(folder):
    import cv2

    (folder / "clear").mkdir()
    for i in range(2):
        cv2.imwrite(str(folder / "clear" / f"{i}.png"), clear_picture(np.random.default_rng(i), 80))
    data = folder / "d.yaml"
    data.write_text(f"task: restore\nkind: superres\npath: {folder}\nval: clear\ndegrade: {{name: bicubic}}\n")
    return data


def test_the_loss_of_psnr_is_measured_and_limited(model, tmp_path, monkeypatch):
    data = pairs(tmp_path)
    made = model.export(imgsz=40, data=data, out=tmp_path / "a", verbose=False)
    assert made.accuracy.ok
    assert (made.accuracy.images, made.accuracy.unit, made.accuracy.measure) == (2, "dB", "psnr_db")
    assert abs(made.accuracy.drop) < 0.01
    assert "accuracy ok: psnr_db" in made.summary()
    stock = jobs.run_exporter

    def noisy(*args, **kwargs):
        path = stock(*args, **kwargs)
        graph = onnx.load(str(path))
        for weight in (i for i in graph.graph.initializer if len(i.dims) == 4):
            values = onnx.numpy_helper.to_array(weight) * np.float32(1.3)
            weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        onnx.save(graph, str(path))
        return path

    monkeypatch.setattr(jobs, "run_exporter", noisy)
    with pytest.raises(ExportError, match=r"accuracy FAILED: psnr_db.*dB \(allowed -0\.1\).*max_drop="):
        model.export(imgsz=40, data=data, out=tmp_path / "b", verbose=False, min_psnr_db=0, max_diff=1)
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["tiny-superres-40.onnx.rejected"]


def test_an_artifact_that_differs_is_set_aside(model, tmp_path, monkeypatch):
    class Wrong(OnnxRunner):
        def outputs(self, x):
            return tuple(y + np.float32(0.02) for y in super().outputs(x))

    monkeypatch.setattr(jobs, "open_runner", lambda path, device: Wrong(path, device))
    with pytest.raises(ExportError, match=r"parity FAILED.*min_psnr_db=.*rejected"):
        model.export(imgsz=32, out=tmp_path, verbose=False)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny-superres-32.onnx.rejected"]


def test_parity_in_numbers():
    x = [np.full((8, 8, 1), 0.5, np.float32), np.full((8, 8, 1), 0.25, np.float32)]
    report = compare_pictures(x, [i + np.float32(0.01) * (i < 0.3) for i in x])
    assert report.psnr_db == pytest.approx(40.0, abs=1e-3)  # -20 log10(0.01)
    assert report.max_diff == pytest.approx(0.01, abs=1e-6)
    assert report.worst == 1
    assert not report.ok
    assert compare_pictures(x, x).ok
    assert compare_pictures(x, [i * np.nan for i in x]).has_nan


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"format": "coreml"}, "expected one of"),
        ({"imgsz": 50}, "expected multiples of 4"),
        ({"imgsz": 4}, "8 or more; use 8"),
        ({"dynamic": True}, "a graph of one size.*leave dynamic= out"),
        ({"batch": 0}, "batch"),
        ({"int8": True, "data": "demo-haze", "format": "openvino"}, "int8=True with task=restore.*half=True"),
        ({"nms": True}, "nms= is no export argument of task=restore"),
    ],
)
def test_what_cannot_be_exported_is_one_line(model, tmp_path, kwargs, message):
    with pytest.raises(ConfigError, match=message) as e:
        model.export(**{"out": tmp_path, "verbose": False, **kwargs})
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["dcp.yaml", "hac-moe.yaml"])
def test_a_method_without_weights_has_nothing_to_export_or_save(name, tmp_path):
    model = RSDet(name)
    for call in (lambda: model.export(), lambda: model.save_plain(tmp_path / "x"), lambda: model.benchmark()):
        with pytest.raises(ConfigError, match="nothing to train, export, benchmark or save"):
            call()


def test_without_tensorrt_graph_and_command_are_left(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingDependencyError, match=r"JetPack 6.*superres-32\.onnx.*superres-32\.trtexec\.txt") as e:
        model.export(format="engine", imgsz=32, half=True, out=tmp_path, verbose=False)
    assert "\n" not in str(e.value)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".onnx", ".txt"]
    assert "--fp16" in next(tmp_path.glob("*.txt")).read_text()


def test_an_engine_is_proved_and_runs_like_any_other_file(model, tmp_path, monkeypatch):
    from rsdet.deploy import runners
    from rsdet.deploy.trt import build as building
    from rsdet.deploy.trt import runner as trt_runner

    monkeypatch.setitem(sys.modules, "tensorrt", Fake("10.3.0"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Orin")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 7))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (int(2e9), int(8e9)))
    monkeypatch.setattr(building, "cuda_name", lambda _: "cpu")
    wrong = 0.0

    class Engine(runners.Runner):
        def __init__(self, path, device, threads=None):
            assert device == "cuda:0"

        def outputs(self, x):
            with torch.inference_mode():
                return (model.model.network(torch.from_numpy(x)).numpy() + wrong,)

    monkeypatch.setattr(trt_runner, "EngineRunner", Engine)
    made = model.export(format="engine", imgsz=32, out=tmp_path / "a", verbose=False)
    assert made.path.suffix == ".engine"
    assert made.parity.psnr_db > 90
    assert made.metadata["kind"] == "superres"
    assert made.metadata["engine"]["gpu"] == "Orin"
    from rsdet.enhance.loading import load_chain

    (part,) = load_chain(made.path).parts
    assert part.enhancer.scale == 2
    enhancer = ArtifactEnhancer(made.path)
    x = clear_picture(np.random.default_rng(0), 70).astype(np.float32) / 255
    assert enhancer(x).shape == (140, 140, 3)
    wrong = 0.1
    with pytest.raises(ExportError, match=r"engine artifact disagrees.*rejected"):
        model.export(format="engine", imgsz=32, out=tmp_path / "b", verbose=False)
    assert not list((tmp_path / "b").glob("*.engine"))
