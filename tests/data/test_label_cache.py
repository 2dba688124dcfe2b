"""The caches beside the labels and the pictures: quick, without code, remade when stale or damaged, ours alone."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import ultralytics.data.dataset
import yaml
from fakes import put_in_place
from ultralytics.data.build import build_yolo_dataset
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.utils import DEFAULT_CFG_DICT

from rsdet.data.label_cache import SUFFIX, read_label_cache, write_label_cache
from rsdet.errors import WriteError
from rsdet.tasks.detect.dataset import our_datasets

NAMES = {0: "car", 1: "ship"}


@pytest.fixture
def data(tmp_path) -> Path:
    """Three pictures: two with polygons, and one without an object."""
    root = tmp_path / "set"
    (root / "images" / "train").mkdir(parents=True)
    (root / "labels" / "train").mkdir(parents=True)
    boxes = "0 .4 .4 .6 .4 .5 .6\n1 .25 .25 .35 .25 .3 .35\n"
    rows = [boxes, "1 .1 .1 .4 .1 .4 .5 .1 .5\n0 .6 .6 .9 .6 .7 .8\n", ""]
    for i, text in enumerate(rows):
        cv2.imwrite(str(root / "images" / "train" / f"{i}.png"), np.full((40, 60 + i, 3), 50 * i, np.uint8))
        (root / "labels" / "train" / f"{i}.txt").write_text(text)
    path = root / "data.yaml"
    path.write_text(yaml.safe_dump({"path": str(root), "train": "images/train", "val": "images/train", "names": NAMES}))
    return path


def dataset(data: Path, family: str = "yolo", **args):
    """The training set of a data YAML, as the trainers of either family build it."""
    spec = {**yaml.safe_load(data.read_text()), "channels": 3, "sar": None, "nc": len(NAMES)}
    cfg = SimpleNamespace(**{**DEFAULT_CFG_DICT, "imgsz": 64, "mosaic": 0.0, **args})
    folder = str(data.parent / "images" / "train")
    with our_datasets():
        if family == "yolo":
            return build_yolo_dataset(cfg, folder, 2, spec, mode="val")
        return RTDETRTrainer.build_dataset(SimpleNamespace(args=cfg, data=spec), folder, mode="val", batch=2)


def scans(monkeypatch) -> list[str]:
    """The pictures that are looked at from now on."""
    seen, stock = [], ultralytics.data.utils.check_image
    monkeypatch.setattr(ultralytics.data.utils, "check_image", lambda f: seen.append(Path(f).name) or stock(f))
    return seen


def same(a: list[dict], b: list[dict]) -> None:
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        assert x.keys() == y.keys()
        for key in x:
            if key == "segments":
                assert [s.tolist() for s in x[key]] == [s.tolist() for s in y[key]]
            elif isinstance(x[key], np.ndarray):
                assert x[key].dtype == y[key].dtype
                np.testing.assert_array_equal(x[key], y[key])
            else:
                assert x[key] == y[key]


@pytest.mark.parametrize("family", ["yolo", "rtdetr"])
def test_the_second_run_reads_what_the_first_has_found(family, data, monkeypatch):
    labels = data.parent / "labels"
    (labels / "train" / "0.txt").write_text("1 .1 .1 .3 .1 .3 .2 .1 .2\n")  # all polygons: kept for the augmentations
    first = dataset(data, family)
    assert [p.name for p in labels.iterdir() if p.is_file()] == [f"train{SUFFIX}"]
    seen = scans(monkeypatch)
    again = dataset(data, family)
    assert not seen
    same(first.labels, again.labels)
    assert first.labels[1]["segments"][0].shape == (4, 2)
    assert again.im_files == first.im_files


@pytest.mark.parametrize("what", ["label", "picture", "classes", "more"])
def test_what_has_changed_is_scanned_again(what, data, monkeypatch):
    dataset(data)
    root = data.parent
    if what == "label":
        (root / "labels" / "train" / "0.txt").write_text("1 .375 .375 .625 .375 .5 .625\n")
    elif what == "picture":
        cv2.imwrite(str(root / "images" / "train" / "0.png"), np.zeros((50, 50, 3), np.uint8))
    elif what == "classes":
        monkeypatch.setitem(NAMES, 2, "plane")
        data.write_text(yaml.safe_dump({**yaml.safe_load(data.read_text()), "names": NAMES}))
    else:
        shutil.copy(root / "images" / "train" / "0.png", root / "images" / "train" / "9.png")
    seen = scans(monkeypatch)
    found = dataset(data)
    assert len(seen) == len(found.labels) == (4 if what == "more" else 3)
    assert found.labels[0]["shape"] == ((50, 50) if what == "picture" else (40, 60))
    assert found.labels[0]["bboxes"].shape == ((1, 4) if what == "label" else (2, 4))


@pytest.mark.parametrize("what", ["label", "picture"])
def test_what_was_put_in_the_place_of_a_file_of_the_same_size_and_time_is_seen(what, data, tmp_path, monkeypatch):
    """As archives unpack them, and programs that copy times along."""
    root = data.parent
    with open(root / "images/train/0.png", "ab") as f:
        f.write(bytes(99))  # behind the end of the picture: room for another
    assert dataset(data, cache="disk")[0]["img"].max() == 114  # the frame of a black picture
    time.sleep(0.02)  # the clock of the file system is a coarse one
    if what == "label":
        new = tmp_path / "new.txt"
        new.write_text((root / "labels/train/0.txt").read_text().replace("1 .25", "0 .15"))
        put_in_place(new, root / "labels/train/0.txt")
        assert dataset(data).labels[0]["cls"].ravel().tolist() == [0, 0]
    else:
        old, new = root / "images/train/0.png", tmp_path / "new.png"
        cv2.imwrite(str(new), np.full((40, 60, 3), 200, np.uint8))
        with open(new, "ab") as f:
            f.write(bytes(old.stat().st_size - new.stat().st_size))
        put_in_place(new, old)
        assert dataset(data, cache="disk")[0]["img"].max() == 200


class Planted:
    """A pickle that makes a file when it is read."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def planted(root: Path, mark: Path) -> list[Path]:
    """Pickles wherever a cache of anyone might be looked for."""
    code = pickle.dumps(Planted(mark))
    array = root / "array.npy"
    np.save(array, np.array([Planted(mark)], dtype=object), allow_pickle=True)
    made = []
    for folder in (root / "labels", root / "images"):
        made += [folder / f"train{s}" for s in (".cache", SUFFIX, ".npy", f"{SUFFIX}.npy")]
    made += [root / "labels.cache", root / f"labels{SUFFIX}"]
    for picture in (root / "images" / "train").glob("*.png"):
        made += [picture.with_suffix(".npy"), Path(f"{picture}{SUFFIX}.npy"), Path(f"{picture}.npy")]
    for i, path in enumerate(made):
        path.write_bytes(array.read_bytes() if path.suffix == ".npy" or i % 2 else code)
        os.utime(path, (2e9, 2e9))
    array.unlink()
    return made


