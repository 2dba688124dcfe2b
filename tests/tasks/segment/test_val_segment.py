"""Validation of masks: the protocol is handed those that prediction draws, in pixels of the original image."""

from __future__ import annotations

import cv2
import numpy as np
import yaml
from exported import lively
from pycocotools.mask import decode

from rsdet.data.scenes import render_scene
from rsdet.tasks.segment.val import SegmentVal


def test_masks_are_those_of_prediction_in_original_pixels(tmp_path, monkeypatch):
    for folder in ("images", "labels"):
        (tmp_path / folder / "val").mkdir(parents=True)
    photo = tmp_path / "images" / "val" / "a.png"
    cv2.imwrite(str(photo), np.ascontiguousarray(render_scene(0, (150, 200)).image[..., ::-1]))
    (tmp_path / "labels" / "val" / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.6 0.3 0.7 0.1 0.5\n")
    names = {0: "0", 1: "1", 2: "2"}
    content = {"path": str(tmp_path), "train": "images/val", "val": "images/val", "names": names}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(content))
    kept, stock = [], SegmentVal.finalize_metrics
    monkeypatch.setattr(SegmentVal, "finalize_metrics", lambda self: (kept.append(self), stock(self)))

    model = lively("segment", tmp_path)
    settings = dict(imgsz=96, conf=0.02, iou=0.7, max_det=100)
    metrics = model.val(data=tmp_path / "data.yaml", workers=0, plots=False, project=str(tmp_path), **settings)
    assert (metrics.protocol_metrics.protocol.name, metrics.protocol_metrics.n_boxes) == ("coco", 1)
    (truth,), (found,) = kept[-1].truth, kept[-1].detections
    assert decode(truth.masks[0]).shape == (150, 200)
    assert abs(int(decode(truth.masks[0]).sum()) - 0.21 * 150 * 200) < 100

    (drawn,) = model.predict(photo, save=False, retina_masks=True, **settings)
    apart = np.abs(found.boxes_xyxy[:, None] - drawn.boxes.xyxy.numpy()[None]).max(-1)
    apart += 1e3 * np.abs(found.scores[:, None] - drawn.boxes.conf.numpy()[None])
    pairs = np.argwhere(apart < 0.1)
    assert len(pairs) > 3
    for i, j in pairs:
        ours, theirs = decode(found.masks[i]).astype(bool), drawn.masks.data[j].numpy().astype(bool)
        assert (ours != theirs).sum() <= 4
