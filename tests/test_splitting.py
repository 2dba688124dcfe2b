"""Seeded splits: the same for ever and everywhere, written to lists, and the lists of others checked and used."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes import contents, make_fake, picture, text
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsdet.data.convert import convert
from rsdet.data.download import load_yaml
from rsdet.data.importers import read_dataset
from rsdet.data.splitting import seeded_split
from rsdet.errors import ConfigError, DataError
from rsdet.paths import datasets_dir


def script(name):
    """The module ``tests/data/<name>/make.py``, for those with more than one function."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "data" / name / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(path):
    return path.read_text().split()


def test_seeded_split_is_the_same_for_ever():
    # From `printf %s 0/ship07 | sha256sum` and so on: a change here makes every published split another one.
    stems = [f"ship{n:02d}" for n in range(10)]
    assert [s for s, part in sorted(seeded_split(stems, 0.2, 0).items()) if part == "val"] == ["ship02", "ship07"]
    assert [s for s, part in sorted(seeded_split(stems, 0.2, 1).items()) if part == "val"] == ["ship02", "ship03"]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.text(min_size=1, max_size=8), min_size=2, max_size=60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_seeded_split_is_complete_and_of_the_right_size(stems, fraction, seed):
    split = seeded_split(stems, fraction, seed)
    n_val = list(split.values()).count("val")
    assert split.keys() == stems
    assert abs(n_val - fraction * len(stems)) <= 0.5 + 1e-9 or n_val in (1, len(stems) - 1)
    assert 1 <= n_val < len(stems)
    assert seeded_split(sorted(stems, reverse=True), fraction, seed) == split


def test_seeded_split_of_the_real_sizes_and_of_two_releases():
    names = [f"Gao_{n}" for n in range(43819)]
    first, later = seeded_split(names, 0.2, 0), seeded_split(names[:39729], 0.2, 0)
    content = load_yaml(datasets_dir() / "sar-ship-dataset.yaml")["splits"]
    for part in ("train", "val"):
        assert [list(s.values()).count(part) for s in (later, first)] == content[part]["images"]
    assert sum(first[n] != later[n] for n in later) < 0.01 * len(later)  # nearly the same chips are tested on


def test_the_lists_are_written_found_again_and_checked(tmp_path, caplog):
    source, out = make_fake("sar_ship", tmp_path / "s"), tmp_path / "out"
    options = {"val_fraction": 0.2, "split_seed": 0, "progress": False}
    convert(source, "sar-ship-dataset", out, **options)
    val, train = lines(out / "splits/val.txt"), lines(out / "splits/train.txt")
    assert (len(train), len(val)) == (32, 8)
    assert not set(train) & set(val)
    assert sorted(p.name for p in (out / "images/val").iterdir()) == val
    assert sorted(p.stem for p in (out / "labels/train").iterdir()) == sorted(Path(n).stem for n in train)
    before = contents(out)
    convert(source, "sar-ship-dataset", out, **options)
    assert contents(out) == before
    assert caplog.text == ""

    # The list of someone else, put there before the first use, without suffixes and without its other half.
    theirs = [Path(n).stem for n in train[:5]]
    text(tmp_path / "two/splits/val.txt", "\n".join(theirs))
    convert(source, "sar-ship-dataset", tmp_path / "two", **options)
    assert [p.stem for p in sorted((tmp_path / "two/images/val").iterdir())] == theirs
    assert len(lines(tmp_path / "two/splits/train.txt")) == 35
    assert "13 of 40 images lie elsewhere than val_fraction=0.2 split_seed=0 would put them" in caplog.text


@pytest.mark.parametrize(
    ("train", "val", "says"),
    [
        ("Gao_ship_hh_000\n", "Gao_ship_hh_000\n", "1 images are in both lists, such as Gao_ship_hh_000"),
        (None, "of_another_release\n", "1 images are not in the source, such as of_another_release"),
        ("Gao_ship_hh_000\n", "Gao_ship_hh_001\n", "38 images are in no list"),
        (None, b"\xff\xfe\x00\xd8", "cannot read the list"),
    ],
)
def test_lists_of_other_images_are_refused(tmp_path, train, val, says):
    source, out = make_fake("sar_ship", tmp_path / "s"), tmp_path / "out"
    for name, content in (("train", train), ("val", val)):
        if content is not None:
            text(out / f"splits/{name}.txt", content)
    with pytest.raises(DataError, match=says) as e:
        convert(source, "sar-ship-dataset", out, val_fraction=0.2, progress=False)
    assert "\n" not in str(e.value)
    assert not (out / "images").exists()


@pytest.mark.parametrize(
    ("fake", "format", "options", "says"),
    [
        ("sar_ship", "sar-ship-dataset", {"val_fraction": 1.5}, "between 0 and 1"),
        ("sar_ship", "sar-ship-dataset", {"val_fraction": 0.2, "val_prefixes": "Gao"}, "give one of them"),
        ("sar_ship", "sar-ship-dataset", {"val_fraction": 0.2, "split": "val"}, "give one"),
        ("sar_ship", "sar-ship-dataset", {"val_prefixes": "P1,,P2"}, "beginnings of image names"),
        (
            "sar_ship",
            "sar-ship-dataset",
            {"val_prefixes": ["Lux"]},
            "no image begins with 'Lux'; the first is Gao_ship",
        ),
        ("sar_ship", "sar-ship-dataset", {"val_prefixes": "Gao,Sen"}, "fits all 40 images"),
        ("ssdd", "ssdd", {"val_fraction": 0.2}, "the source has the splits test, train"),
        ("hrsid", "hrsid", {"val_fraction": 0.2}, "the source has the splits test, train"),
    ],
)
def test_wrong_split_options(tmp_path, fake, format, options, says):
    source = make_fake(fake, tmp_path / "s")
    with pytest.raises((ConfigError, DataError), match=says) as e:
        convert(source, format, tmp_path / "out", progress=False, **options)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "out").exists()


