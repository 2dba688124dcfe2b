"""The three forms of labels: what becomes of each label for each task, and that what cannot become it is counted."""

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
from rsdet.data.annotations import Annotation, Dataset, ImageRecord, ImportLog
from rsdet.data.convert import convert
from rsdet.data.exporters.dota import dota_labels, write_submission
from rsdet.data.exporters.yolo import yolo_labels
from rsdet.data.forms import UNTURNED, area, give_form, join
from rsdet.data.importers import read_dataset
from rsdet.data.importers._labels import bounds
from rsdet.data.importers._outlines import decoded_runs, outlines
from rsdet.data.label_kind import label_kind
from rsdet.errors import ConfigError, DataError
from rsdet.geometry import corner_distance, xywhr_to_corners

SIZE = (100, 80)
RECTANGLE = (10, 10, 30, 10, 30, 20, 10, 20)


def run(source, format, out, **options):
    return convert(source, format, out, progress=False, **options)


def formed(task, *rings, corners=None, one_ring=True):
    """Polygons of an object with these rings, how it got them, and why it was dropped."""
    box = bounds([v for ring in rings for v in ring] or RECTANGLE)
    data = Dataset(
        ["ship"], {"train": [ImageRecord("a.png", *SIZE, None, [Annotation(0, box, rings, False, corners)])]}
    )
    log = ImportLog()
    give_form(data, log, task, one_ring)
    objects = data.splits["train"][0].objects
    assert [d.reason for d in log["train"].dropped] == [f"{d}; class ship" for d in _reasons(log)]
    assert sum(log["train"].lost.values()) == 1 - len(objects)
    return objects[0].polygons_px if objects else None, {how for how, _ in log["train"].forms}, _reasons(log)


def _reasons(log):
    return [d.reason.removesuffix("; class ship") for d in log["train"].dropped]


def same(ring, wanted):
    return corner_distance([np.reshape(ring, (4, 2))], [np.reshape(wanted, (4, 2))])[0] < 1e-3


@pytest.mark.parametrize(
    ("rings", "wanted", "how"),
    [
        ([RECTANGLE], RECTANGLE, set()),
        ([(10, 10, 30, 12, 28, 22, 9, 20)], (10, 10, 30, 12, 28, 22, 9, 20), set()),  # any quadrilateral stays
        ([RECTANGLE + RECTANGLE[:2]], RECTANGLE, set()),  # closed
        ([(10, 10, 30, 20, 30, 10, 10, 20)], RECTANGLE, {"crossing corners put in order"}),
        ([(10, 10, 30, 10, 10, 20)], RECTANGLE, {"smallest rectangle around three corners"}),
        ([(10, 10, 30, 10, 30, 10, 10, 20)], RECTANGLE, {"smallest rectangle around three corners"}),
        ([(10, 10, 20, 10, 30, 10, 30, 20, 10, 20)], RECTANGLE, {"smallest rectangle around the polygon"}),
        ([(10, 10, 12, 10, 10, 20), (30, 10, 30, 20, 28, 20)], RECTANGLE, {"smallest rectangle around all parts"}),
        ([], RECTANGLE, {UNTURNED}),
        ([(-50, 20, 30, 20, 30, 40, -50, 40)], (0, 20, 30, 20, 30, 40, 0, 40), {"cut at the edge of the picture"}),
    ],
)
def test_oriented_boxes(rings, wanted, how):
    found, done, dropped = formed("obb", *rings)
    assert same(found[0], wanted)
    assert (done, dropped) == (how, [])


def test_corners_of_the_source_go_before_its_polygon():
    turned = (20, 10, 30, 20, 20, 30, 10, 20)
    assert formed("obb", (10, 10, 30, 10, 20, 30), corners=turned)[0] == (turned,)
    assert formed("segment", (10, 10, 30, 10, 20, 30), corners=turned)[0] == ((10, 10, 30, 10, 20, 30),)


@pytest.mark.parametrize(
    ("task", "ring", "why"),
    [
        ("obb", (10, 10, 20, 20, 30, 30, 40, 40), "degenerate quadrilateral: zero area"),
        ("obb", (10, 10, 30, 30, 10, 10, 30, 30), "degenerate quadrilateral: zero area"),
        ("segment", (10, 10, 20, 20, 30, 30), "degenerate polygon: zero area"),
        ("obb", (-30, 10, 10, -30, 12, -30, -30, 12), "polygon outside the image"),
        ("segment", (-30, 10, 10, -30, 12, -30, -30, 12), "polygon outside the image"),
    ],
)
def test_what_cannot_be_turned_into_it_is_counted(task, ring, why):
    found, _, (reason,) = formed(task, ring)
    assert found is None
    assert reason.startswith(why)


def test_an_upright_box_is_no_polygon():
    assert formed("segment") == (None, set(), ["no polygon: only an upright box is known"])


def test_polygons_are_cut_and_parts_joined():
    found, how, _ = formed("segment", (90, 10, 120, 10, 120, 20, 90, 20), (10, 10, 30, 10, 30, 20, 10, 20))
    assert how == {"cut at the edge of the picture", "parts joined by a line at their nearest corners"}
    assert area(found[0]) == pytest.approx(10 * 10 + 20 * 10)
    assert max(found[0][0::2]) == 100
    apart, how, _ = formed("segment", (90, 10, 95, 10, 95, 20, 90, 20), RECTANGLE, one_ring=False)
    assert (len(apart), how) == (2, set())


