"""``val tile=``: what predict finds by tiles, measured against labels that were never cut."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from exported import lively
from scenes.blobs import boxes_apart, picture_of, predictor

from rsdet.errors import ConfigError
from rsdet.geometry import xywhr_to_corners
from rsdet.scenes.settings import SceneSettings
from rsdet.tasks.detect.tiled_val import TiledLook
from rsdet.tasks.detect.val import YOLOVal
from rsdet.tasks.obb.val import OBBVal
from rsdet.tasks.segment.val import SegmentVal

VALIDATORS = {"yolo": YOLOVal, "obb": OBBVal, "segment": SegmentVal}
QUIET = dict(imgsz=128, plots=False, workers=0, batch=1, verbose=False)


def dataset(root: Path, kind: str, n: int = 2, size_hw=(300, 420)) -> Path:
    rng = np.random.default_rng(4)
    for sub in ("images/val", "labels/val"):
        (root / sub).mkdir(parents=True)
    for i in range(n):
        boxes = boxes_apart(size_hw, 40, rng)
        cv2.imwrite(str(root / f"images/val/{i}.png"), picture_of(size_hw, boxes, rng))
        rows = []
        for x1, y1, x2, y2 in boxes:
            cls = int(x2 - x1 > y2 - y1)
            corners = np.array([x1, y1, x2, y1, x2, y2, x1, y2]) / np.tile([size_hw[1], size_hw[0]], 4)
            box = np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]) / np.tile([size_hw[1], size_hw[0]], 2)
            rows.append(" ".join(map(str, [cls, *(box if kind == "yolo" else corners)])))
        (root / f"labels/val/{i}.txt").write_text("\n".join(rows))
    task = "detect" if kind == "yolo" else kind
    content = {"train": "images/val", "val": "images/val", "names": ["tall", "wide", "other"], "task": task}
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root / "data.yaml"


def spied(kind: str) -> type:
    """The validator of a task that leaves itself behind."""
    return type("Spy", (VALIDATORS[kind],), {"__init__": lambda self, *a, **k: (
        VALIDATORS[kind].__init__(self, *a, **k), setattr(type(self), "made", self), None)[-1]
    })  # fmt: skip


def test_a_model_that_is_right_in_every_tile_is_right_on_the_whole(tmp_path, monkeypatch):
    """Objects at every place in the grid, each found exactly: both tables say so."""
    data = dataset(tmp_path, "yolo")
    model = lively("yolo", tmp_path)
    monkeypatch.setattr(TiledLook, "of", classmethod(lambda cls, m, settings, args: cls(predictor(), settings)))
    spy = spied("yolo")
    metrics = model.val(validator=spy, data=data, project=str(tmp_path), tile=64, overlap=20, **QUIET)
    assert [len(t.boxes_xyxy) for t in spy.made.truth] == [len(d.boxes_xyxy) for d in spy.made.detections]
    assert metrics.protocol_metrics.ap50 == pytest.approx(1.0)
    assert metrics.box.map > 0.6  # in pixels of a small input, so that boxes are off by parts of one


@pytest.mark.parametrize("kind", ["yolo", "obb", "segment"])
def test_the_objects_are_those_of_predict(tmp_path, kind):
    pytest.importorskip("rasterio")
    data, model = dataset(tmp_path, kind, 1), lively(kind, tmp_path)
    spy = spied(kind)
    words = dict(conf=0.3, iou=0.5, tile=128, overlap=32)
    metrics = model.val(validator=spy, data=data, project=str(tmp_path), **words, **QUIET)
    (found,) = model.predict(
        tmp_path / "images/val/0.png", project=str(tmp_path), layers="csv", quicklook=False, crops=0, verbose=False,
        **words,
    )  # fmt: skip
    found, (seen,) = found.found, spy.made.detections
    assert len(found) == len(seen.scores) > 5
    np.testing.assert_allclose(np.sort(found.scores), np.sort(seen.scores), atol=1e-4)
    assert np.isfinite(metrics.protocol_metrics.ap)
    if kind == "obb":
        np.testing.assert_allclose(found.corners, seen.corners, atol=0.05)
    elif kind == "segment":
        assert len(seen.masks) == len(found)
    else:
        np.testing.assert_allclose(found.boxes_xyxy, seen.boxes_xyxy, atol=0.05)


def test_masks_of_outlines_are_the_pixels_they_were_made_of():
    from rsdet.runtime.masks import Mask
    from rsdet.tasks.detect.tiled_val import _drawn

    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = np.zeros((60, 80), np.uint8)
        ring = xywhr_to_corners([[40, 30, *rng.uniform(2, 40, 2), rng.uniform(0, 3)]])[0]
        cv2.fillPoly(mask, [np.rint(ring).astype(np.int32)], 1)
        again = _drawn(Mask(0, 0, mask).polygons(), np.zeros(4), (60, 80))
        np.testing.assert_array_equal(again, mask)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"tile": 0}, "tile=0"),
        ({"tile": 64, "overlap": 64}, "overlap=64"),
        ({"tile": 64, "merging": "all"}, "merging='all'"),
        ({"tile": 4}, "stride"),
    ],
)
def test_values_that_make_no_sense_are_refused(tmp_path, words, says):
    model = lively("yolo", tmp_path)
    with pytest.raises(ConfigError, match=says):
        model.val(data=dataset(tmp_path, "yolo", 1), project=str(tmp_path), **words, **QUIET)


def test_pictures_smaller_than_a_tile_are_one(tmp_path):
    look = TiledLook(predictor(input_hw=(32, 32)), SceneSettings(tile=640, overlap=0.2))
    boxes = np.array([[3, 4, 20, 12]])
    found = look(picture_of((50, 60), boxes, np.random.default_rng(0)))
    np.testing.assert_array_equal(found.boxes_xyxy, boxes)


def test_four_numbers_of_a_model(tmp_path):
    """Whole and by tiles, scriptable: the metrics of both are there."""
    data, model = dataset(tmp_path, "yolo", 1), lively("yolo", tmp_path)
    both = [
        model.val(data=data, project=str(tmp_path), **how, **QUIET).protocol_metrics
        for how in ({}, {"tile": 128, "overlap": 0.2})
    ]
    assert both[0].protocol.name == both[1].protocol.name
    assert all(0 <= m.ap <= 1 for m in both)
