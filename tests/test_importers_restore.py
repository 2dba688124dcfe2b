"""Sets of pairs by name: the owner's layout as it was unpacked, seeded splits, detection on the same pictures."""

from __future__ import annotations

import hashlib
import logging
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from fakes import fingerprint, make_fake

from rsdet.data import resolve as resolve_module
from rsdet.data.convert import convert
from rsdet.data.degrade import build_degradation
from rsdet.data.download import find_yaml, list_datasets, load_yaml
from rsdet.data.pairs import read_pair_data
from rsdet.data.pairs.dataset import PairDataset
from rsdet.data.resolve import resolve_data
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.image_quality import Convention

NAMES = [
    "aid", "haze1k", "hazydet-restore", "hrsd-dhid", "hrsd-lhid", "rice1", "rice2", "rsscn7-sr", "ucmerced",
]  # fmt: skip


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Folder of the data sets."""
    monkeypatch.setattr(resolve_module, "datasets_root", lambda: tmp_path)
    return tmp_path


def pixel(path):
    return tuple(cv2.imread(str(path))[0, 0, ::-1])


@pytest.mark.parametrize("name", NAMES)
def test_shipped_yamls_say_what_users_need(name):
    assert name in list_datasets()
    content = load_yaml(find_yaml(name))
    for key in ("licence", "homepage", "citation", "instruction", "kind", "metrics", "splits", "layout"):
        assert content.get(key), f"{name}.yaml has no {key}"
    assert (content["name"], content["task"], content["source_format"]) == (name, "restore", "pairs")
    scale = 4 if content["kind"] == "superres" else 1
    Convention.of(content["metrics"], scale)
    if "degrade" in content:
        build_degradation(content["degrade"], scale)
    for entry in content["layout"]:
        assert ("split" in entry) != ("split" in content)
        assert "input" in entry or "degrade" in content


@pytest.mark.parametrize("name", NAMES)
def test_missing_files_say_where_to_put_them(root, name):
    with pytest.raises(DataError, match=r"no files in .*-original; download") as e:
        resolve_data(name, "restore")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["rice1", "rice2.yaml"])
def test_rice(root, name, caplog):
    stem = name.removesuffix(".yaml")
    make_fake("rice", root / f"{stem}-original")
    before = fingerprint(root / f"{stem}-original")
    with caplog.at_level(logging.WARNING, "rsdet"):
        data = read_pair_data(resolve_data(name, "restore"))
    assert "8 pictures, its owner states" in caplog.text
    assert {s: len(p) for s, p in data.splits.items()} == {"train": 8, "val": 2}
    # The split is the order of the digests of "<seed>/<name>", computed here by itself.
    order = sorted(map(str, range(10)), key=lambda s: hashlib.sha256(f"0/{s}".encode()).digest())
    assert {p.target.stem for p in data.split("val")} == set(order[:2])
    for pair in [*data.split("train"), *data.split("val")]:
        a, b = pixel(pair.input), pixel(pair.target)
        assert (a[0], a[2]) == (int(pair.target.stem), 200)
        assert (b[0], b[2]) == (a[0], 20)
        assert stem.upper() in pair.input.parts
    assert fingerprint(root / f"{stem}-original") == before  # the originals are only read


def test_running_again_writes_nothing_and_follows_the_source(root):
    make_fake("rice", root / "rice1-original")
    path = resolve_data("rice1", "restore")
    before = fingerprint(path.parent)
    assert resolve_data("rice1", "restore") == path
    assert fingerprint(path.parent) == before
    for folder in ("cloud", "label"):
        (root / "rice1-original" / "RICE_DATASET" / "RICE1" / folder / "3.png").unlink()
    data = read_pair_data(resolve_data("rice1", "restore"))
    assert sum(map(len, data.splits.values())) == 9


@pytest.mark.parametrize("level", ["thin", "moderate", "thick"])
def test_haze1k_by_level(root, level):
    make_fake("haze1k", root / "haze1k-original")
    data = read_pair_data(resolve_data(f"haze1k-{level}", "restore"))
    assert {s: len(p) for s, p in data.splits.items()} == {"train": 3, "val": 1, "test": 2}
    grey = {"thin": 30, "moderate": 60, "thick": 90}[level]
    for pair in data.split("test"):
        assert pixel(pair.input) == (grey, int(pair.input.stem), 200)
        assert pixel(pair.target) == (grey, int(pair.input.stem), 20)


def test_haze1k_whole_keeps_equal_names_apart(root):
    make_fake("haze1k", root / "haze1k-original")
    data = read_pair_data(resolve_data("haze1k", "restore"))
    assert {s: len(p) for s, p in data.splits.items()} == {"train": 9, "val": 3, "test": 6}
    assert len({p.key for p in data.split("train")}) == 9
    for pairs in data.splits.values():
        assert all(pixel(p.input)[:2] == pixel(p.target)[:2] for p in pairs)


def test_unknown_level(root):
    with pytest.raises(ConfigError, match=r"thin, moderate, thick.*Did you mean 'thick'"):
        resolve_data("haze1k-thik", "restore")


@pytest.mark.parametrize(("name", "counts"), [("hrsd-lhid", (4, 2)), ("hrsd-dhid", (3, 1))])
def test_hrsd(root, name, counts):
    make_fake("hrsd", root / "hrsd-original")
    data = read_pair_data(resolve_data(name, "restore"))
    assert (len(data.split("train")), len(data.split("test"))) == counts
    assert data.split("val") == data.split("test")  # there is no official val part
    assert all(pixel(p.input)[2] > pixel(p.target)[2] for p in data.split("train"))


@pytest.mark.parametrize("folders", [("hazy_images", "clean_images"), ("hazy images", "clean images")])
def test_hazydet_as_pairs_and_with_boxes(root, folders):
    original = root / "hazydet-original"
    make_fake("hazydet", original)
    if folders != ("hazy_images", "clean_images"):
        for path in sorted(original.rglob("*_images")):
            path.rename(path.with_name(path.name.replace("_", " ")))
    data = read_pair_data(resolve_data("hazydet-restore", "restore"))
    assert {s: len(p) for s, p in data.splits.items()} == {"train": 3, "val": 2, "test": 2}
    assert all(pixel(p.input)[0] > 150 > pixel(p.target)[0] for p in data.split("train"))

    report = convert(original, "hazydet", root / "out", progress=False)
    assert report.names == ["car", "truck", "bus"]
    assert {s: c["images"] for s, c in report.counts.items() if c["images"]} == {"train": 3, "val": 2, "test": 2}
    assert {s: c["boxes"] for s, c in report.counts.items() if c["images"]} == {"train": 3, "val": 2, "test": 2}
    for picture in (root / "out" / "images").rglob("*.jpg"):
        assert pixel(picture)[0] > 150, picture  # the hazy one of the two
    first = (root / "out" / "labels" / "train" / "train_001.txt").read_text().split()
    assert [int(first[0]), *map(float, first[1:])] == pytest.approx([1, 15 / 64, 10 / 48, 20 / 64, 10 / 48], abs=1e-6)


def test_real_haze_of_hazydet_by_its_file(root):
    make_fake("hazydet", root / "o")
    report = convert(
        root / "o" / "HazyDet" / "RDDTS" / "rddts_coco.json", "hazydet", root / "out", split="rddts", progress=False
    )
    assert report.counts["rddts"]["images"] == 2


@pytest.mark.parametrize(
    ("name", "home", "classes", "fraction"),
    [
        ("ucmerced", "UCMerced_LandUse/Images", ("beach", "forest", "harbor"), 0.25),
        ("rsscn7-sr", "RSSCN7-master", None, 0.2),
        ("aid", "AID", None, 0.2),
    ],
)
def test_classes_are_divided_each_by_itself(root, name, home, classes, fraction):
    classes = classes or tuple(load_yaml(find_yaml(name))["layout"][0]["target"])
    script = Path(__file__).parent / "data" / "classes" / "make.py"
    runpy.run_path(str(script))["make"](root / f"{name}-original", home, classes)
    data = read_pair_data(resolve_data(name, "restore"), scale=2)
    n_val = int(8 * fraction + 0.5)
    for cls in classes:
        val = {p.target.stem for p in data.split("val") if p.target.parent.name == cls}
        order = sorted((f"{cls}{i:02}" for i in range(8)), key=lambda s: hashlib.sha256(f"0/{s}".encode()).digest())
        assert val == set(order[:n_val])
        assert len([p for p in data.split("train") if p.target.parent.name == cls]) == 8 - n_val
    dataset = PairDataset(data.split("train"), scale=4, degrade=data.degradation(4))
    shapes = {tuple(dataset[i]["target"].shape) for i in range(len(dataset))}
    assert shapes <= {(3, 32, 28), (3, 32, 32)}  # 30 px wide is cut to a multiple of 4, not resized


def test_two_copies_of_the_files_are_not_guessed(root):
    make_fake("rice", root / "rice1-original")
    make_fake("rice", root / "rice1-original" / "again")
    with pytest.raises(DataError, match="2 folders RICE1/cloud"):
        resolve_data("rice1", "restore")


def test_wrong_layout_says_what_is_missing(root):
    (root / "rice1-original" / "RICE1" / "cloud").mkdir(parents=True)
    with pytest.raises(DataError, match="no pictures"):
        resolve_data("rice1", "restore")
    (root / "rice1-original" / "RICE1" / "cloud").rename(root / "rice1-original" / "x")
    with pytest.raises(DataError, match=r"no folder RICE1/cloud\|.*; download RICE"):
        resolve_data("rice1", "restore")


def test_a_picture_without_partner_is_named(root):
    make_fake("rice", root / "rice1-original")
    (root / "rice1-original" / "RICE_DATASET" / "RICE1" / "label" / "3.png").unlink()
    with pytest.raises(DataError, match=r"rice1: 1 inputs without target: 3\.png"):
        resolve_data("rice1", "restore")


def test_names_and_paths(root, tmp_path):
    own = tmp_path / "my-thin.yaml"
    own.write_text("task: restore\ntrain: x\ndegrade: haze\n")
    assert resolve_data(own, "restore") == own
    with pytest.raises(ConfigError, match="Did you mean 'rice1'"):
        resolve_data("ricee1", "restore")
    with pytest.raises(ConfigError, match=r"visdrone is for task=detect, .* such as demo-haze, or a model for detect"):
        resolve_data("visdrone", "restore")


def test_a_detector_is_told_that_these_are_no_boxes():
    for name in ("rice1", "demo-haze"):
        with pytest.raises(
            ConfigError, match=r"for task=restore, the model for task=detect; give data .* such as demo,"
        ):
            resolve_data(name, "detect")


def test_clear_scenes_have_no_haze_and_else_are_the_same():
    from rsdet.data.scenes import render_scene

    changed = 0
    for seed in range(12):
        usual, clear = render_scene(seed, 64), render_scene(seed, 64, clear=True)
        np.testing.assert_array_equal(usual.boxes_xyxy, clear.boxes_xyxy)
        if not np.array_equal(usual.image, clear.image):
            changed += 1
            assert usual.image.std() < clear.image.std()  # haze takes contrast
    assert 1 <= changed <= 8  # three of ten


def test_demo_haze(tmp_path, monkeypatch):
    from rsdet.data.pairs.demo import DEGRADE, make_demo_haze

    path = make_demo_haze(tmp_path / "d", n_train=3, n_val=2, size=64, progress=False)
    stamp = fingerprint(tmp_path / "d")
    assert make_demo_haze(tmp_path / "d", n_train=3, n_val=2, size=64, progress=False) == path
    assert fingerprint(tmp_path / "d") == stamp
    data = read_pair_data(path, scale=1)
    assert {s: len(p) for s, p in data.splits.items()} == {"train": 3, "val": 2}
    dataset = PairDataset(data.split("val"), degrade=data.degradation(1), **data.reading())
    item = dataset[0]
    assert item["img"].shape == item["target"].shape == (3, 64, 64)
    assert item["img"].std() < item["target"].std()  # haze takes contrast
    assert np.array_equal(item["img"], dataset[0]["img"])  # validation sees the same haze each time
    shipped = yaml.safe_load(find_yaml("demo-haze").read_text())
    made = yaml.safe_load(path.read_text())
    assert shipped.pop("render")
    assert {k: v for k, v in shipped.items() if k != "path"} == {k: v for k, v in made.items() if k != "path"}
    assert shipped["degrade"] == DEGRADE
