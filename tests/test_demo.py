"""The first command of the README, whole: real detections in the pictures, mostly right."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rsdet.errors import DataError


@pytest.mark.slow
def test_the_demo_ends_with_pictures_of_true_detections(tmp_path, capsys):
    from rsdet.demo import run_demo

    table = run_demo(out=tmp_path / "demo", epochs=1)
    printed = capsys.readouterr().out
    assert "starts from the shipped" in printed
    assert len(list((tmp_path / "demo" / "predict").glob("*.jpg"))) == 8
    assert any("coco" in k for k in table)
    coco = json.loads((tmp_path / "demo" / "predict" / "predictions-coco.json").read_text())
    right = total = 0
    for image in coco["images"]:
        label = tmp_path / "demo" / "scenes" / "labels" / "val" / image["file_name"].replace(".jpg", ".txt")
        rows = np.array([[float(v) for v in line.split()] for line in label.read_text().splitlines()])
        size = np.array([image["width"], image["height"]] * 2)
        true = np.concatenate([rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2], 1) * size
        for a in (a for a in coco["annotations"] if a["image_id"] == image["id"]):
            x, y, w, h = a["bbox"]
            lo, hi = np.maximum(true[:, :2], [x, y]), np.minimum(true[:, 2:], [x + w, y + h])
            inter = np.clip(hi - lo, 0, None).prod(1)
            iou = inter / (w * h + (true[:, 2:] - true[:, :2]).prod(1) - inter)
            total += 1
            right += bool((iou[rows[:, 0] == a["category_id"] - 1] >= 0.5).any())
    assert total >= 30
    assert right / total >= 0.6, "the boxes in the pictures must be mostly right"


def test_a_demo_of_no_epochs_is_refused():
    from rsdet.demo import run_demo

    with pytest.raises(DataError, match="1 or more"):
        run_demo(epochs=0)
