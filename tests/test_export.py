"""Export: what is refused, what is written into the file, and that a file which disagrees never passes as good."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch
import yaml

from rsdet.deploy import job as jobs
from rsdet.deploy import verify as verifying
from rsdet.deploy.artifact import weights_sha256
from rsdet.deploy.export import export, read_metadata
from rsdet.deploy.runners import Runner, TorchRunner, open_runner
from rsdet.errors import ConfigError, DataError, ExportError, MissingDependencyError

QUERIES = 320  # more than the 300 that an exporter keeps by default
BACKBONE = [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [32, 3, 2]], [-1, 1, "Conv", [32, 3, 2]]]
RTDETR_YAML = {
    "nc": 4,
    "backbone": [*BACKBONE, [-1, 1, "Conv", [48, 3, 2]], [-1, 1, "AIFI", [64, 4]]],
    "head": [[[2, 4], 1, "RTDETRDecoder", ["nc", 32, QUERIES, 2, 4, 2, 64]]],
}
YOLO_YAML = {
    "nc": 4,
    "backbone": [*BACKBONE, [-1, 1, "Conv", [64, 3, 2]]],
    "head": [[[2, 3], 1, "Detect", ["nc"]]],
}


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (90, 140, 3), dtype=np.uint8) for _ in range(3)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny RT-DETR in a file whose name says nothing."""
    from ultralytics import RTDETR

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("rtdetr") / "anything.yaml"
    path.write_text(yaml.safe_dump(RTDETR_YAML))
    return RTDETR(str(path))


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    from ultralytics import YOLO

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("yolo") / "something.yaml"
    path.write_text(yaml.safe_dump(YOLO_YAML))
    return YOLO(str(path))


@pytest.fixture(scope="module")
def onnx(model, pictures, tmp_path_factory):
    return export(model, "onnx", imgsz=128, images=pictures, out=tmp_path_factory.mktemp("onnx"), verbose=False)


def test_onnx_agrees_and_keeps_every_query(onnx, model):
    assert onnx.parity.ok
    assert onnx.parity.matched > 0
    assert onnx.path.suffix == ".onnx"
    out = open_runner(onnx.path)(np.zeros((1, 3, 128, 128), np.float32))
    assert out.shape == (1, QUERIES, 6)
    assert "\n" not in onnx.summary()
    assert onnx.size_mb == pytest.approx(onnx.path.stat().st_size / 1e6)


def test_the_file_says_what_a_deployment_must_know(onnx, model):
    import onnx as onnx_package

    graph = onnx_package.load(str(onnx.path))
    props = {p.key: p.value for p in graph.metadata_props}
    said = json.loads(props["rsdet"])
    assert (said["family"], said["task"], said["imgsz"], said["channels"]) == ("rtdetr", "detect", [128, 128], 3)
    assert said["names"] == {str(i): str(n) for i, n in model.names.items()}
    assert said["weights_sha256"] == weights_sha256(model.model)
    assert "stretch" in said["preprocess"]
    assert (props["author"], props["license"]) == ("rsdet", "AGPL-3.0")
    assert props["stride"]  # what Ultralytics' loaders need is still there
    assert {o.version for o in graph.opset_import if o.domain == ""} == {17}
    read = read_metadata(onnx.path)
    assert read["family"] == "rtdetr"
    assert read["names"] == dict(model.names)


def test_ultralytics_loads_and_predicts_with_it(onnx, pictures):
    from ultralytics import RTDETR

    found = RTDETR(str(onnx.path)).predict(pictures[0], imgsz=128, conf=0.001, max_det=1000, verbose=False)
    assert len(found[0].boxes) == QUERIES


def test_the_model_is_left_as_it_was(model, onnx):
    head = model.model.model[-1]
    assert not head.export
    assert all(p.requires_grad for p in model.model.parameters())
    assert "pt_path" not in vars(model.model)


def test_a_dynamic_graph_takes_other_sizes_and_batches(model, pictures, tmp_path):
    class Watched(torch.nn.Identity):
        dynamic = False

    layer = model.model.model[0]
    layer.watched = Watched()
    try:
        made = export(
            model, "onnx", imgsz=128, dynamic=True, simplify=False, images=pictures, out=tmp_path, verbose=False
        )
        assert vars(layer.watched).get("dynamic") is None  # told while tracing, forgotten afterwards
    finally:
        del layer.watched
    assert made.parity.images == 2 * len(pictures)  # also at an oblong size
    assert open_runner(made.path)(np.zeros((2, 3, 64, 192), np.float32)).shape[0] == 2


def test_a_batch_is_filled_with_real_images(model, pictures, tmp_path):
    made = export(
        model, "torchscript", imgsz=64, batch=2, images=pictures, out=tmp_path / "model.torchscript", verbose=False
    )
    assert made.path == tmp_path / "model.torchscript"
    assert made.parity.images == 4
    assert made.parity.ok
    assert read_metadata(made.path)["weights_sha256"] == weights_sha256(model.model)


