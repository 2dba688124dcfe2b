"""``val enhance=``: numbers without and with, in pixels of the original pictures, and the time it took."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import TINY
from enhancers import Invert, Repeat, Slow, lively

from rsdet import RSDet
from rsdet.cli import run
from rsdet.errors import ConfigError

QUIET = dict(imgsz=96, plots=False, verbose=False, conf=1e-6)


@pytest.fixture(scope="module")
def data(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny scenes with one picture that is not square, so that letterboxes have a border."""
    folder = tmp_path_factory.mktemp("val") / "set"
    shutil.copytree(tiny_data.parent, folder)
    spec = yaml.safe_load((folder / tiny_data.name).read_text())
    (folder / tiny_data.name).write_text(yaml.safe_dump({**spec, "path": str(folder)}))
    first = sorted((folder / "images" / "val").iterdir())[0]
    picture = cv2.imread(str(first))[:60]
    cv2.imwrite(str(first), picture)
    return folder / tiny_data.name


def copy_of(data: Path, folder: Path, change) -> Path:
    """The same labels under changed pictures, stored without loss."""
    shutil.copytree(data.parent, folder)
    for cache in folder.rglob("*.cache"):
        cache.unlink()
    for f in (folder / "images" / "val").iterdir():
        out = change(cv2.imread(str(f)))
        f.unlink()
        cv2.imwrite(str(f.with_suffix(".png")), out)
    spec = yaml.safe_load((folder / data.name).read_text())
    (folder / data.name).write_text(yaml.safe_dump({**spec, "path": str(folder)}))
    return folder / data.name


@pytest.fixture(scope="module")
def detectors() -> dict[str, RSDet]:
    return {"rtdetr": lively(RSDet("vmc-detr-demo.yaml", **TINY)), "yolo": lively(RSDet("yolo11n.yaml"))}


def seen_by(model: RSDet, args: dict, monkeypatch: pytest.MonkeyPatch):
    """Truth, detections and metrics of the last validation of a call."""
    from rsdet.tasks.detect.val import OurVal

    kept, stock = [], OurVal.finalize_metrics

    def finalize(self):
        kept.append((self.truth, self.detections))
        stock(self)

    monkeypatch.setattr(OurVal, "finalize_metrics", finalize)
    metrics = model.val(**args)
    monkeypatch.setattr(OurVal, "finalize_metrics", stock)
    return *kept[-1], metrics


@pytest.mark.parametrize("family", ["rtdetr", "yolo"])
@pytest.mark.parametrize("scale", [1, 3])
def test_numbers_are_those_of_enhanced_files_in_original_pixels(detectors, data, tmp_path, monkeypatch, family, scale):
    model = detectors[family]
    model.model.names = yaml.safe_load(data.read_text())["names"] if family == "rtdetr" else model.model.names
    args = {**QUIET, "project": tmp_path, "single_cls": family == "yolo"}
    enhanced = copy_of(data, tmp_path / "enhanced", lambda x: (255 - x).repeat(scale, 0).repeat(scale, 1))
    truth, wanted, direct = seen_by(model, {**args, "data": enhanced}, monkeypatch)
    plain, _, _ = seen_by(model, {**args, "data": data}, monkeypatch)
    ours, found, metrics = seen_by(model, {**args, "data": data, "enhance": [Invert(), Repeat(scale)]}, monkeypatch)
    assert sum(len(d.boxes_xyxy) for d in wanted) > 10
    for w, f in zip(wanted, found, strict=True):
        np.testing.assert_allclose(f.boxes_xyxy * scale, w.boxes_xyxy, atol=1e-3)
        np.testing.assert_allclose(f.scores, w.scores, atol=1e-6)
    for a, b, c in zip(ours, plain, truth, strict=True):
        assert a.size_hw == b.size_hw
        np.testing.assert_allclose(a.boxes_xyxy, b.boxes_xyxy, atol=0.02)  # letterboxes round to pixels of the input
        np.testing.assert_allclose(a.boxes_xyxy * scale, c.boxes_xyxy, atol=1e-3)
    if scale == 1:
        assert metrics.protocol_metrics.ap == pytest.approx(direct.protocol_metrics.ap)
    assert metrics.results_dict["metrics/mAP50(B)"] == pytest.approx(direct.results_dict["metrics/mAP50(B)"])
    assert metrics.without is not metrics


