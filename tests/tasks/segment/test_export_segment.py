"""An export of instance masks is proved by boxes and by the overlap of masks."""

from __future__ import annotations

import pytest
from exported import lively, model_yaml

from rsdet import RSDet
from rsdet.deploy.runners import OnnxRunner
from rsdet.errors import ExportError


@pytest.mark.parametrize("nms", [None, True])
def test_an_export_finds_the_same_masks(tmp_path, nms):
    result = lively("segment", tmp_path, nc=1).export(format="onnx", imgsz=96, nms=nms, iou=0.3)
    assert result.parity.ok
    assert result.parity.matched > 4
    assert result.parity.min_iou > 0.99
    assert result.parity.min_iou_tol == 0.95


def test_an_artifact_with_other_masks_is_rejected(tmp_path, monkeypatch):
    """Boxes and scores are right, and the prototypes are not."""
    stock = OnnxRunner.outputs

    def shifted(self, x):
        first, prototypes = stock(self, x)
        return first, -prototypes

    monkeypatch.setattr(OnnxRunner, "outputs", shifted)
    model = lively("segment", tmp_path)
    with pytest.raises(ExportError, match=r"IoU >= 0.*allowed 0\.95"):
        model.export(format="onnx", imgsz=96)
    assert model.export(format="onnx", imgsz=96, mask_iou=0.0).parity.ok


def test_prototypes_are_compared_where_nothing_is_found(tmp_path, monkeypatch):
    stock = OnnxRunner.outputs
    monkeypatch.setattr(OnnxRunner, "outputs", lambda self, x: (stock(self, x)[0], -stock(self, x)[1]))
    with pytest.raises(ExportError, match=r"parity FAILED: .* prototypes of masks"):
        RSDet(model_yaml("segment", tmp_path)).export(format="onnx", imgsz=96, out=tmp_path)