@pytest.mark.parametrize("family", ["yolo", "rtdetr"])
@pytest.mark.parametrize("cache", [False, "ram", "disk"])
def test_a_planted_pickle_is_not_run(family, cache, data, tmp_path):
    files = planted(data.parent, tmp_path / "ran")
    before = {p: p.read_bytes() for p in files if SUFFIX not in p.name}
    found = dataset(data, family, cache=cache)
    assert [len(label["cls"]) for label in found.labels] == [2, 2, 0]
    assert found.load_image(1)[0].mean() == pytest.approx(50, abs=1)
    assert not (tmp_path / "ran").exists()
    for path, content in before.items():  # nobody's *.cache and *.npy are ours to write or to remove
        assert path.read_bytes() == content, path


def test_a_foreign_array_beside_a_picture_is_not_taken_for_it(data):
    picture = data.parent / "images" / "train" / "2.png"
    features = picture.with_suffix(".npy")
    np.save(features, np.full((40, 62, 3), 7, np.uint8))
    os.utime(features, (2e9, 2e9))
    for cache in (False, "disk"):
        assert dataset(data, cache=cache).load_image(2)[0].mean() == pytest.approx(100, abs=1)
    assert (np.load(features) == 7).all()


@pytest.mark.parametrize("cache", [False, "disk"])
def test_a_planted_link_is_not_written_through(cache, data, tmp_path):
    victims = [tmp_path / "victim", tmp_path / "victim.npy"]
    victims[0].write_bytes(b"mine")
    np.save(victims[1], np.zeros((4, 4, 9), np.uint8))  # of another number of channels: Ultralytics writes it anew
    before = [v.read_bytes() for v in victims]
    places = [data.parent / "labels" / f"train{SUFFIX}"]
    places += [Path(f"{p}{SUFFIX}.npy") for p in sorted((data.parent / "images" / "train").glob("*.png"))]
    for i, place in enumerate(places):
        place.symlink_to(victims[i % 2])
    for victim in victims:
        os.utime(victim, (2e9, 2e9) if cache is False else (1, 1))
    found = dataset(data, cache=cache)
    assert [round(found.load_image(i)[0].mean()) for i in range(3)] == [0, 50, 100]
    assert [v.read_bytes() for v in victims] == before