polygon = st.lists(st.floats(4, 20), min_size=3, max_size=12)


def star(radii, x, y):
    """A simple polygon around a point."""
    angles = [2 * math.pi * i / len(radii) for i in range(len(radii))]
    return tuple(v for r, a in zip(radii, angles, strict=True) for v in (x + r * math.cos(a), y + r * math.sin(a)))


@settings(max_examples=60, deadline=None)
@given(st.lists(polygon, min_size=2, max_size=4))
def test_joined_parts_cover_what_the_parts_do(shapes):
    rings = [star(radii, 25 + 45 * i, 25) for i, radii in enumerate(shapes)]
    assert area(join(rings)) == pytest.approx(sum(map(area, rings)), rel=1e-9)


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


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 14), st.integers(1, 14), st.randoms(use_true_random=False))
def test_outlines_of_a_mask_hold_exactly_its_pixels(height, width, random):
    tools = pytest.importorskip("pycocotools.mask")
    mask = np.array([[random.random() < 0.6 for _ in range(width)] for _ in range(height)])
    packed = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert (decoded_runs({"size": [height, width], "counts": packed["counts"].decode()}) == mask).all()
    rings, holes = outlines(mask)
    drawn = np.zeros_like(mask)
    for ring in tools.frPyObjects([list(ring) for ring in rings], height, width) if rings else ():
        drawn |= tools.decode(ring).astype(bool)
    assert drawn[mask].all()
    assert (drawn == mask).all() or holes


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
    assert report.splits["train"].forms == {"holes of a mask filled": {"ship": 1}}
    assert [d.reason for d in report.dropped] == ["no polygon: only an upright box is known; class ship"]
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


def test_submission(tmp_path):
    corners = xywhr_to_corners([(30, 20, 16, 6, 0), (30, 20, 6, 16, 0), (5, 5, 2, 2, 0)])
    names = {0: "small vehicle", 1: "ship", 2: "plane"}
    files = write_submission(tmp_path, names, ["P2", "P1", "P1"], [0, 0, 1], [0.5, 0.25, 1], corners)
    assert [f.name for f in files] == ["Task1_small-vehicle.txt", "Task1_ship.txt", "Task1_plane.txt"]
    rows = [line.split() for line in files[0].read_text().splitlines()]
    assert [row[:2] for row in rows] == [["P1", "0.250000"], ["P2", "0.500000"]]
    assert np.array(rows[1][2:], float) == pytest.approx(corners[0].ravel())
    assert files[2].read_text() == ""
    (file,) = write_submission(tmp_path, {0: "ship"}, ["P1"], [0], [0.5], np.array([[1, 2, 3, 4.5]]))
    assert (file.name, file.read_text()) == ("Task2_ship.txt", "P1 0.500000 1 2 3 4.5\n")
    assert [f.read_text() for f in write_submission(tmp_path, {0: "ship"}, [], [], [], [])] == [""]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"classes": [7]}, "class 7 has no name"),
        ({"scores": [0.5, 0.5]}, "give N of each"),
        ({"scores": [math.nan]}, "not finite"),
        ({"image_ids": ["a b"]}, "rename the picture"),
    ],
)
def test_submissions_that_cannot_be_written(tmp_path, change, says):
    given = {"image_ids": ["P1"], "classes": [0], "scores": [0.5], "corners": np.ones((1, 8))} | change
    with pytest.raises(DataError, match=says):
        write_submission(tmp_path, {0: "ship"}, **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([""], "empty"),
        (["0 0.5 0.5 0.1 0.1", "", "0 0.5 0.5 0.1 0.1 0.9"], "detect"),
        (["0,0.5,0.5,0.1,0.1"], "detect"),
        (["0" + 8 * " 0.1"], "obb"),
        (["0" + 8 * " 0.1", "0" + 6 * " 0.1"], "segment"),
        (["0" + 8 * " 0.1", "0" + 4 * " 0.1"], "mixed"),
    ],
)
def test_kind_of_labels(tmp_path, rows, kind):
    together = text(tmp_path / "a.txt", "\n".join(rows))
    assert label_kind([together]).kind == kind
    apart = [text(tmp_path / f"{i}.txt", row) for i, row in enumerate(rows)]
    assert label_kind(apart).kind == kind


def test_files_of_no_kind_are_named(tmp_path):
    files = [text(tmp_path / "a.txt", "0 0.5 0.5"), text(tmp_path / "b.txt", "0 0.5 0.5 0.1 0.1"), tmp_path / "c.txt"]
    found = label_kind(files)
    assert (found.kind, found.files["unclear"]) == ("detect", [files[0], files[2]])
    assert str(found) == "detect: 1, first b.txt; unclear: 2, first a.txt"


def test_ultralytics_reads_joined_polygons(tmp_path):
    from ultralytics.data.utils import verify_image_label

    record = ImageRecord("a.png", *SIZE, None, [Annotation(0, (10, 10, 95, 20), (RECTANGLE, (90, 10, 95, 10, 95, 20)))])
    data = Dataset(["ship"], {"train": [record]})
    give_form(data, ImportLog(), "segment")
    label = text(tmp_path / "a.txt", yolo_labels(record, "segment"))
    found = verify_image_label((str(picture(tmp_path / "a.png", SIZE)), str(label), "", False, 1, 0, 0, False))
    assert len(found[3]) == 1
    assert found[1][0] == pytest.approx([0, 0.525, 15 / 80, 0.85, 10 / 80], abs=1e-5)
