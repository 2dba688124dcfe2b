"""A network that puts an edge of a box behind the opposite one: a box without area, and never the end of a run."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from exported import lively

from rsdet import RSDet


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crossing")
    model = lively("yolo", folder, nc=4)
    model.model.model[-1].dfl.conv.weight.data *= -1  # distances to the left of the left edge
    path = folder / "crossing.pt"
    model.model.names = {0: "car", 1: "truck", 2: "boat", 3: "plane"}
    model.save(str(path))
    return path


def test_predict_saves_all_and_no_box_has_a_negative_side(crossing, tiny_data, tmp_path):
    source = tiny_data.parent / "images" / "val"
    results = RSDet(crossing).predict(
        source, imgsz=96, conf=0.05, save=True, save_coco=True, project=str(tmp_path), name="p", verbose=False
    )
    assert len(results) == 4
    boxes = np.concatenate([r.boxes.xyxy.numpy() for r in results])
    assert len(boxes)
    assert (boxes[:, 2:] >= boxes[:, :2]).all()
    rows = json.loads((tmp_path / "p" / "predictions-coco.json").read_text())
    rows = rows["annotations"] if isinstance(rows, dict) else rows
    assert min(min(row["bbox"][2:]) for row in rows) >= 0


def test_val_counts_them_as_false(crossing, tiny_data, tmp_path):
    metrics = RSDet(crossing).val(data=tiny_data, imgsz=96, plots=False, project=str(tmp_path), name="v")
    assert metrics.protocol_metrics.ap50 == 0


@pytest.mark.parametrize("mode", ["train", "val"])
def test_pictures_of_a_validation_are_drawn(mode, crossing, tiny_data, tmp_path):
    words = dict(data=tiny_data, imgsz=96, plots=True, project=str(tmp_path), name="v", workers=0)
    if mode == "val":
        RSDet(crossing).val(**words)
    else:
        RSDet(crossing).train(epochs=1, batch=2, lr0=0.0, warmup_epochs=0, **words)
    for thread in threading.enumerate():
        if "plot_images" in thread.name:
            thread.join()
    assert (tmp_path / "v" / "val_batch0_pred.jpg").is_file()


def test_the_small_runtime_has_the_same_boxes():
    from rsdet.runtime.geometry import letterboxed
    from rsdet.tasks.detect.runtime.facts import Facts
    from rsdet.tasks.detect.runtime.postprocess import Rules, rows

    out = np.array([[50.0, 40.0, 30.0, 60.0, 0.9, 0.0]], np.float32)
    facts = object.__new__(Facts)
    for key, value in {"family": "yolo", "end2end": True, "names": {0: "a"}}.items():
        object.__setattr__(facts, key, value)
    boxes, _, _ = rows(out, facts, letterboxed((96, 96), (96, 96)), Rules())
    assert boxes.tolist() == [[50.0, 40.0, 50.0, 60.0]]
