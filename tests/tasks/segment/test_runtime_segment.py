"""Masks without PyTorch are those of Ultralytics' predictor on the same file, which it has exported itself."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from exported import almost_equal, pictures, stock_export
from pycocotools.mask import decode
from ultralytics import YOLO

from rsdet.errors import CheckpointError
from rsdet.runtime import MaskDetector, light
from rsdet.runtime.masks import in_picture, patch_of
from rsdet.runtime.results import detections_of

END2END = {"end2end": True, "reg_max": 1, "head": [[[2, 3], 1, "Segment26", ["nc", 8, 16]]]}
KINDS = {"raw": {}, "end2end": {"head": END2END, "nms": False}, "suppression-inside": {"nms": True}}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = stock_export("segment", tmp_path_factory.mktemp(kind), **KINDS[kind])
        return made[kind]

    return get


@pytest.fixture(scope="module")
def photos(request, tmp_path_factory):
    return pictures(request, tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def busy(artifact, photos):
    """The picture with most objects: the weights are random, and find none in some."""
    detector = MaskDetector(artifact("raw"))
    return max(photos, key=lambda photo: len(detector.predict(photo)))


@pytest.mark.parametrize("retina", [False, True])
@pytest.mark.parametrize("kind", list(KINDS))
def test_boxes_and_masks_are_those_of_ultralytics(artifact, photos, kind, retina):
    full, small, pixels = YOLO(artifact(kind)), MaskDetector(artifact(kind), retina_masks=retina), 0
    for photo in photos:
        theirs = full.predict(photo, imgsz=160, verbose=False, retina_masks=retina)[0]
        ours = small.predict(photo)
        assert len(ours) == len(theirs)
        np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes.xyxy, atol=1e-3)
        np.testing.assert_allclose(ours.scores, theirs.boxes.conf, atol=1e-5)
        np.testing.assert_array_equal(ours.classes, theirs.boxes.cls)
        assert ours.masks.shape == (len(ours), *theirs.orig_shape)
        if len(ours):
            expected = theirs.masks.data.numpy().astype(bool) if retina else detections_of(theirs).masks
            assert almost_equal(ours.masks, expected)
            pixels += expected.sum()
    assert pixels > 1000


def test_openvino_gives_the_masks_of_onnx(artifact, busy, tmp_path):
    pytest.importorskip("openvino")
    folder = stock_export("segment", tmp_path, "openvino")
    a, b = (MaskDetector(f, retina_masks=True).predict(busy) for f in (artifact("raw"), folder))
    assert len(a) == len(b) > 0
    assert (a.masks != b.masks).sum() <= 0.002 * a.masks.sum() + 1


def test_a_mask_of_the_input_comes_back_to_the_pixels_of_the_picture():
    picture = np.zeros((90, 200), np.uint8)
    cv2.ellipse(picture, (120, 40), (50, 20), 30, 0, 360, 1, -1)
    seen = np.full((160, 160), 0, np.uint8)
    seen[44:116] = cv2.resize(picture, (160, 72), interpolation=cv2.INTER_NEAREST)  # letterboxed: 160 / 200 of 90 rows
    back = in_picture(patch_of(seen), seen.shape, picture.shape).whole(picture.shape)
    differ = back != picture
    rim = cv2.dilate(picture, np.ones((3, 3))) != cv2.erode(picture, np.ones((3, 3)))
    assert (differ <= rim).all()
    assert in_picture(patch_of(seen * 0), seen.shape, picture.shape).area == 0


def test_the_command_writes_boxes_polygons_and_run_lengths(artifact, busy, tmp_path):
    from rsdet import RSDet

    words = {"source": str(busy), "save_json": True, "save_coco": True, "project": str(tmp_path)}
    done = light.predict({"model": str(artifact("raw")), **words, "name": "small", "retina_masks": True})
    full = RSDet(artifact("raw")).predict(**words, save=True, name="full", retina_masks=True)[0]
    (image,) = json.loads((tmp_path / "small" / "predictions.json").read_text())
    coco = json.loads((tmp_path / "small" / "predictions-coco.json").read_text())
    assert len(image["boxes"]) == len(coco["annotations"]) == done.objects == len(full) > 0
    theirs = json.loads((tmp_path / "full" / "predictions-coco.json").read_text())
    for one, row, other in zip(image["boxes"], coco["annotations"], theirs["annotations"], strict=True):
        mask = decode(row["segmentation"])
        assert almost_equal(mask, decode(other["segmentation"]))
        assert row["area"] == mask.sum()
        drawn = np.zeros(mask.shape, np.uint8)
        for polygon in one["polygons_px"]:
            cv2.fillPoly(drawn, [np.rint(np.array(polygon) - 0.5).astype(int)], 1)
        assert (drawn >= mask).all()  # holes are filled
    for mine, mask in zip(coco["annotations"], full.masks.data.numpy(), strict=True):
        assert almost_equal(decode(mine["segmentation"]), mask)
    small, full = (cv2.imread(str(tmp_path / run / f"{busy.stem}.jpg")) for run in ("small", "full"))
    assert almost_equal(small, full)


@pytest.mark.parametrize("style", [{"show_labels": False}, {"show_boxes": False}, {"line_width": 3}])
def test_pictures_are_drawn_in_the_style_asked_for_as_by_the_full_path(artifact, photos, tmp_path, style):
    from rsdet import RSDet

    words = {"source": str(photos[-1]), "project": str(tmp_path), "conf": 0.01, "verbose": False, "max_det": 5, **style}
    light.predict({"model": str(artifact("end2end")), **words, "name": "small"})
    RSDet(artifact("end2end")).predict(**words, save=True, name="full")
    small, full = (cv2.imread(str(tmp_path / run / f"{photos[-1].stem}.jpg")) for run in ("small", "full"))
    assert almost_equal(small, full)


def test_a_graph_without_prototypes_is_refused_in_one_line(tmp_path):
    import onnx

    path = stock_export("yolo", tmp_path)
    graph = onnx.load(str(path))
    for entry in graph.metadata_props:
        if entry.key == "task":
            entry.value = "segment"
    onnx.save(graph, str(path))
    with pytest.raises(CheckpointError, match=r"expected objects and .* prototypes of masks; export it again"):
        MaskDetector(path).predict(np.zeros((64, 64, 3), np.uint8))
