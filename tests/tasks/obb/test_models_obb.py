"""Models of oriented boxes and of masks: what is built, what is refused, and that no file passes for another task's."""

from __future__ import annotations

import pytest
import torch
from ultralytics import YOLO

from rsdet import RSDet
from rsdet.deploy.complexity import complexity
from rsdet.errors import ConfigError
from rsdet.modelyaml import load_model_yaml
from rsdet.nn.shuffle_attention import ShuffleAttention
from rsdet.tasks.obb.model import OBBModel
from rsdet.tasks.segment.model import SegmentModel


def test_the_ship_detector_with_oriented_boxes_costs_what_its_yaml_says():
    d = load_model_yaml("sar-ship-obb.yaml")
    found = complexity(OBBModel({**d, "nc": 1}).eval().fuse(verbose=False), imgsz=640)
    assert found.params / 1e6 == pytest.approx(2.57, abs=0.005)
    assert found.gflops_legacy == pytest.approx(7.309, abs=5e-4)
    model = RSDet("sar-ship-obb.yaml")
    assert model.task == "obb"
    assert sum(isinstance(m, ShuffleAttention) for m in model.model.modules()) == 1
    assert model.model.iou_mean is not None  # what Wise-IoU v3 remembers


@pytest.mark.parametrize(
    ("name", "task", "kind"),
    [
        ("yolo11n-obb.yaml", "obb", OBBModel),
        ("yolo26n-obb.yaml", "obb", OBBModel),
        ("yolov8n-seg.yaml", "segment", SegmentModel),
        ("yolo26n-seg.yaml", "segment", SegmentModel),
    ],
)
def test_yamls_of_ultralytics_say_their_task_by_their_head(name, task, kind):
    model = RSDet(name, attention="SimAM")
    assert (model.task, model.family, type(model.model)) == (task, "yolo", kind)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("yolo11n-pose.yaml", {}, r"task=pose; rsdet has no such task, it has .*\bdetect\b.*\bobb\b"),
        ("yolo11n-cls.yaml", {}, r"task=classify; rsdet has no such task"),
        ("yolo11n-obb.yaml", {"task": "detect"}, r"task='detect'.* is a model for task='obb'"),
        ("yolo11n-obb.yaml", {"head": "SSCDetect"}, r"this model ends in OBB; leave it out"),
        ("yolo11n-seg.yaml", {"head": "Detect"}, r"this model ends in Segment; leave it out"),
        ("sar-ship-obb.yaml", {"head": "SSCDetect"}, r"this model ends in OBB; leave it out"),
    ],
)
def test_heads_of_other_tasks_are_refused_in_one_line(name, settings, said):
    with pytest.raises(ConfigError, match=said) as e:
        RSDet(name, **settings)
    assert "\n" not in str(e.value)


def test_a_yaml_that_lies_about_its_task_is_refused(tmp_path):
    text = "task: detect\nfamily: yolo\nnc: 1\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\nhead:\n  - [[0], 1, {}]\n"
    for row, task in (("OBB, [nc, 1]", "obb"), ("Segment, [nc, 4, 8]", "segment"), ("Pose, [nc, [3, 2]]", "pose")):
        (tmp_path / "model.yaml").write_text(text.format(row))
        with pytest.raises(ConfigError, match=rf"model\.yaml .* task={task}"):
            RSDet(tmp_path / "model.yaml")


def test_weights_of_ultralytics_are_taken_for_what_their_head_is(tmp_path):
    stock = YOLO("yolo11n-obb.yaml")
    stock.save(tmp_path / "stock.pt")
    model = RSDet(tmp_path / "stock.pt")
    assert (model.task, model.family) == ("obb", "yolo")
    stock.model.task = "detect"
    stock.save(tmp_path / "lying.pt")
    with pytest.raises(ConfigError, match=r"lying\.pt ends in a head for task=obb, not for task=detect"):
        RSDet(tmp_path / "lying.pt")


def test_weights_of_a_detector_start_a_network_of_oriented_boxes():
    """All but the head's outputs fit: what was learnt from upright boxes is not lost."""
    from rsdet.tasks.training import transfer

    source, target = RSDet("yolo11n.yaml").model, RSDet("yolo11n-obb.yaml").model
    report = transfer(target, source)
    assert len(report["taken"]) > 400
    assert not report["shape"]
    assert all(".cv4." in name for name in report["missing"])
    row = next(k for k in report["taken"] if k.startswith("model.0.") and k.endswith("conv.weight"))
    assert torch.equal(target.state_dict()[row], source.state_dict()[row])