def test_pictures_with_one_stem_have_a_cache_each(data):
    folder = data.parent / "images" / "train"
    cv2.imwrite(str(folder / "0.bmp"), np.full((40, 60, 3), 200, np.uint8))
    for _ in range(2):
        found = dataset(data, cache="disk")
        means = {Path(f).name: found.load_image(i)[0].mean() for i, f in enumerate(found.im_files)}
        assert means["0.bmp"] == pytest.approx(200, abs=1)
        assert means["0.png"] == pytest.approx(0, abs=1)


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    with np.load(path) as kept:
        arrays = dict(kept)
    facts = json.loads(arrays["facts"].tobytes())
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "flipped":
        middle = content.index(np.float32(0.35).tobytes())
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 64]) + content[middle + 1 :])
    elif how == "compressed":
        np.savez_compressed(path.with_suffix(".npz"), **arrays)
        path.with_suffix(".npz").replace(path)
    else:
        if how == "another class":
            arrays["cls"] = arrays["cls"] + 5
        elif how == "another picture":
            arrays["image"] = arrays["image"] + 1
        elif how == "negative":
            arrays["objects"] = np.array([5, -1, 0], np.int64)
        elif how == "nan":
            arrays["bboxes"] = arrays["bboxes"] * np.nan
        elif how == "facts":
            arrays["facts"] = np.frombuffer(json.dumps({**facts, "results": 3}).encode(), np.uint8)
        elif how == "missing":
            del arrays["size_hw"]
        with path.open("wb") as f:
            np.savez(f, **arrays)


@pytest.mark.parametrize(
    "how",
    [
        "cut",
        "empty",
        "flipped",
        "compressed",
        "missing",
        "facts",
        "negative",
        "another class",
        "another picture",
        "nan",
    ],
)
def test_a_damaged_cache_is_made_again(how, data, monkeypatch):
    (data.parent / "labels" / "train" / "1.txt").write_text("1 .25 .25 .75 .25 .5 .75\n")
    first = dataset(data)
    path = data.parent / "labels" / f"train{SUFFIX}"
    damaged(path, how)
    seen = scans(monkeypatch)
    same(dataset(data).labels, first.labels)
    assert len(seen) == 3
    same(dataset(data).labels, first.labels)
    assert len(seen) == 3  # and it is whole again
    assert zipfile.is_zipfile(path)


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(data, monkeypatch, caplog):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("rsdet.writing.os.replace", refuse)
    assert [len(label["cls"]) for label in dataset(data).labels] == [2, 2, 0]
    assert "Permission denied" in caplog.text
    assert not list(data.parent.rglob(f"*{SUFFIX}*"))


def test_no_folder_is_made_for_a_cache(tmp_path):
    label = {"im_file": "a", "shape": (9, 9), "cls": np.zeros((0, 1)), "bboxes": np.zeros((0, 4)), "segments": []}
    with pytest.raises(WriteError, match="no does not exist"):
        write_label_cache(tmp_path / "no" / "c", "k", ["a"], {"labels": [label], "results": (0,) * 5, "msgs": []})
    assert not (tmp_path / "no").exists()
    assert read_label_cache(tmp_path / "no" / "c", "k", ["a"]) is None


def test_names_of_any_bytes_are_kept(data, monkeypatch):
    folder = data.parent / "images" / "train"
    odd = "ä \udcff\n.png"
    os.rename(folder / "0.png", os.fsencode(str(folder)) + b"/" + odd.encode("utf-8", "surrogateescape"))
    first = dataset(data)
    assert odd in [Path(f).name for f in first.im_files]
    seen = scans(monkeypatch)
    same(dataset(data).labels, first.labels)
    assert not seen


def test_this_stands_on_names_of_ultralytics():
    stock = ultralytics.data.dataset.YOLODataset
    assert "_load_or_scan_cache" in stock.get_labels.__code__.co_names
    assert "save_dataset_cache_file" in stock.cache_labels.__code__.co_names
    assert "npy_files" in stock.load_image.__code__.co_names
