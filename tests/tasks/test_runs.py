"""Each run has a folder of its own with all its files, and a full disk costs none of those that were there."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rsdet import RSDet
from rsdet.data.convert import convert
from rsdet.errors import RSDetError, WriteError
from rsdet.tasks.detect.val import YOLOVal
from rsdet.tasks.runs import run_folder
from rsdet.writing import alone


@pytest.fixture(scope="module")
def picture(tiny_data):
    return next((tiny_data.parent / "images" / "val").glob("*.jpg"))


def at_once(n, call):
    barrier = threading.Barrier(n)

    def wait_and_call(i):
        barrier.wait(60)
        return call(i)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(wait_and_call, range(n)))


@pytest.mark.parametrize("backend", ["pytorch", "runtime"])
def test_predictions_that_begin_at_once_keep_all_their_files(backend, tiny_weights, picture, tmp_path, request):
    settings = dict(save=True, save_json=True, project=str(tmp_path), name="p", conf=0.01)
    if backend == "runtime":
        from rsdet.runtime.light import predict

        onnx = request.getfixturevalue("tiny_onnx")
        at_once(3, lambda _: predict({"model": str(onnx), "source": str(picture), **settings}))
    else:
        models = [RSDet(tiny_weights) for _ in range(3)]
        at_once(3, lambda i: models[i].predict(picture, imgsz=96, **settings))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p", "p-2", "p-3"]
    for folder in tmp_path.iterdir():
        assert {p.name for p in folder.iterdir()} == {f"{picture.stem}.jpg", "predictions.json"}
        assert len(json.loads((folder / "predictions.json").read_text())) == 1


@pytest.fixture(scope="module")
def tiny_onnx(tiny_weights, picture, tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx")
    return RSDet(tiny_weights).export(format="onnx", imgsz=96, images=[str(picture)], out=out, verbose=False).path


def test_validations_that_begin_at_once_have_a_folder_each(tmp_path):
    args = {"project": str(tmp_path), "name": "v", "mode": "val", "task": "detect"}
    folders = at_once(6, lambda _: YOLOVal(args=args).save_dir)
    assert len(set(folders)) == 6


def test_the_folder_asked_for_is_taken(tmp_path):
    args = SimpleNamespace(project=str(tmp_path), name="t", task="detect", mode="train", exist_ok=False, save_dir=None)
    assert [run_folder(args).name for _ in range(2)] == ["t", "t-2"]
    args.exist_ok = True
    assert run_folder(args).name == "t"
    args.save_dir = str(tmp_path / "mine")
    assert run_folder(args) == tmp_path / "mine"


def test_calls_of_one_model_share_a_folder_until_its_name_changes(tiny_weights, picture, tmp_path):
    model = RSDet(tiny_weights)
    for name in ("a", "a", "b"):
        model.predict(picture, imgsz=96, save=True, project=str(tmp_path), name=name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_nothing_is_made_where_nothing_is_saved(tiny_weights, picture, tmp_path):
    RSDet(tiny_weights).predict(picture, imgsz=96, project=str(tmp_path), name="p")
    assert not list(tmp_path.iterdir())


def test_pictures_crops_and_labels_on_a_full_disk(tiny_weights, picture, tmp_path):
    resource = pytest.importorskip("resource")
    model = RSDet(tiny_weights)
    settings = dict(imgsz=96, conf=0.0, max_det=3, project=str(tmp_path), name="p", exist_ok=True)
    for kind in ("save", "save_crop", "save_txt"):
        model.predict(picture, **settings, **{kind: True})
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert {p.suffix for p in before} == {".jpg", ".txt"}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for kind in ("save", "save_crop", "save_txt"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, hard))  # the system itself refuses, as on a full disk
        try:
            with pytest.raises(RSDetError, match=r"no space is left.*free some space"):
                model.predict(picture, **settings, **{kind: True})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for p in tmp_path.rglob("*"):
        assert p.is_dir() or p.suffix == ".txt" or cv2.imread(str(p)) is not None
    assert {p: p.read_bytes() for p in before if p.suffix == ".jpg"} == {
        p: v for p, v in before.items() if p.suffix == ".jpg"
    }


def test_two_conversions_into_one_folder_are_not_mixed(tmp_path):
    source = tmp_path / "source"
    for name in ("images", "labels"):
        (source / name / "train").mkdir(parents=True)
    cv2.imwrite(str(source / "images" / "train" / "a.png"), np.zeros((32, 32, 3), np.uint8))
    (source / "labels" / "train" / "a.txt").write_text("0 .5 .5 .5 .5\n")
    (source / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/train\nnames: [x]\n")
    (tmp_path / "out").mkdir()
    with alone(tmp_path / "out", "convert"), pytest.raises(WriteError, match="another convert is writing"):
        convert(source, "yolo", tmp_path / "out", progress=False)
    assert convert(source, "yolo", tmp_path / "out", progress=False).complete
    assert not list((tmp_path / "out").glob(".*"))
