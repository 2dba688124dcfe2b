"""Exports of the context-decoupled head, its attention and both of its branches find what the network finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from rsdet import RSDet
from rsdet.modelyaml import load_model_yaml


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """The path of a model YAML as narrow as it can be, by name of a shipped one."""
    folder = tmp_path_factory.mktemp("narrow")

    def make(name: str, **more) -> Path:
        path = folder / name
        d = {**load_model_yaml(name), "scales": {"n": [0.33, 0.125, 1024]}, "nc": 3, **more}
        path.write_text(yaml.safe_dump(d))
        return path

    return make


@pytest.mark.parametrize("format", ["onnx", "openvino", "torchscript"])
def test_every_format_agrees_where_no_size_is_divisible_by_64(narrow, tmp_path, format):
    if format == "openvino":
        pytest.importorskip("openvino")
    found = RSDet(narrow("sar-ship.yaml")).export(format=format, imgsz=(160, 224), out=tmp_path, verbose=False)
    assert found.parity.ok


@pytest.mark.parametrize("name", ["sar-ship.yaml", "yolov8-sar-ship.yaml"])
def test_a_graph_of_free_size(narrow, tmp_path, name):
    found = RSDet(narrow(name)).export(format="onnx", imgsz=96, dynamic=True, out=tmp_path, verbose=False)
    assert found.parity.ok  # at 96 x 96, whose levels are 12, 6 and 3, and at a second, oblong size

    import onnxruntime as ort

    session = ort.InferenceSession(str(found.path), providers=["CPUExecutionProvider"])
    for h, w in ((96, 96), (160, 224), (32, 352)):  # 5 x 7 at the coarsest level, and one row alone
        (y,) = session.run(None, {session.get_inputs()[0].name: np.zeros((2, 3, h, w), np.float32)})
        assert y.shape == (2, 7, sum((h // s) * (w // s) for s in (8, 16, 32)))


def test_the_head_without_suppression(narrow, tmp_path):
    found = RSDet(narrow("yolo26-sar-ship.yaml")).export(
        format="onnx", imgsz=96, nms=False, out=tmp_path, verbose=False, max_det=50
    )
    assert found.parity.ok
    shape = onnx.load(found.path).graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in shape] == [1, 50, 6]


def test_half_precision_onnx(narrow, tmp_path):
    assert RSDet(narrow("sar-ship.yaml")).export(imgsz=96, half=True, out=tmp_path, verbose=False).parity.ok


def test_operators_are_plain_ones(narrow, tmp_path):
    found = RSDet(narrow("sar-ship.yaml")).export(imgsz=128, out=tmp_path, verbose=False)
    used = {n.op_type for n in onnx.load(found.path).graph.node}
    assert "DepthToSpace" in used  # equation 5 as one operator
    assert "InstanceNormalization" in used  # the norm of shuffle attention
    assert used <= {
        "Add", "Concat", "Constant", "Conv", "DepthToSpace", "Div", "Expand", "Gather", "GlobalAveragePool", "MaxPool",
        "InstanceNormalization", "Mul", "ReduceMean", "Reshape", "Resize", "Shape", "Sigmoid", "Slice", "Softmax",
        "Split", "Sub", "Transpose", "Unsqueeze",
    }  # fmt: skip


def test_the_running_mean_of_the_loss_is_in_no_graph(narrow, tmp_path):
    model = RSDet(narrow("sar-ship.yaml"))
    assert model.model.iou_mean is not None
    found = model.export(imgsz=64, out=tmp_path, verbose=False)
    assert not [i.name for i in onnx.load(found.path).graph.initializer if "iou_mean" in i.name]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["ciou", "wiou-v3"])
def test_learns_sixteen_rendered_scenes_by_heart(tmp_path, loss):
    from rsdet.data.demo_sar import make_demo_sar

    data = make_demo_sar(tmp_path / "scenes", n_train=16, n_val=1, size=192, seed=1, progress=False)
    d = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({**d, "val": d["train"]}))
    model = RSDet("sar-ship.yaml", scale="t")
    model.train(
        data=data, epochs=120, imgsz=192, batch=8, nbs=8, recipe="none", optimizer="AdamW", lr0=2e-3, lrf=0.05,
        cos_lr=True, warmup_epochs=2, mosaic=0.0, speckle=0.0, rot90=0.0, fliplr=0.0, flipud=0.0, scale=0.0,
        translate=0.0,
        erasing=0.0, plots=False, val=False, patience=0, iou_loss=loss, project=str(tmp_path), workers=0,
    )  # fmt: skip
    metrics = model.val(data=data, imgsz=192, plots=False, project=str(tmp_path))
    assert metrics.protocol_metrics.ap50 > 0.9
