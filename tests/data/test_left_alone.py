"""No mode of any task writes below the user's data, caches of ours aside."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import ultralytics.data.utils
import yaml
from conftest import TRAIN
from exported import lively
from fakes import fingerprint
from PIL import Image
from restore_fakes import TRAIN as RESTORE_TRAIN
from restore_fakes import model_yaml, write_pairs
from test_label_cache import Planted

from rsdet import RSDet, tasks
from rsdet.cli import run as cli
from rsdet.data.label_cache import SUFFIX
from rsdet.data.scenes import render_scene
from rsdet.deploy.calibration import calibration_of
from rsdet.errors import DataError

SIZE = 96
TAIL = b"thermal block of a camera" * 50  # behind the end mark, where drones and thermal cameras put theirs
QUICK = dict(imgsz=SIZE, batch=2, workers=2, plots=False, verbose=False)
ONE_ROUND = dict(rounds=1, min_s=0, max_s=1, warmup_s=0, verbose=False)


def drone_jpeg(path: Path, picture: np.ndarray) -> None:
    """A JPEG with orientation, place and a block of its own behind the end mark."""
    exif = Image.Exif()
    exif[274], exif[271] = 6, "Maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 3.0), 3: "E", 4: (11.0, 34.0, 1.0)})
    Image.fromarray(picture).save(path, exif=exif, quality=90)
    path.write_bytes(path.read_bytes() + TAIL)


def make_set(root: Path) -> Path:
    """A data set as users have them, with what others have left in it; returns its YAML."""
    for split in ("train", "val"):
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for i, name in enumerate(("a.jpg", "b.png", "c.tif", "d.jpeg")):
            picture = render_scene(i, (SIZE, SIZE)).image
            path = images / name
            drone_jpeg(path, picture) if i == 0 else Image.fromarray(picture).save(path)
            (labels / f"{path.stem}.txt").write_text(f"{i % 3} .5 .5 .25 .25\n{i % 3} .2 .2 .1 .1\n")
        for path in (images / "b.npy", root / "labels" / f"{split}.cache"):
            path.write_bytes(pickle.dumps(Planted(root.parent / "ran")))  # as Ultralytics would read it
    (root / "classes.txt").write_text("car\nship\nplane\n")
    path = root / "data.yaml"
    names = {0: "car", 1: "ship", 2: "plane"}
    path.write_text(yaml.safe_dump({"path": str(root), "train": "images/train", "val": "images/val", "names": names}))
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return make_set(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture
def data(original, tmp_path, monkeypatch):
    """A copy, which the test must leave as it is; the working directory is elsewhere."""
    root = tmp_path / "data" / "set"
    shutil.copytree(original.parent, root)
    path = root / original.name
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "path": str(root)}))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    before = fingerprint(root.parent)
    yield path
    assert not (original.parent.parent / "ran").exists()
    after = {name: facts for name, facts in fingerprint(root.parent).items() if SUFFIX not in name}
    assert after == before


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, RSDet]:
    return {kind: lively(kind, tmp_path_factory.mktemp(kind)) for kind in ("yolo", "rtdetr")}


def weights(models, kind: str = "rtdetr") -> RSDet:
    model = RSDet(models[kind].ckpt_path)
    model.model.names = {0: "car", 1: "ship", 2: "plane"}
    return model


def look(path: Path) -> tuple[str, tuple[int, int]]:
    """What Ultralytics' scan of a data set does with a picture."""
    return ultralytics.data.utils.check_image(str(path))


def test_the_look_at_a_picture_says_the_same_and_writes_nothing(data):
    folder = data.parent / "images" / "train"
    for name in ("a.jpg", "b.png", "c.tif", "d.jpeg"):
        assert look(folder / name) == ("", (SIZE, SIZE))


