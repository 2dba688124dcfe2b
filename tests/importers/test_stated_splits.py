"""Which split a picture is in, and which label it has, where names alone do not say it."""

from __future__ import annotations

import json
import unicodedata

import pytest
from fakes import picture, text

from rsdet.data.convert import convert
from rsdet.errors import ConfigError

BOX = "0 0.5 0.5 0.25 0.25\n"


def labelled(root, *names):
    for name in names:
        picture(root / f"images/{name}.png")
        text(root / f"labels/{name}.txt", BOX)


def splits(root, **options) -> dict[str, list[str]]:
    report = convert(root, "yolo", root.parent / "out", progress=False, **options)
    assert all(part.counts["boxes"] == len(part.files) for s, part in report.splits.items() if s)
    return {split: sorted(part.files) for split, part in report.splits.items() if split}


@pytest.mark.parametrize("path", ["", "path: .\n", "path: /elsewhere/on/another/machine\n"])
def test_folders_of_the_data_yaml(tmp_path, path):
    root = tmp_path / "s"
    labelled(root, "day/0", "day/1", "night/0", "fog/0")
    text(root / "data.yaml", f"names: [car]\n{path}train: [images/day, images/fog]\nval: ./images/night/\n")
    assert splits(root) == {"train": ["0.png", "1.png", "fog__0.png"], "val": ["0.png"]}


@pytest.mark.parametrize("comment", ["", "# of spring\n"])
@pytest.mark.parametrize(
    ("train", "val"), [("lists/autosplit_train.txt", "lists/hold-out.txt"), ("train.txt", "val.txt")]
)
def test_lists_of_the_data_yaml(tmp_path, train, val, comment):
    root = tmp_path / "s"
    labelled(root, *"abcd")
    text(root / "data.yaml", f"names: [car]\ntrain: {train}\nval: {val}\n")
    text(root / train, f"\ufeff{comment}./images/a.png\r\n/elsewhere/images/b.png\r\n")
    text(root / val, f"{comment}./images/c.png\n")
    assert splits(root) == {"train": ["a.png", "b.png"], "val": ["c.png"]}


def test_what_was_written_keeps_its_splits(tmp_path):
    root = tmp_path / "s"
    labelled(root, "val/0", "val/1")
    text(root / "data.yaml", "names: [car]\ntrain: images/val\nval: images/val\n")  # one split stands for both
    assert splits(root) == {"val": ["0.png", "1.png"]}


@pytest.mark.parametrize("other", [lambda s: unicodedata.normalize("NFD", s), str.upper])
def test_names_as_other_systems_spell_them(tmp_path, other):
    root, name = tmp_path / "s", unicodedata.normalize("NFC", "Köln")
    picture(root / f"images/{name}.png")
    text(root / f"labels/{other(name)}.txt", BOX)
    text(root / "data.yaml", "names: [car]\n")
    assert splits(root) == {"train": [f"{name}.png"]}
    entry = {"id": 1, "file_name": other(f"{name}.png"), "width": 64, "height": 48}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 8, 16, 16]}
    content = {"images": [entry], "annotations": [box], "categories": [{"id": 1, "name": "car"}]}
    text(root / "annotations/train.json", json.dumps(content))
    assert convert(root, "coco", tmp_path / "coco", progress=False).counts["train"]["boxes"] == 1
    corners = "<xmin>8</xmin><ymin>8</ymin><xmax>24</xmax><ymax>24</ymax>"
    said = f"<filename>{other(f'{name}.png')}</filename>"
    xml = f"<annotation>{said}<object><name>car</name><bndbox>{corners}</bndbox></object></annotation>"
    text(root / "Annotations/0001.xml", xml)
    assert convert(root, "voc", tmp_path / "voc", progress=False).counts["train"]["boxes"] == 1


def test_a_spelling_that_fits_two_pictures_is_no_choice(tmp_path):
    root = tmp_path / "s"
    labelled(root, "good")
    for name in ("A", "a"):
        picture(root / f"images/{name}b.png")
    if len(list((root / "images").iterdir())) < 3:
        pytest.skip("the file system knows no case")
    text(root / "labels/AB.txt", BOX)
    text(root / "data.yaml", "names: [car]\n")
    report = convert(root, "yolo", tmp_path / "out", progress=False)
    assert [d.reason for d in report.dropped] == ["label without image: 2 images and 1 labels have the name"]


def test_two_pictures_of_one_stem_with_a_label_each(tmp_path):
    root = tmp_path / "s"
    for suffix in ("png", "jpg"):
        picture(root / f"images/a.{suffix}")
        text(root / f"labels/a.{suffix}.txt", BOX)
    text(root / "data.yaml", "names: [car]\n")
    assert splits(root) == {"train": ["a.jpg", "images__a.png"]}


def test_a_data_yaml_does_not_outlive_its_labels(tmp_path):
    root = tmp_path / "s"
    labelled(root, "a")
    text(root / "data.yaml", "names: [car]\n")
    splits(root)
    assert (tmp_path / "out/out.yaml").is_file()
    convert(root, "yolo", tmp_path / "out", to="coco", progress=False)
    assert not (tmp_path / "out/out.yaml").exists()
    assert (tmp_path / "out/annotations/train.json").is_file()


@pytest.mark.parametrize("names", [5, {"car": 0}, "nowhere.txt", "nowhere.yaml"])
def test_names_that_are_none(tmp_path, names):
    labelled(tmp_path / "s", "a")
    with pytest.raises(ConfigError, match="names"):
        splits(tmp_path / "s", names=names)
