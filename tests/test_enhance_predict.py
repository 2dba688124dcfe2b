"""Enhancing before detecting in predict: what the detector sees, where the boxes lie, what is refused."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from conftest import TINY
from enhancers import Invert, Repeat, Slow, lively, noise_picture, tiny_weights_of

from rsdet import RSDet
from rsdet.cli import run
from rsdet.data.sar import Stretch
from rsdet.errors import ConfigError
from rsdet.tasks.detect.parity import compare

QUIET = dict(imgsz=96, conf=1e-6, save=False, verbose=False)


@pytest.fixture(scope="module")
def detectors() -> dict[str, RSDet]:
    return {"rtdetr": lively(RSDet("vmc-detr-demo.yaml", **TINY)), "yolo": lively(RSDet("yolo11n.yaml"))}


@pytest.fixture
def pictures(tmp_path):
    return [noise_picture(tmp_path / "in" / f"{i}.png", size, i) for i, size in enumerate([(60, 92), (81, 57)])]


def boxes_of(results):
    return [r.boxes.data.cpu().numpy() for r in results]


@pytest.mark.parametrize("family", ["rtdetr", "yolo"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_boxes_are_those_of_the_enhanced_picture_divided_by_the_scale(detectors, pictures, tmp_path, family, scale):
    model = detectors[family]
    chain = [Invert(), Repeat(scale)]
    enhanced = []
    for p in pictures:
        out = (255 - cv2.imread(str(p))).repeat(scale, 0).repeat(scale, 1)
        enhanced.append(tmp_path / "enhanced" / p.name)
        enhanced[-1].parent.mkdir(exist_ok=True)
        cv2.imwrite(str(enhanced[-1]), out)
    wanted = boxes_of(model.predict(enhanced, **QUIET))
    found = model.predict(pictures, enhance=chain, **QUIET)
    assert sum(map(len, wanted)) > 10
    for w, r, p in zip(wanted, found, pictures, strict=True):
        np.testing.assert_allclose(r.boxes.data.numpy()[:, :4] * scale, w[:, :4], atol=1e-4)
        np.testing.assert_array_equal(r.boxes.data.numpy()[:, 4:], w[:, 4:])
        original = cv2.imread(str(p))
        np.testing.assert_array_equal(r.orig_img, original)
        assert r.orig_shape == original.shape[:2]
        assert r.speed["enhance"] >= 0


def test_a_chain_is_for_one_call(detectors, pictures):
    plain = boxes_of(detectors["rtdetr"].predict(pictures, **QUIET))
    enhanced = boxes_of(detectors["rtdetr"].predict(pictures, enhance=[Invert()], **QUIET))
    again = boxes_of(detectors["rtdetr"].predict(pictures, **QUIET))
    assert any(a.shape != b.shape or not np.allclose(a, b) for a, b in zip(plain, enhanced, strict=True))
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_arrays_and_batches_are_enhanced_too(detectors, pictures):
    arrays = [cv2.imread(str(p)) for p in pictures]
    chain = [Repeat(2)]
    wanted = boxes_of(detectors["yolo"].predict(pictures, enhance=chain, **QUIET))
    for found in (
        detectors["yolo"].predict(arrays, enhance=chain, **QUIET),
        detectors["yolo"].predict(pictures, enhance=chain, batch=2, **QUIET),
    ):
        # Two pictures at once may go through other kernels, whose last digits decide which of two equals is first.
        report = compare(wanted, boxes_of(found), box_tol_px=0.02, score_tol=1e-3, conf=QUIET["conf"])
        assert report.ok, report.summary()
        assert report.matched > 20


def test_enhanced_pictures_and_files_of_boxes(detectors, pictures, tmp_path):
    args = {**QUIET, "save": True, "project": tmp_path, "name": "run", "save_json": True, "save_txt": True}
    results = detectors["rtdetr"].predict(pictures, enhance=[Invert(), Repeat(2)], save_enhanced=True, **args)
    for p, r in zip(pictures, results, strict=True):
        wanted = (255 - cv2.imread(str(p))).repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / "run" / "enhanced" / p.name)), wanted)
        drawn = cv2.imread(str(tmp_path / "run" / f"{p.stem}.jpg"))
        assert drawn.shape[1] >= r.orig_shape[1]
    stored = json.loads((tmp_path / "run" / "predictions.json").read_text())
    first = np.array([b["xyxy_px"] for b in stored[0]["boxes"]])
    np.testing.assert_allclose(first, results[0].boxes.xyxy, atol=1e-2)
    rows = np.loadtxt(tmp_path / "run" / "labels" / "0.txt", ndmin=2)
    assert len(rows) == len(results[0])
    np.testing.assert_allclose(rows[:, 1:], results[0].boxes.xywhn.numpy(), atol=1e-4)


def test_files_of_networks_are_loaded_and_run(detectors, pictures, tmp_path):
    weights = tiny_weights_of(tmp_path, 2)
    found = detectors["rtdetr"].predict(pictures[0], enhance=str(weights), enhance_tile=48, enhance_overlap=16, **QUIET)
    whole = detectors["rtdetr"].predict(pictures[0], enhance=str(weights), **QUIET)
    np.testing.assert_allclose(found[0].boxes.data, whole[0].boxes.data, atol=0.05)


def test_tiles_of_a_scene_are_enhanced(detectors, tmp_path, caplog):
    pytest.importorskip("rasterio")
    scene = noise_picture(tmp_path / "in" / "0.png", (64, 96))
    model, keys = detectors["yolo"], {**QUIET, "project": tmp_path / "runs", "source": scene}
    about = {"tile": 96, "overlap": 0, "layers": "csv", "quicklook": False, "crops": 0}
    wanted = boxes_of(model.predict(enhance=[Invert()], **keys))[0]
    (found,) = model.predict(enhance=[Invert()], **about, **keys)
    assert len(found) == len(wanted) > 10
    np.testing.assert_allclose(np.sort(found.found.scores), np.sort(wanted[:, 4]), atol=1e-4)
    assert "say enhance_tile=" in caplog.text  # what tile= once was
    weights = tiny_weights_of(tmp_path)
    identities = []
    for name in ("0", "1"):  # the same file holds another enhancer
        lively(enhancer := RSDet(weights)).save(weights)
        assert enhancer.task == "restore"
        model.predict(enhance=str(weights), name=name, **about, **keys)
        identities.append(json.loads((tmp_path / "runs" / name / "0.json").read_text())["identity"]["model"])
    assert identities[0] != identities[1]
    for words, says in (({"overlap": 32}, "say enhance_overlap="), ({"tile": 96, "enhance": [Slow()]}, "for a scene")):
        with pytest.raises(ConfigError, match=says):
            model.predict(**{"enhance": [Invert()], **keys, **words})


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for i in range(3):
        writer.write(np.full((48, 64, 3), 60 * i, np.uint8))
    writer.release()
    return path


def test_frames_of_a_video(detectors, video):
    results = detectors["yolo"].predict(str(video), enhance=[Repeat(2)], **QUIET)
    assert len(results) == 3
    assert {r.orig_shape for r in results} == {(48, 64)}
    with pytest.raises(ConfigError, match="minutes per picture and cannot be used for a video"):
        detectors["yolo"].predict(str(video), enhance=[Slow()], **QUIET)


def test_a_slow_method_may_look_at_pictures(detectors, pictures):
    assert len(detectors["yolo"].predict(pictures, enhance=[Slow()], **QUIET)) == 2


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (dict(enhance_tile=512), "no enhance="),
        (dict(save_enhanced=True), "no enhance="),
        (dict(enhance="rsdet-does-not-exist.pt"), "do not exist"),
        (dict(enhance="vmc-detr-demo.yaml"), "task='detect'"),
        (dict(enhance="dwtma-net-t.yaml"), "without weights"),
        (dict(enhance=[Invert(channels=1)]), "takes 1 channels and the detector 3"),
        (dict(enhance=[Repeat(2)], enhance_tile=64, enhance_overlap=64), "enhance_overlap=64"),
        (dict(enhance=3), "must be the name"),
        (dict(enhanse="a.pt"), "enhance"),
    ],
)
def test_what_is_refused(detectors, pictures, args, says):
    with pytest.raises(Exception, match=says) as e:
        detectors["rtdetr"].predict(pictures[0], **QUIET, **args)
    assert getattr(e.value, "exit_code", None) == 2


def test_tensors_cfar_and_foreign_predictors_are_refused(detectors, pictures):
    import torch
    from ultralytics.models.rtdetr.predict import RTDETRPredictor

    with pytest.raises(ConfigError, match="tensor"):
        detectors["rtdetr"].predict(torch.rand(1, 3, 96, 96), enhance=[Invert()], **QUIET)
    with pytest.raises(ConfigError, match="CFAR"):
        RSDet("cfar").predict(pictures[0], enhance=[Invert()])
    with pytest.raises(ConfigError, match="unknown argument 'enhance'"):
        lively(RSDet("vmc-detr-demo.yaml", **TINY)).predict(
            pictures[0], predictor=RTDETRPredictor, enhance=[Invert()], **QUIET
        )


def test_the_command_line(tmp_path, pictures, capsys, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RSDet("vmc-detr-demo.yaml", **TINY).save("det.pt")
    words = ["predict", "model=det.pt", f"source={pictures[0]}", "imgsz=96", "conf=0.000001", "name=run"]
    assert run([*words, "enhance=['dcp.yaml', {'model': 'bicubic.yaml', 'upscale': 2}]", "save_enhanced=True"]) == 0
    assert cv2.imread("runs/detect/run/enhanced/0.png").shape == (120, 184, 3)
    assert "imgsz=192" in caplog.text  # 92 px x2 = 184, up to a multiple of 32
    assert run([*words, "enhance=det.pt"]) == 2
    assert "task='restore'" in capsys.readouterr().err


def test_radar_is_enlarged_after_the_stretch_and_never_dehazed(tmp_path):
    stretch = Stretch(domain="linear", method="range", low=0, high=1000, range=(0.0, 1000.0), dtype="uint16")
    model = lively(RSDet("vmc-detr-demo.yaml", **TINY))
    model.model.yaml["sar"] = stretch.to_dict()
    values = (np.random.default_rng(0).random((48, 64)) * 1200).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.tif"), values)
    found = model.predict(tmp_path / "a.tif", enhance=[Repeat(2)], **QUIET)[0]
    grey = found.orig_img[..., 0]
    np.testing.assert_allclose(grey, np.clip(values * 0.255, 0, 255), atol=0.51)
    plain = RSDet("vmc-detr-demo.yaml", **TINY)
    plain.model.load_state_dict(model.model.state_dict())
    wanted = plain.predict(np.repeat(grey.repeat(2, 0).repeat(2, 1)[..., None], 3, 2), **QUIET)[0]
    np.testing.assert_allclose(found.boxes.xyxy * 2, wanted.boxes.xyxy, atol=1e-4)
    cv2.imwrite(str(tmp_path / "empty.tif"), np.zeros((48, 64), np.uint16))
    assert len(model.predict(tmp_path / "empty.tif", enhance=[Repeat(2)], **QUIET)[0]) == 0
    with pytest.raises(ConfigError, match="radar pictures, which see through"):
        model.predict(tmp_path / "a.tif", enhance=[Invert()], **QUIET)