def one_split(root, form):
    """Four labelled pictures as tools deliver them: one COCO file, a folder or a list called train."""
    pictures = {f"{n}.png": root / {"coco": "images/default", "darknet": "obj_train_data"}.get(form, "train/images") / n
                for n in "abcd"}  # fmt: skip
    for place in pictures.values():
        picture(place.with_suffix(".png"))
    if form == "coco":
        images = [{"id": i, "file_name": n, "width": 64, "height": 48} for i, n in enumerate([*pictures, "gone.png"])]
        found = [{"id": i, "image_id": i, "category_id": 1, "bbox": [4, 4, 9, 9]} for i in range(4)]
        content = {"images": images, "annotations": found, "categories": [{"id": 1, "name": "car"}]}
        text(root / "annotations/instances_default.json", json.dumps(content))
        return "coco"
    for name, place in pictures.items():
        if form == "dota":
            text(root / "train/labelTxt" / f"{Path(name).stem}.txt", "4 4 13 4 13 13 4 13 car 0\n")
        else:
            text(place.with_suffix(".txt"), "0 0.5 0.5 0.2 0.2\n")
    if form == "darknet":
        text(root / "train.txt", "".join(f"data/obj_train_data/{name}\n" for name in pictures))
    if form == "test without labels":
        picture(root / "test/images/e.png")
    text(root / "obj.names", "car\n")
    return "dota" if form == "dota" else "yolo"


@pytest.mark.parametrize("form", ["coco", "darknet", "dota", "test without labels"])
def test_a_source_of_one_split_is_divided(tmp_path, form):
    format = one_split(tmp_path / "s", form)
    made = convert(tmp_path / "s", format, tmp_path / "out", val_fraction=0.25, progress=False)
    assert {split: (row["images"], row["boxes"]) for split, row in made.counts.items() if row["images"]} == {
        "train": (3, 3), "val": (1, 1)}  # fmt: skip
    assert sorted(lines(tmp_path / "out/splits/train.txt") + lines(tmp_path / "out/splits/val.txt")) == [
        "a.png", "b.png", "c.png", "d.png"]  # fmt: skip
    val = lines(tmp_path / "out/splits/val.txt")[0]
    assert (tmp_path / "out/images/val" / val).exists()
    assert (tmp_path / "out/labels/val" / val).with_suffix(".txt").read_text().startswith("0 ")


def test_panoptic_maps_of_one_file_are_divided(tmp_path):
    pixels, images, found = np.zeros((48, 64, 3), np.uint8), [], []
    pixels[..., 0] = 1
    for i, name in enumerate("abcd"):
        picture(tmp_path / f"s/images/{name}.jpg")
        (tmp_path / "s/panoptic").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"s/panoptic/{name}.png")
        images.append({"id": i, "file_name": f"{name}.jpg", "width": 64, "height": 48})
        found.append({"image_id": i, "file_name": f"{name}.png", "segments_info": [{"id": 1, "category_id": 1}]})
    content = {"images": images, "annotations": found, "categories": [{"id": 1, "name": "road", "isthing": 0}]}
    text(tmp_path / "s/panoptic.json", json.dumps(content))
    options = {"task": "semantic", "val_fraction": 0.25, "progress": False}
    made = convert(tmp_path / "s", "coco-panoptic", tmp_path / "out", **options)
    assert {split: row["images"] for split, row in made.counts.items()} == {"train": 3, "val": 1}


def test_sar_ship_dataset_first_release_has_the_same_split(tmp_path):
    fake = script("sar_ship")
    fake.make(tmp_path / "later")
    fake.make_first(tmp_path / "first")
    options = {"val_fraction": 0.2, "split_seed": 0, "progress": False}
    later = convert(tmp_path / "later", "sar-ship-dataset", tmp_path / "a", **options)
    first = convert(tmp_path / "first", "sar-ship-dataset", tmp_path / "b", **options)
    assert {s: c["images"] for s, c in first.counts.items()} == {"train": 32, "val": 8}
    assert {s: c["boxes"] for s, c in first.counts.items()} == {"train": 32, "val": 8}
    assert (tmp_path / "a/splits/val.txt").read_bytes() == (tmp_path / "b/splits/val.txt").read_bytes()
    assert later.splits["val"].files.keys() == first.splits["val"].files.keys()
    shutil.copytree(tmp_path / "first", tmp_path / "later/first")
    with pytest.raises(DataError, match="holds 40 XML and 39 text labels, which are of two releases"):
        read_dataset(tmp_path / "later", "sar-ship-dataset")


def test_two_chips_of_one_name_stay_in_one_part(tmp_path):
    for n in range(9):
        for folder in ("one", "two") if n < 5 else ("one",):
            picture(tmp_path / f"s/{folder}/c{n}.jpg")
            text(tmp_path / f"s/{folder}/c{n}.txt", f"0 0.5 0.5 0.{n + 1} 0.5\n")
    for _ in range(2):  # the second time from the lists
        report = convert(tmp_path / "s", "sar-ship-dataset", tmp_path / "out", val_fraction=0.4, progress=False)
        parts = {s: {name.split("__")[-1] for name in part.files} for s, part in report.splits.items()}
        assert not parts["train"] & parts["val"]
        assert sum(len(part.files) for part in report.splits.values()) == 14
        assert sum("renamed" in note.reason for note in report.notes) == 5
        assert len(lines(tmp_path / "out/splits/val.txt")) == 4