def test_a_cut_jpeg_is_left_out_and_left_alone(tmp_path):
    path = tmp_path / "a.jpg"
    drone_jpeg(path, render_scene(0, (SIZE, 2 * SIZE)).image)
    whole = path.read_bytes()
    assert look(path) == (
        "",
        (2 * SIZE, SIZE),
    )  # upright, as it will be read
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(OSError, match="truncated"):
        look(path)
    assert path.read_bytes() == whole[: len(whole) // 3]
    assert [p.name for p in tmp_path.iterdir()] == ["a.jpg"]


@pytest.mark.parametrize(("kind", "cache"), [("yolo", "disk"), ("rtdetr", "ram")])
def test_train(kind, cache, models, data, tmp_path):
    settings = {**TRAIN, **QUICK, "plots": True, "epochs": 1, "cache": cache, "project": str(tmp_path / "runs")}
    RSDet(models[kind].ckpt_path).train(data=data, **settings)
    folder = data.parent / "images" / "train"
    assert (folder / f"a.jpg{SUFFIX}.npy").is_file() == (cache == "disk")
    assert (data.parent / "labels" / f"train{SUFFIX}").is_file()


def test_val(models, data, tmp_path):
    args = {**QUICK, "project": str(tmp_path / "runs"), "save_json": True, "save_txt": True}
    weights(models).val(data=data, **args)
    weights(models).val(data=data, enhance="dcp", **args)


def test_predict(models, data, tmp_path):
    folder = data.parent / "images" / "val"
    args = dict(source=str(folder), project=str(tmp_path / "runs"), verbose=False, save=True)
    weights(models).predict(
        **args, imgsz=SIZE, save_txt=True, save_crop=True, save_json=True, save_coco=True, conf=0.01
    )
    weights(models).predict(**args, imgsz=SIZE, enhance="dcp", save_enhanced=True)
    RSDet("dcp").predict(**args)
    with pytest.raises(DataError, match="bands that differ"):  # read, and no radar picture
        RSDet("cfar").predict(**args)
    weights(models).info()


def test_export_and_benchmark(models, data, tmp_path):
    made = weights(models).export(format="onnx", imgsz=SIZE, data=data, out=tmp_path / "made", verbose=False)
    assert made.accuracy.images == 4
    spec = {"family": "rtdetr", "channels": 3}
    assert len(list(calibration_of(tasks.get("detect"), data, spec, (SIZE, SIZE)).arrays())) == 4
    weights(models).benchmark(
        formats=["pytorch"], data=data, imgsz=SIZE, out=tmp_path / "speed", details=False, memory=False, **ONE_ROUND
    )


def test_convert(data, tmp_path):
    for link in ("copy", "hardlink", "symlink"):
        assert cli(["convert", f"source={data.parent}", "format=yolo", f"out={tmp_path / link}", f"link={link}"]) == 0
    assert cli(["convert", f"source={data.parent}", "format=yolo", f"out={tmp_path / 'coco'}", "to=coco"]) == 0


@pytest.mark.parametrize("at", ["files", "split", "groups", "data_yaml"])
def test_a_report_in_the_output_names_nothing_elsewhere(at, data, tmp_path):
    """What an earlier conversion made and this one does not is taken away, but only below the output."""
    out, victim = tmp_path / "out", tmp_path / "victim.txt"
    assert cli(["convert", f"source={data.parent}", "format=yolo", f"out={out}"]) == 0
    victim.write_text("mine")
    (tmp_path / "victim.json").write_text("mine")
    report = json.loads((out / "convert-report.json").read_text())
    split = report["splits"]["train"]
    far = "../" * 3 + "victim"
    if at == "files":
        split["files"].update({f"{far}.txt": "", str(victim): ""})
    elif at == "split":
        report["splits"][far] = {**split, "to": "coco"}
    elif at == "groups":
        split["groups"] = {f"../{far}": [], str(victim.with_suffix("")): []}
    else:
        report["data_yaml"] = str(victim)
    (out / "convert-report.json").write_text(json.dumps(report))
    assert cli(["convert", f"source={data.parent}", "format=yolo", f"out={out}"]) == 2
    assert victim.read_text() == (tmp_path / "victim.json").read_text() == "mine"


@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_train_on_pictures_that_convert_has_linked(link, models, data, tmp_path):
    out = tmp_path / link
    assert cli(["convert", f"source={data.parent}", "format=yolo", f"out={out}", f"link={link}"]) == 0
    settings = {**TRAIN, **QUICK, "epochs": 1, "project": str(tmp_path / "runs")}
    RSDet(models["yolo"].ckpt_path).train(data=next(out.glob("*.yaml")), **settings)


@pytest.mark.parametrize("cache", [False, "disk"])
def test_the_task_restore(cache, tmp_path, monkeypatch):
    pairs = write_pairs(tmp_path / "pairs")
    for i, path in enumerate(sorted(pairs.parent.rglob("*.png"))):
        if i % 2:
            (path.with_suffix(".npy")).write_bytes(b"someone else's")
    folder = next(p for p in pairs.parent.iterdir() if p.is_dir())
    monkeypatch.chdir(tmp_path)
    before = fingerprint(pairs.parent)
    project = str(tmp_path / "runs")
    model = RSDet(model_yaml(tmp_path))
    model.train(data=pairs, project=project, name="run", cache=cache, **{**RESTORE_TRAIN, "epochs": 1})
    done = RSDet(tmp_path / "runs" / "run" / "weights" / "last.pt")
    done.val(data=pairs, project=project)
    done.predict(source=str(next(folder.rglob("*.png")).parent), project=project, save=True)
    done.export(format="onnx", imgsz=32, out=tmp_path / "made", verbose=False)
    done.benchmark(formats=["pytorch"], data=pairs, imgsz=32, out=tmp_path / "b", **ONE_ROUND)
    RSDet("dcp").val(data=pairs, project=project)
    assert fingerprint(pairs.parent) == before


def test_pictures_are_read_as_they_are_after_training(models, data, tmp_path):
    """What the damage would be: the block behind the picture, EXIF and every pixel."""
    path = data.parent / "images" / "train" / "a.jpg"
    pixels = cv2.imread(str(path))
    weights(models).val(data=data, split="train", **QUICK, project=str(tmp_path / "runs"))
    assert path.read_bytes().endswith(TAIL)
    assert Image.open(path).getexif().get_ifd(0x8825)[3] == "E"
    np.testing.assert_array_equal(cv2.imread(str(path)), pixels)