def test_both_protocols_and_the_difference_are_printed_and_stored(detectors, data, tmp_path, caplog):
    model = detectors["rtdetr"]
    model.model.names = yaml.safe_load(data.read_text())["names"]
    metrics = model.val(data=data, enhance=[Invert()], protocol="visdrone", project=tmp_path, name="v", **QUIET)
    text = caplog.text
    assert metrics.save_dir == tmp_path / "v"
    record = json.loads((tmp_path / "v" / "enhance.json").read_text())
    numbers = {r["number"]: r for r in record["rows"]}
    assert {"visdrone AP", "visdrone AP50", "ultralytics AP", "ultralytics AP50"} <= set(numbers)
    for name, r in numbers.items():
        assert r["difference"] == pytest.approx(r["with"] - r["without"])
        assert metrics.enhance_gain[name] == pytest.approx(r["difference"])
        assert f"{name:>24}" in text
    assert record["ms_per_image"]["invert"] > 0
    assert "Enhance:" in text
    for folder in ("v", "v/enhanced"):
        assert (tmp_path / folder / "metrics-visdrone.json").is_file()


def test_pictures_kept_on_disk_are_not_mixed_up(detectors, data, tmp_path, monkeypatch):
    model = detectors["rtdetr"]
    own = copy_of(data, tmp_path / "own", lambda x: x)
    model.model.names = yaml.safe_load(data.read_text())["names"]
    args = {**QUIET, "project": tmp_path, "data": own, "cache": "disk"}
    _, plain, _ = seen_by(model, args, monkeypatch)
    assert list(own.parent.rglob("*.npy"))
    _, found, _ = seen_by(model, {**args, "enhance": [Invert()]}, monkeypatch)
    _, again, _ = seen_by(model, {**args, "enhance": [Repeat(1)]}, monkeypatch)
    assert max(np.abs(a.boxes_xyxy - b.boxes_xyxy).max() for a, b in zip(plain, found, strict=True)) > 1e-3
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_array_equal(a.boxes_xyxy, b.boxes_xyxy)


def test_the_size_to_use_is_named(detectors, data, tmp_path, caplog):
    model = detectors["rtdetr"]
    model.model.names = yaml.safe_load(data.read_text())["names"]
    model.val(data=data, enhance=[Repeat(2)], project=tmp_path, **QUIET)
    assert "give imgsz=192" in caplog.text


def test_what_is_refused(detectors, data, tmp_path):
    model = detectors["rtdetr"]
    with pytest.raises(ConfigError, match="minutes per picture and cannot be used for a whole dataset"):
        model.val(data=data, enhance=[Slow()], project=tmp_path, **QUIET)
    with pytest.raises(ConfigError, match="no enhance="):
        model.val(data=data, enhance_tile=64, project=tmp_path, **QUIET)
    for mode in (partial(model.val, data=data, project=tmp_path), model.benchmark, model.export):
        for key in ("tile", "overlap"):  # what they were called before scenes
            with pytest.raises(ConfigError, match=f"{key}= cuts scenes now; for the enhancer say enhance_{key}="):
                mode(enhance=[Repeat(2)], **{key: 32})
    with pytest.raises(ConfigError, match="takes 1 channels"):
        model.val(data=data, enhance=[Invert(channels=1)], project=tmp_path, **QUIET)


def test_the_command_line_says_what_helps(data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RSDet("vmc-detr-demo.yaml", **TINY).save("det.pt")
    assert run(["val", "model=det.pt", f"data={data}", "enhance=det.pt", "imgsz=96"]) == 2
    assert "an enhancer is one for task='restore'" in capsys.readouterr().err
