"""Suppression inside a graph keeps boxes of different classes apart, also where they leave the picture."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from rsdet.deploy.exporter import classes_apart

BOXES = torch.tensor([[10.0, 10, 60, 50], [138, 138, 188, 178], [11, 10, 61, 50], [-300, 5, 20, 90]])  # corners, pixels
SCORES = torch.tensor([[0.0, 0.9], [0.8, 0.0], [0.0, 0.7], [0.6, 0.0]])


class Network(torch.nn.Module):
    """Finds the same boxes in every picture of 128 px; the second lies where stock suppression lays class 1."""

    task, names = "detect", {0: "a", 1: "b"}

    def forward(self, x):
        return torch.cat([BOXES, SCORES], 1).T[None]


@pytest.mark.parametrize("precision", [None, 16])
def test_a_box_outside_the_picture_meets_no_other_class(precision):
    from ultralytics.engine import exporter

    args = SimpleNamespace(
        format="onnx", dynamic=False, batch=1, conf=0.1, iou=0.5, max_det=5, agnostic_nms=False, quantize=precision,
        opset=20,
    )  # fmt: skip
    network, x = Network(), torch.zeros(1, 3, 128, 128)
    with classes_apart():
        (rows,) = exporter.NMSModel(network, args)(x)
    found = rows[rows[:, 4] > 0]
    if precision == 16:  # as Ultralytics has it: numbers so far apart are too coarse for FP16
        assert len(found) == 2
        return
    assert torch.equal(found[:, :4], BOXES[[0, 1, 3]]), "exactly, and the double of the first is gone"
    assert found[:, 5].tolist() == [1, 0, 0]
    assert not network._forward_hooks
