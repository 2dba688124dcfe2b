"""An exported file that names fewer classes than it finds: an output of one score per query does not say how many."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rsdet import RSDet
from rsdet.data.scenes import render_scene
from rsdet.runtime import Detector

FOUND = [[0.3, 0.3, 0.2, 0.2, 0.9, 0], [0.6, 0.3, 0.2, 0.2, 0.8, 1], [0.3, 0.7, 0.2, 0.2, 0.7, 2]]  # the last: class


def detector(path, **facts: str):
    """A graph that finds the same in every picture."""
    found = numpy_helper.from_array(np.array([FOUND], np.float32), "found")
    x = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    y = helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 3, 6])
    graph = helper.make_graph([helper.make_node("Identity", ["found"], ["output0"])], "g", [x], [y], [found])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


def test_classes_without_a_name_are_numbers_with_pytorch_and_without(tmp_path):
    file = detector(tmp_path / "few.onnx", task="detect", head="RTDETRDecoder", imgsz="[64, 64]", names="{0: 'car'}")
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), render_scene(3, (64, 64)).image)
    assert [row["name"] for row in Detector(file).predict(picture).objects()] == ["car", "1", "2"]
    (full,) = RSDet(file).predict(picture, save=True, save_crop=True, project=tmp_path, name="run", verbose=False)
    assert [row["name"] for row in full.summary()] == ["car", "1", "2"]
    assert {p.name for p in (tmp_path / "run" / "crops").iterdir()} == {"car", "1", "2"}
