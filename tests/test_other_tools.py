"""Results of rsdet in the tools of others: supervision takes them as they are, SAHI slices around a model of ours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from exported import lively

from rsdet import RSDet
from rsdet.data.scenes import render_scene
from rsdet.runtime.results import detections_of

KINDS = ("yolo", "rtdetr", "obb", "segment")
SIZE = (137, 211)  # height and width in pixels
LOOK = {"imgsz": 160, "conf": 0.3, "verbose": False}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {kind: lively(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "a.png"
    cv2.imwrite(str(path), np.ascontiguousarray(render_scene(3, SIZE).image[..., ::-1]))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_supervision_takes_a_result(models, photo, kind):
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    (result,) = models[kind].predict(photo, **LOOK)
    theirs, ours = sv.Detections.from_ultralytics(result), detections_of(result)
    assert len(theirs) == len(ours) > 3
    np.testing.assert_allclose(theirs.xyxy, ours.boxes_xyxy, atol=1e-3)
    np.testing.assert_allclose(theirs.confidence, ours.scores)
    assert theirs.class_id.tolist() == ours.classes.tolist()
    assert theirs.data["class_name"].tolist() == [ours.names[c] for c in ours.classes]
    if kind == "obb":
        np.testing.assert_allclose(theirs.data["xyxyxyxy"], ours.corners, atol=1e-3)
    if kind == "segment":  # each enlarges the network's masks in its own way
        assert theirs.mask.shape == ours.masks.shape
        assert (theirs.mask & ours.masks).sum() > 0.95 * (theirs.mask | ours.masks).sum()
    (none,) = models[kind].predict(photo, **{**LOOK, "conf": 1.0})
    assert len(sv.Detections.from_ultralytics(none)) == 0


def test_supervision_gets_the_numbers_of_tracks(models, photo):
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    pytest.importorskip("lap", reason="lap is not installed")
    (result,) = models["rtdetr"].track(cv2.imread(str(photo)), imgsz=160, verbose=False)
    found = sv.Detections.from_ultralytics(result)
    assert found.tracker_id.tolist() == result.boxes.id.int().tolist()
    assert len(found) > 3


def sliced(model, photo, side, **about):
    """Boxes, scores and class names that SAHI finds, where nothing but the same box twice is merged."""
    from sahi import AutoDetectionModel
    from sahi.predict import get_sliced_prediction

    about = about or {"model": model}
    theirs = AutoDetectionModel.from_pretrained(
        "ultralytics", confidence_threshold=LOOK["conf"], image_size=LOOK["imgsz"], device="cpu", **about
    )
    found = get_sliced_prediction(
        str(photo), theirs, slice_height=side, slice_width=side, overlap_height_ratio=0.0, overlap_width_ratio=0.0,
        perform_standard_pred=False, postprocess_type="NMS", postprocess_match_metric="IOU",
        postprocess_match_threshold=1.0, verbose=0,
    ).object_prediction_list  # fmt: skip
    rows = [[*p.bbox.to_xyxy(), p.score.value] for p in found]
    return np.array(rows).reshape(-1, 5), [p.category.name for p in found], theirs.model


def alike(theirs: np.ndarray, ours: np.ndarray) -> bool:
    """Whether each row is one of the others, in the picture; of several equal ones SAHI keeps one."""
    theirs, ours = (np.hstack([np.clip(rows[:, :4], 0, SIZE[::-1] * 2), rows[:, 4:]]) for rows in (theirs, ours))
    gaps = np.abs(theirs[:, None] - ours[None]).max(-1)
    return len(theirs) > 3 and max(gaps.min(0).max(), gaps.min(1).max()) < 0.51


@pytest.mark.parametrize("kind", ["yolo", "rtdetr", "obb"])
def test_sahi_slices_around_a_model_of_ours(models, photo, kind):
    """One slice is the picture, and several are the slices, each at its place."""
    pytest.importorskip("sahi", reason="sahi is not installed")
    from sahi.slicing import get_slice_bboxes

    picture = cv2.imread(str(photo))
    for side in (256, 112) if kind != "obb" else (256,):  # SAHI cuts corners at each slice, upright boxes at the last
        expected, names = [], set()
        for x1, y1, x2, y2 in get_slice_bboxes(*SIZE, side, side, False, 0.0, 0.0):
            (result,) = models[kind].predict(picture[y1:y2, x1:x2], **LOOK)
            found = detections_of(result)
            boxes = np.clip(found.boxes_xyxy, 0, SIZE[::-1] * 2)  # SAHI cuts before it shifts
            boxes = boxes + np.array([x1, y1, x1, y1])
            expected.append(np.concatenate([boxes, found.scores[:, None]], 1))
            names |= {found.names[c] for c in found.classes}
        theirs, classes, _ = sliced(models[kind], photo, side)
        assert alike(theirs, np.concatenate(expected)), side
        assert {*classes} == names


def test_sahi_finds_masks_of_a_model_of_ours(models, photo):
    pytest.importorskip("sahi", reason="sahi is not installed")
    (result,) = models["segment"].predict(photo, **LOOK)
    theirs, _, _ = sliced(models["segment"], photo, 256)
    assert 0 < len(theirs) <= len(result)  # it leaves out masks of fewer than three corners


def test_sahi_opens_weights_of_ours_by_their_path(models, photo, tmp_path):
    pytest.importorskip("sahi", reason="sahi is not installed")
    models["rtdetr"].save(str(tmp_path / "w.pt"))
    by_path, _, model = sliced(None, photo, 256, model_path=str(tmp_path / "w.pt"))
    assert type(model) is RSDet
    assert alike(by_path, sliced(models["rtdetr"], photo, 256)[0])
