"""The SAR ship datasets, from the owner's layout to the data YAML: splits, groups, counts, and what is dropped."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from fakes import boxes, contents, drops, fingerprint, make_fake, picture, text

from rsdet.data.convert import convert
from rsdet.data.download import check_dataset, load_yaml
from rsdet.data.groups import image_key
from rsdet.data.importers import read_dataset
from rsdet.data.importers.ssdd import official_split
from rsdet.errors import DataError
from rsdet.paths import datasets_dir

SAR = {"quantity": "amplitude", "units": "linear", "stretch": "none"}


def members(out, group):
    return (out / "groups" / f"{group}.txt").read_text().split()


# -------------------------------------------------------------------------------------------------------- dataset YAMLs


@pytest.mark.parametrize(("name", "groups"), [("hrsid", 2), ("ssdd", 2), ("sar-ship-dataset", 0)])
def test_dataset_yamls_say_what_the_design_asks_for(name, groups):
    content = load_yaml(datasets_dir() / f"{name}.yaml")
    assert content["sar"] == SAR
    assert content["names"] == {0: "ship"}
    assert content["protocol"] == "coco"
    assert len(content.get("groups", ())) == groups
    assert all(content[key] for key in ("licence", "citation", "homepage", "instruction", "splits"))


@pytest.mark.parametrize(
    ("name", "fake", "split", "warns"),
    [
        ("hrsid", "hrsid", {"train": 3, "test": 3}, "train has 3 images, its owner states 3642"),
        ("ssdd", "ssdd", {"train": 16, "test": 5}, "test has 5 images, its owner states 232"),
        (
            "sar-ship-dataset",
            "sar_ship",
            {"train": 32, "val": 8},
            "train has 32 images, its owner states 31783 or 35055",
        ),
    ],
)
def test_named_dataset_from_the_owners_files(tmp_path, name, fake, split, warns, caplog, monkeypatch):
    def silent(*args, **kwargs):
        raise DataError("nobody answers")

    monkeypatch.setattr("rsdet.data.download.fetch", silent)
    with pytest.raises(DataError, match=f"(no files in .*{name}-original|nobody answers); (or )?download"):
        check_dataset(name, tmp_path, progress=False)
    make_fake(fake, tmp_path / f"{name}-original")
    data = check_dataset(name, tmp_path, progress=False)
    assert warns in caplog.text
    assert "do not say which images" not in caplog.text
    assert data["sar"] == SAR
    written = yaml.safe_load((tmp_path / name / f"{name}.yaml").read_text())
    assert written["sar"] == SAR
    assert {s: len(list((tmp_path / name / "images" / s).iterdir())) for s in split} == split
    assert written["val"] == ("images/val" if "val" in split else "images/test")
    assert data.get("groups") == written.get("groups") == load_yaml(datasets_dir() / f"{name}.yaml").get("groups")
    state = fingerprint(tmp_path / name)
    assert check_dataset(name, tmp_path, progress=False) == data
    assert fingerprint(tmp_path / name) == state


def test_ultralytics_keeps_our_keys(tmp_path):
    from ultralytics.data.utils import check_det_dataset

    make_fake("ssdd", tmp_path / "ssdd-original")
    data = check_det_dataset(check_dataset("ssdd", tmp_path, progress=False)["yaml_file"])
    assert data["sar"] == SAR
    assert data["groups"] == {"inshore": "groups/inshore.txt", "offshore": "groups/offshore.txt"}


@pytest.mark.parametrize(("total", "says"), [(40, "which is a made up release"), (39, None)])
def test_a_release_is_recognised_by_counting(tmp_path, caplog, total, says):
    make_fake("sar_ship", tmp_path / "x-original")
    content = load_yaml(datasets_dir() / "sar-ship-dataset.yaml")
    content |= {"name": "x", "releases": {total: "a made up release"}, "splits": {"train": {"images": [7, 32]}}}
    text(tmp_path / "x.yaml", yaml.safe_dump(content))
    with caplog.at_level("INFO", "rsdet"):
        check_dataset(tmp_path / "x.yaml", tmp_path, progress=False)
    assert (says in caplog.text) if says else ("which is" not in caplog.text)
    assert "its owner states" not in caplog.text


# ------------------------------------------------------------------------------------------------------------- the sets


@pytest.mark.parametrize("part", ["", "HRSID_JPG", "HRSID_JPG/annotations"])
def test_hrsid(tmp_path, part):
    data, log = read_dataset(make_fake("hrsid", tmp_path / "s") / part, "hrsid")
    assert data.names == ["ship"]
    assert {s: [r.stem[:5] for r in records] for s, records in data.splits.items()} == {
        "train": ["P0001", "P0002", "P0003"],
        "test": ["P0004", "P0005", "P0006"],
    }
    assert boxes(data, "train", "P0001_0_800_0_800.jpg") == [("ship", 10, 10, 30, 15)]
    assert boxes(data, "train", "P0002_0_800_0_800.jpg") == [("ship", 50, 50, 64, 64)]
    assert [r.groups for r in data.splits["test"]] == [("inshore",), ("offshore",), ()]
    assert log["train"].counts["clipped"] == 1
    assert [(where, kind) for _, where, kind in drops(log)] == [
        ("annotation 1", "duplicate annotation"),
        ("annotation 3", "box outside the image"),
        ("annotation 4", "zero-area box"),
        ("annotation 5", "malformed bbox"),
        ("annotation 6", "unknown image"),
    ]
    assert [n.reason for n in log["test"].notes if "neither" in n.reason] == [
        "image neither inshore nor offshore: 1 images, measured in the whole only"
    ]


def test_hrsid_without_the_lists_says_that_groups_are_missing(tmp_path, caplog):
    root = make_fake("hrsid", tmp_path / "hrsid-original")
    shutil.rmtree(root / "HRSID_JPG/inshore_offshore")
    data = check_dataset("hrsid", tmp_path, progress=False)
    assert "groups" not in data
    assert (
        "the files do not say which images are inshore or offshore, so val reports the whole only; download"
        in caplog.text
    )


def test_hrsid_broken_json(tmp_path):
    root = make_fake("hrsid", tmp_path / "s")
    text(root / "HRSID_JPG/inshore_offshore/inshore.json", "{")
    with pytest.raises(DataError, match=r"inshore.json is not JSON \(line 1 column 2"):
        read_dataset(root, "hrsid")
    text(root / "HRSID_JPG/inshore_offshore/inshore.json", "[]")
    with pytest.raises(DataError, match="no list 'images'"):
        read_dataset(root, "hrsid")


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("part", ["", "Official-SSDD-OPEN/BBox_SSDD/voc_style"])
def test_ssdd(tmp_path, part, lists):
    root = make_fake("ssdd", tmp_path / "s")
    if not lists:  # the owner's rule and the folders say the same
        for folder in root.rglob("ImageSets"):
            shutil.rmtree(folder)
    data, log = read_dataset(root / part, "ssdd")
    test = ["000001", "000009", "000011", "000019", "000021"]
    assert [r.stem for r in data.splits["test"]] == test
    assert sorted(data.splits) == ["test", "train"]
    assert [r.stem for r in data.splits["train"]] == [f"{n:06d}" for n in range(1, 22) if n % 10 not in (1, 9)]
    assert {r.stem: r.groups for r in data.splits["test"]} == {
        n: ("inshore",) if n in ("000001", "000011") else ("offshore",) for n in test
    }
    assert {r.groups for r in data.splits["train"]} == {()}
    assert boxes(data, "test", "000001.jpg") == [("ship", 2, 3, 12, 13)]
    assert boxes(data, "train", "000002.jpg") == [("ship", 2, 3, 12, 13), ("ship", 45, 30, 50, 39)]
    assert [(where, kind) for _, where, kind in drops(log)] == [
        ("object 3", "box outside the image"),
        ("object 4", "zero-area box"),
        ("object 5", "malformed object"),
        ("object 6", "duplicate annotation"),
    ]
    if not part:
        others = [f"Official-SSDD-OPEN/{other}/voc_style" for other in ("PSeg_SSDD", "RBox_SSDD")]
        assert [n.file for n in log[""].notes] == others


def test_ssdd_with_the_folders_per_split_only(tmp_path):
    root = make_fake("ssdd", tmp_path / "s") / "Official-SSDD-OPEN/BBox_SSDD/voc_style"
    for kind, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        for split in ("train", "test"):
            for file in (root / f"{kind}_{split}").iterdir():
                shutil.copy(root / kind / f"{file.stem}.{suffix}", file)
        shutil.rmtree(root / kind)
    data, log = read_dataset(root, "ssdd")
    assert {s: sum(len(r.objects) for r in records) for s, records in data.splits.items()} == {"train": 17, "test": 5}
    assert not [d for d in drops(log) if "label" in d[2] or ("image" in d[2] and d[2] != "box outside the image")]


def test_ssdd_lists_against_the_rule_are_followed_and_noted(tmp_path):
    root = make_fake("ssdd", tmp_path / "s") / "Official-SSDD-OPEN/BBox_SSDD/voc_style"
    sets = root / "ImageSets/Main"
    text(sets / "test.txt", "000002\n")
    text(sets / "train.txt", "\n".join(f"{n:06d}" for n in range(1, 21) if n != 2))
    data, log = read_dataset(root, "ssdd")
    assert [r.stem for r in data.splits["test"]] == ["000002"]
    assert [n.reason.split(":")[1] for n in log[""].notes] == [
        " 5 images are not where the rule of the last digit puts them"
    ]
    assert ("JPEGImages/000021.jpg", "", "image in no list") in drops(log)


def test_ssdd_broken_xml_and_no_voc_folder(tmp_path):
    root = make_fake("ssdd", tmp_path / "s")
    text(root / "Official-SSDD-OPEN/BBox_SSDD/voc_style/Annotations/000003.xml", "<annotation>")
    with pytest.raises(DataError, match=r"000003.xml line 1"):
        read_dataset(root, "ssdd")
    with pytest.raises(DataError, match="use format=coco for it"):
        read_dataset(root / "Official-SSDD-OPEN/BBox_SSDD/coco_style", "ssdd")


@pytest.mark.parametrize(("stem", "split"), [("000001", "test"), ("000119", "test"), ("000190", "train"), ("x", None)])
def test_rule_of_the_last_digit(stem, split):
    assert official_split(stem) == split


def test_sar_ship_dataset_later_release(tmp_path):
    data, log = read_dataset(make_fake("sar_ship", tmp_path / "s"), "sar-ship-dataset")
    assert data.names == ["ship"]
    assert len(data.splits["train"]) == 40
    assert boxes(data, "train", "Gao_ship_hh_000.jpg")[0] == ("ship", 12, 14, 20, 18)
    assert [(where, kind) for _, where, kind in drops(log)] == [
        ("3", "box outside the image"),
        ("4", "zero-area box"),
        ("5", "malformed line"),
        ("6", "unknown class"),
    ]
    assert [r.stem for r in data.splits["train"] if not r.has_label_file] == ["Sen_ship_vv_009"]


# --------------------------------------------------------------------------------------------------------------- groups


def test_groups_come_back_through_yolo_and_coco(tmp_path):
    root = make_fake("ssdd", tmp_path / "s")
    first = convert(root, "ssdd", tmp_path / "a", progress=False)
    assert members(tmp_path / "a", "inshore") == ["000001.jpg", "000011.jpg"]
    again = convert(tmp_path / "a", "yolo", tmp_path / "b", progress=False)
    assert again.dropped == []
    convert(root, "ssdd", tmp_path / "c", to="coco", progress=False)
    convert(tmp_path / "c", "coco", tmp_path / "d", progress=False)
    assert first.splits["test"].groups["offshore"] == ["000009.jpg", "000019.jpg", "000021.jpg"]
    for out in "bcd":
        assert contents(tmp_path / out / "groups") == contents(tmp_path / "a/groups")
    for out in "bd":
        assert yaml.safe_load((tmp_path / out / f"{out}.yaml").read_text())["groups"]["inshore"] == "groups/inshore.txt"


def test_groups_of_splits_converted_one_by_one_stay_together(tmp_path):
    root = make_fake("hrsid", tmp_path / "s")
    for split in ("train", "test"):
        convert(
            root / f"HRSID_JPG/annotations/{split}2017.json", "hrsid", tmp_path / "out", split=split, progress=False
        )
    assert [n[:5] for n in members(tmp_path / "out", "inshore")] == ["P0001", "P0004"]
    shutil.rmtree(root / "HRSID_JPG/inshore_offshore")
    for split in ("train", "test"):
        convert(
            root / f"HRSID_JPG/annotations/{split}2017.json", "hrsid", tmp_path / "out", split=split, progress=False
        )
    assert list((tmp_path / "out/groups").iterdir()) == []
    assert "groups" not in yaml.safe_load((tmp_path / "out/out.yaml").read_text())


def test_group_names_that_lead_out_of_the_folder_are_no_groups(tmp_path):
    picture(tmp_path / "s/a.png")
    image = {"id": 1, "file_name": "a.png", "width": 64, "height": 48, "groups": ["../../x", "a/b", "", 3, "ok"]}
    rows = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}]
    document = {"images": [image], "annotations": rows, "categories": [{"id": 1, "name": "ship"}]}
    text(tmp_path / "s/all.json", json.dumps(document))
    convert(tmp_path / "s", "coco", tmp_path / "out", progress=False)
    assert [p.name for p in (tmp_path / "out/groups").iterdir()] == ["ok.txt"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("a", "a"),
        (" a.JPG\n", "a"),
        ("x\\y/a.png", "a"),
        ("a.b", "a.b"),
        ("P1_0.5.tif", "P1_0.5"),
        ("./a.txt", "a.txt"),
    ],
)
def test_lines_of_a_list(line, key):
    assert image_key(line) == key
