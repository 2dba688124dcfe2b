"""Every shipped model, exported at a size that is no multiple of 64, finds in ONNX what it finds in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from conftest import TINY

from rsdet import RSDet
from rsdet.data.scenes import render_scene
from rsdet.modelyaml import form_of, list_models, load_model_yaml, read_model_yaml
from rsdet.tasks.detect.parity import ParityReport

NARROW = {"n": [0.33, 0.125, 1024]}  # depth, width, most channels of a YOLO
FAST = {"vmc-detr-demo.yaml", "rtdetr-r18.yaml", "sar-ship.yaml", "yolo26-sar-ship.yaml"}  # one of each kind
SMALL = {"vmc-detr-demo.yaml": TINY, "vmc-detr.yaml": {"scale": "n"}, "rtdetr-r18.yaml": {"scale": "t"}}
SCENES = [np.ascontiguousarray(render_scene(i, hw).image[..., ::-1]) for i, hw in enumerate([(97, 211), (160, 96)])]


def build(name: str, folder) -> RSDet:
    """A model as small as its YAML can be made, with activations that depend on the picture."""
    torch.manual_seed(0)
    if read_model_yaml(name)["family"] == "yolo":
        path = folder / name
        path.write_text(yaml.safe_dump({**load_model_yaml(name), "scales": NARROW, "nc": 3}))
        model = RSDet(path)
    else:
        model = RSDet(name, **SMALL.get(name, {}))
    net = model.model
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    with torch.no_grad():
        for p in net.model[-1].parameters():
            if p.ndim > 1:
                p += 0.5 * p.std() * torch.randn_like(p)
        net.train().predict(torch.from_numpy(np.random.default_rng(0).random((2, 3, 96, 160), dtype=np.float32)))
    net.eval()
    return model


def names():
    for name in list_models(task="detect"):
        if form_of(read_model_yaml(name)) != "method":
            yield pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow], id=name.removesuffix(".yaml"))


@pytest.mark.parametrize("name", names())
def test_parity_at_an_odd_size(name, tmp_path):
    model = build(name, tmp_path)
    for i, size in enumerate([(96, 160), (32, 224)] if model.family == "yolo" else [(96, 160)]):
        made = model.export(imgsz=size, images=SCENES, out=tmp_path / str(i), verbose=False, debug="layers")
        assert made.parity.ok
        assert made.layers.ok, made.layers.table()
        if isinstance(made.parity, ParityReport):
            assert not made.parity.vacuous


@pytest.mark.parametrize("name", ["yolo26-sar-ship.yaml"])
def test_the_head_without_suppression(name, tmp_path):
    made = build(name, tmp_path).export(imgsz=(96, 160), images=SCENES, nms=False, out=tmp_path, verbose=False)
    assert made.parity.ok


@pytest.mark.slow
@pytest.mark.parametrize("format", ["openvino", "torchscript"])
@pytest.mark.parametrize("name", sorted(FAST))
def test_the_other_backends_agree_too(name, format, tmp_path):
    if format == "openvino":
        pytest.importorskip("openvino")
    made = build(name, tmp_path).export(format=format, imgsz=(96, 160), images=SCENES, out=tmp_path, verbose=False)
    assert made.parity.ok
