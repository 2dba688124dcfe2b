"""An export of oriented boxes is proved by corners and overlap of the turned boxes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from exported import lively, stock_export

from rsdet import RSDet
from rsdet.errors import ConfigError, ExportError
from rsdet.geometry import xywhr_to_corners
from rsdet.tasks.detect.parity import compare
from rsdet.tasks.obb.export import Turned

BOX = [50.0, 40.0, 30.0, 10.0, 0.5]


def rows(*boxes):
    corners = xywhr_to_corners(np.array(boxes, float)).reshape(-1, 8)
    return np.hstack([corners, np.full((len(corners), 1), 0.8), np.zeros((len(corners), 1))])


@pytest.mark.parametrize(
    ("other", "ok"),
    [
        (BOX, True),
        ([50, 40, 10, 30, 0.5 + np.pi / 2], True),  # the same rectangle, said in another way
        ([50, 40, 30, 10, 0.5 + np.pi], True),
        ([50.3, 40.3, 30, 10, 0.5], True),
        ([51, 40, 30, 10, 0.5], False),
        ([50, 40, 30, 10, 0.56], False),  # the upright box around it hardly moves
        ([50, 40, 30, 10, -0.5], False),
    ],
)
def test_boxes_are_compared_by_their_corners(other, ok):
    report = compare([rows(BOX)], [rows(other)], shape=Turned())
    assert report.ok == ok
    assert not report.vacuous
    if ok:
        assert "corner distance <=" in report.summary()
        assert report.min_iou > 0.85


@pytest.mark.parametrize("nms", [None, True])
def test_an_export_finds_the_same_boxes(tmp_path, nms):
    result = lively("obb", tmp_path, nc=1).export(format="onnx", imgsz=96, nms=nms, iou=0.3)
    assert result.parity.ok
    assert result.parity.matched > 4
    assert result.parity.max_box_error_px < 0.01
    assert result.parity.min_iou > 0.99


def test_an_artifact_with_other_angles_is_rejected(tmp_path, monkeypatch):
    from rsdet.deploy.runners import OnnxRunner

    stock = OnnxRunner.outputs

    def turned(self, x):
        first, *rest = stock(self, x)
        first = first.copy()
        first[:, -1] += 0.05
        return (first, *rest)

    monkeypatch.setattr(OnnxRunner, "outputs", turned)
    with pytest.raises(ExportError, match="corner distance"):
        lively("obb", tmp_path).export(format="onnx", imgsz=96)
    assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.parametrize("lie", ["detect", "segment"])
def test_a_file_whose_head_is_for_another_task_than_it_says_is_refused(tmp_path, lie):
    path = stock_export("obb", tmp_path)
    graph = onnx.load(str(path))
    (entry,) = (p for p in graph.metadata_props if p.key == "task")
    entry.value = lie
    onnx.save(graph, str(path))
    with pytest.raises(ConfigError, match=f"ends in a head for task=obb, not for task={lie}"):
        RSDet(path)