def test_openvino_agrees_and_carries_the_metadata(model, pictures, tmp_path):
    pytest.importorskip("openvino")
    made = export(model, "openvino", imgsz=64, images=pictures[:1], out=tmp_path, verbose=False)
    assert made.parity.ok
    assert made.path.is_dir()
    assert read_metadata(made.path)["family"] == "rtdetr"


def test_yolo_agrees(yolo, pictures, tmp_path):
    made = export(yolo, "onnx", imgsz=64, images=pictures[:1], out=tmp_path, verbose=False)
    assert made.parity.ok
    assert made.metadata["family"] == "yolo"
    assert "letterbox" in made.metadata["preprocess"]


class Shifted(Runner):
    """A backend that puts every box a tenth of the image further right."""

    format = "onnx"

    def __init__(self, model):
        self.inner = TorchRunner(model.model)

    def outputs(self, x):
        out = self.inner(x)
        out[..., 0] += 0.1
        return (out,)


class Broken(Shifted):
    def outputs(self, x):
        return (np.full_like(self.inner(x), np.nan),)


@pytest.mark.parametrize(("backend", "complaint"), [(Shifted, "disagrees.*px"), (Broken, "disagrees.*not finite")])
def test_an_artifact_that_disagrees_is_put_out_of_the_way(backend, complaint, model, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "open_runner", lambda *_: backend(model))
    with pytest.raises(ExportError, match=complaint) as failure:
        export(model, "torchscript", imgsz=64, images=pictures[:1], out=tmp_path, verbose=False)
    assert [p.name for p in tmp_path.iterdir()] == ["anything-64.torchscript.rejected"]
    assert "\n" not in str(failure.value)


REFUSED = [
    ({"format": "onx"}, ConfigError, "format='onx'.*Did you mean 'onnx'"),
    ({"opset": 16}, ConfigError, "opset=16; expected 17"),
    ({"imgsz": 100}, ConfigError, "imgsz=100; expected multiples of 32; use 96"),
    ({"nms": True}, ConfigError, "no suppression.*leave nms= out"),
    ({"int8": True}, ConfigError, "INT8 with format=onnx.*use format=openvino"),
    ({"quantize": 8}, ConfigError, "INT8 with format=onnx.*use format=openvino"),
    ({"quantize": 4}, ConfigError, "quantize=4"),
    ({"dynamic": "height"}, ConfigError, "dynamic='height'.*dynamic=batch"),
    ({"debug": "layer"}, ConfigError, "debug='layer'.*debug=layers"),
    ({"max_drop": 1.0}, ConfigError, "max_drop= needs data="),
    ({"conf": 1.5}, ConfigError, "conf=1.5"),
    ({"simplfy": True}, ConfigError, "simplfy.*simplify"),
    ({"device": "cuda:99"}, ConfigError, "device"),
    ({"images": ["no/such/picture.jpg"]}, DataError, "picture.jpg"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED, ids=[next(iter(r[0])) for r in REFUSED])
def test_what_cannot_work_is_refused_before_any_work(arguments, error, message, model, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(error, match=message) as failure:
        export(model, **{"imgsz": 64, "out": tmp_path, "verbose": False, **arguments})
    assert "\n" not in str(failure.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("format", "package", "remedy"),
    [
        ("openvino", "openvino", "pip install .*openvino"),
        ("onnx", "onnxslim", "simplify=False"),
        ("onnx", "onnxruntime", "pip"),
    ],
)
def test_a_missing_package_is_named_with_what_to_install(format, package, remedy, model, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == package else real(n, *a))
    with pytest.raises(MissingDependencyError, match=f"{package}.*{remedy}"):
        export(model, format, imgsz=64)


def test_images_are_those_of_the_validation_set_where_it_is_at_hand(tmp_path, model):
    import cv2

    folder = tmp_path / "set" / "images" / "val"
    folder.mkdir(parents=True)
    for i in range(20):
        cv2.imwrite(str(folder / f"{i:02}.png"), np.full((8, 8, 3), i, np.uint8))
    (tmp_path / "set.yaml").write_text("path: set\nval: images/val\n")
    before = dict(model.model.args)
    model.model.args["data"] = str(tmp_path / "set.yaml")
    try:
        found = verifying.parity_images(model, n=5)
    finally:
        model.model.args = before
    assert [int(im[0, 0, 0]) for im in found] == [0, 4, 8, 12, 16]  # spread over the set
    assert verifying.parity_images(model, n=1)[0].shape[2] == 3  # else a rendered scene


def test_a_file_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        open_runner(tmp_path / "none.onnx")
    (tmp_path / "model.mnn").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"model\.mnn"):
        open_runner(tmp_path / "model.mnn")
    (tmp_path / "model.engine").write_bytes(b"")
    with pytest.raises(ExportError, match=r"model\.engine has no header"):
        open_runner(tmp_path / "model.engine")
    (tmp_path / "torn.onnx").write_bytes(b"not a graph")
    with pytest.raises(ExportError, match=r"torn\.onnx"):
        open_runner(tmp_path / "torn.onnx")
