"""``convert`` for each task: what is written and said, and that turned boxes and polygons come back."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from fakes import make_fake, picture, text
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.cli import run as cli
from rsdet.data.annotations import Annotation, ImageRecord
from rsdet.data.convert import convert
from rsdet.data.difficult import difficult_flags
from rsdet.data.exporters.dota import dota_labels
from rsdet.data.forms import UNTURNED, area
from rsdet.data.importers import read_dataset
from rsdet.data.importers._labels import bounds
from rsdet.data.label_kind import label_kind
from rsdet.errors import ConfigError, DataError
from rsdet.geometry import corner_distance, xywhr_to_corners


def run(source, format, out, **options):
    return convert(source, format, out, progress=False, **options)


polygon = st.lists(st.floats(4, 20), min_size=3, max_size=12)


def star(radii, x, y):
    """A simple polygon around a point."""
    angles = [2 * math.pi * i / len(radii) for i in range(len(radii))]
    return tuple(v for r, a in zip(radii, angles, strict=True) for v in (x + r * math.cos(a), y + r * math.sin(a)))


turned_box = st.tuples(st.floats(60, 540), st.floats(60, 340), st.floats(4, 80), st.floats(3, 70), st.floats(-7, 7))


@settings(max_examples=12, deadline=None)
@given(st.lists(turned_box, min_size=1, max_size=5, unique=True))
def test_turned_boxes_to_dota_to_yolo_and_back(boxes):
    wanted = xywhr_to_corners(boxes)
    objects = [
        Annotation(0, bounds(c.ravel().tolist()), (tuple(c.ravel().tolist()),), i == 0) for i, c in enumerate(wanted)
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        picture(root / "dota/images/a.png", (600, 400))
        text(root / "dota/labelTxt/a.txt", dota_labels(ImageRecord("a.png", 600, 400, None, objects), ["fast boat"]))
        report = run(root / "dota", "dota", root / "yolo", task="obb")
        assert (report.dropped, report.splits["train"].forms) == ([], {})
        assert report.counts["train"]["difficult"] == 1
        back = run(root / "yolo", "yolo", root / "again", to="dota")
        assert back.dropped == []
        data, log = read_dataset(root / "again", "dota")
        assert log["train"].dropped == []
    found = [np.reshape(o.polygons_px[0], (4, 2)) for o in data.splits["train"][0].objects]
    assert data.names == ["fast-boat"]
    assert corner_distance(found, wanted).max() < 0.01


@settings(max_examples=12, deadline=None)
@given(st.lists(polygon, min_size=1, max_size=5))
def test_polygons_to_coco_to_yolo_and_back(shapes):
    rings = [star(radii, 25 + 45 * i, 25) for i, radii in enumerate(shapes)]
    objects = [{"id": i, "image_id": 1, "category_id": 1, "segmentation": [list(r)]} for i, r in enumerate(rings, 1)]
    image = {"id": 1, "file_name": "a.png", "width": 300, "height": 60}
    document = {"images": [image], "annotations": objects, "categories": [{"id": 1, "name": "ship"}]}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        picture(root / "coco/images/a.png", (300, 60))
        text(root / "coco/train.json", json.dumps(document))
        assert run(root / "coco", "coco", root / "yolo", task="segment").dropped == []
        assert yaml.safe_load((root / "yolo/yolo.yaml").read_text())["task"] == "segment"
        assert run(root / "yolo", "yolo", root / "again", to="coco", task="segment").dropped == []
        back = json.loads((root / "again/annotations/train.json").read_text())["annotations"]
    for item, ring in zip(back, rings, strict=True):
        assert item["segmentation"] == [pytest.approx(ring, abs=1e-4)]
        assert item["area"] == pytest.approx(area(ring), rel=1e-4)


def test_coco_masks_in_run_lengths(tmp_path):
    picture(tmp_path / "s/a.png", (20, 10))
    solid, ring = np.zeros((10, 20), bool), np.zeros((10, 20), bool)
    solid[2:5, 3:9] = ring[1:9, 10:19] = True
    ring[4, 14] = False

    def runs(mask):
        flat = mask.T.ravel()
        return np.diff([0, *np.flatnonzero(np.diff(flat)) + 1, flat.size]).tolist()

    masks = [
        {"size": [10, 20], "counts": runs(solid)},
        {"size": [10, 20], "counts": runs(ring)},
        {"size": [11, 20], "counts": [1, 5, 214]},
    ]
    items = [
        {"id": i, "image_id": 1, "category_id": 1, "segmentation": m, "bbox": [3, 2, 6, 3 + i]}
        for i, m in enumerate(masks)
    ]
    image = {"id": 1, "file_name": "a.png", "width": 20, "height": 10}
    document = {"images": [image], "annotations": items, "categories": [{"id": 1, "name": "ship"}]}
    text(tmp_path / "s/train.json", json.dumps(document))
    report = run(tmp_path / "s", "coco", tmp_path / "out", task="segment")
    rows = (tmp_path / "out/labels/train/a.txt").read_text().split("\n")
    assert sorted(rows[0].split()[1:]) == sorted(["0.15", "0.2", "0.45", "0.2", "0.45", "0.5", "0.15", "0.5"])
    assert report.splits["train"].forms == {
        "holes of a mask filled": {"ship": 1},
        "four corners taken for the outline": {"ship": 2},
    }
    assert [d.reason for d in report.dropped] == [
        "no polygon: only an upright box is known, which task=detect and obb take; class ship"
    ]
    assert [n.reason for n in report.notes] == [
        "mask not used: its size and runs are no mask of 20 x 10 px, size [11, 20]; its box is kept"
    ]
    kept = run(tmp_path / "s", "coco", tmp_path / "coco", to="coco")
    assert kept.counts["train"]["boxes"] == 3


def test_masks_become_polygons(tmp_path):
    run(make_fake("masks", tmp_path / "s"), "masks", tmp_path / "out", names="ship", task="segment")
    (row,) = (tmp_path / "out/labels/train/P01_30_70_0_30.txt").read_text().splitlines()
    assert area([float(v) * side for v, side in zip(row.split()[1:], (40, 30) * 4, strict=True)]) == pytest.approx(25)


def test_task_on_the_command_line(tmp_path, capsys):
    words = ["convert", f"source={make_fake('dota', tmp_path / 's')}", "format=dota"]
    assert cli([*words, f"out={tmp_path / 'x'}", "task=oob"]) == 2
    assert "Did you mean 'obb'" in capsys.readouterr().err
    assert cli([*words, f"out={tmp_path / 'x'}", "to=dota", "task=segment"]) == 2
    assert "give task=obb or to=coco" in capsys.readouterr().err
    for task in ("detect", "obb", "segment"):
        assert cli([*words, f"out={tmp_path / task}", f"task={task}"]) == 0
        assert yaml.safe_load((tmp_path / task / f"{task}.yaml").read_text())["task"] == task
        report = json.loads((tmp_path / task / "convert-report.json").read_text())
        assert report["splits"]["train"]["task"] == task
        assert label_kind((tmp_path / task / "labels/train").iterdir()).kind == (
            "detect" if task == "detect" else "obb"
        )


def test_the_former_name_of_the_task_is_told(tmp_path, caplog):
    source = make_fake("dota", tmp_path / "s")
    run(source, "dota", tmp_path / "a", obb=True)
    assert "obb= is now task=obb" in caplog.text
    run(source, "dota", tmp_path / "b", task="obb")
    labels = "labels/train/Ptrain.txt"
    assert (tmp_path / "a" / labels).read_text() == (tmp_path / "b" / labels).read_text()
    with pytest.raises(ConfigError, match="former name"):
        run(source, "dota", tmp_path / "c", obb=True, task="segment")


def test_labels_of_two_forms_are_kept_apart(tmp_path):
    source = make_fake("dota", tmp_path / "s")
    run(source / "train", "dota", tmp_path / "out", task="obb")
    names = ["large vehicle", "plane", "ship", "small-vehicle"]
    with pytest.raises(DataError, match="holds train for task=obb"):
        run(source / "val", "dota", tmp_path / "out", allow_empty=True, names=names)


def test_dota_labels_of_upright_boxes(tmp_path):
    picture(tmp_path / "s/images/a.png")
    text(tmp_path / "s/labels/a.txt", "0 0.5 0.5 0.25 0.5\n")
    report = run(tmp_path / "s", "yolo", tmp_path / "out", names=["x y"], to="dota")
    rows = (tmp_path / "out/labelTxt/train/a.txt").read_text().splitlines()
    assert rows == ["imagesource:unknown", "gsd:null", "24 12 40 12 40 36 24 36 x-y 0"]
    assert report.splits["train"].forms == {UNTURNED: {"x y": 1}}
    assert report.data_yaml is None


def test_ignored_regions_that_dota_has_no_place_for_are_counted(tmp_path):
    report = run(make_fake("voc", tmp_path / "s"), "voc", tmp_path / "out", to="dota")
    assert [d.reason for d in report.dropped if d.reason.startswith("ignored")] == [
        "ignored region left out: DOTA's labels have none"
    ]


def test_the_mark_of_difficult_objects_survives(tmp_path):
    source = make_fake("dota", tmp_path / "s")
    report = run(source, "dota", tmp_path / "yolo", task="obb")
    (row,) = (tmp_path / "yolo/difficult/train/Ptrain.txt").read_text().splitlines()
    rows = (tmp_path / "yolo/labels/train/Ptrain.txt").read_text().splitlines()
    assert rows.index(row) == 1
    assert yaml.safe_load(report.data_yaml.read_text())["difficult"] == "difficult"
    numbers = np.array([line.split() for line in rows], float).astype(np.float32)
    flags = difficult_flags(tmp_path / "yolo/difficult/train/Ptrain.txt", numbers[:, 0], numbers[:, 1:])
    assert flags.tolist() == [False, True, False, False]
    assert not difficult_flags(tmp_path / "yolo/difficult/val/Pval.txt", [0], numbers[:1, 1:]).any()
    run(tmp_path / "yolo", "yolo", tmp_path / "dota", to="dota")
    marks = [line[-1] for line in (tmp_path / "dota/labelTxt/train/Ptrain.txt").read_text().splitlines()[2:]]
    assert marks == ["0", "1", "0", "0"]
    text(source / "train/labelTxt/Ptrain.txt", "20 10 30 20 20 30 10 20 ship 0\n")
    again = run(source, "dota", tmp_path / "yolo", task="obb")
    assert not list((tmp_path / "yolo/difficult").rglob("*.txt"))
    assert "difficult" not in yaml.safe_load(again.data_yaml.read_text())


def test_angles_that_look_like_radians_are_remarked(tmp_path):
    source = make_fake("rolabelimg", tmp_path / "s")
    report = run(source, "voc", tmp_path / "out", task="obb", angle_unit="degrees")
    assert [n.reason.split(":")[0] for n in report.notes] == ["angles may be radians"]


def test_labels_that_become_one_are_counted(tmp_path):
    picture(tmp_path / "s/images/a.png", (100, 80))
    rows = ["10 10 30 10 30 20 10 20 ship 0", "10 10 30 20 30 10 10 20 ship 0"]
    text(tmp_path / "s/labelTxt/a.txt", "\n".join(rows))
    report = run(tmp_path / "s", "dota", tmp_path / "out", task="obb")
    assert [tuple(d) for d in report.dropped] == [
        ("labelTxt/a.txt", "2", "duplicate annotation: the same obb label as 1")
    ]
    assert run(tmp_path / "s", "dota", tmp_path / "detect").counts["train"]["boxes"] == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "detect"}, "holds train for task=obb"),
        ({"to": "coco"}, "holds train for to=yolo"),
        ({"names": ["ship", "plane"]}, "holds train with the classes"),
    ],
)
def test_splits_of_one_source_are_not_mixed_either(tmp_path, change, says):
    source, out = make_fake("dota", tmp_path / "s"), tmp_path / "out"
    usual = {"task": "obb", "names": ["ship", "plane", "large vehicle", "small-vehicle"], "allow_empty": True}
    run(source, "dota", out, split="train", **usual)
    with pytest.raises(DataError, match=says):
        run(source, "dota", out, split="val", **{**usual, **change})
    run(source, "dota", out, split="val", **usual)


def test_classes_that_dota_would_make_one_are_refused(tmp_path):
    picture(tmp_path / "s/images/a.png")
    text(tmp_path / "s/labels/a.txt", "0 0.5 0.5 0.25 0.5\n1 0.25 0.5 0.25 0.5\n")
    with pytest.raises(DataError, match="'x y' and 'x-y' would both be 'x-y'"):
        run(tmp_path / "s", "yolo", tmp_path / "out", names=["x y", "x-y"], to="dota")
    assert not (tmp_path / "out").exists()
