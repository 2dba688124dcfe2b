"""Formats with oriented boxes: the turn arrives in the labels, and an angle in the wrong unit is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from fakes import drops, make_fake, picture, text

from rsdet.cli import run as cli
from rsdet.data.convert import convert
from rsdet.data.importers import ImportOptions, read_dataset
from rsdet.data.importers.fair1m import NAMES as FAIR1M
from rsdet.errors import DataError
from rsdet.geometry import corner_distance, xywhr_to_corners

BOX = (30, 20, 16, 6, 0.4)


def run(source, format, out, **options):
    return convert(source, format, out, progress=False, **options)


def written(out, name, size=(64, 48)):
    """Corners of one written label file, (N, 4, 2) in pixels."""
    rows = (out / "labels" / name).read_text().split("\n")[:-1]
    return np.array([row.split()[1:] for row in rows], float).reshape(len(rows), -1, 2) * size


def distance(corners, *turned):
    return corner_distance(corners, xywhr_to_corners(turned)).max()


def test_rolabelimg(tmp_path):
    report = run(make_fake("rolabelimg", tmp_path / "s"), "voc", tmp_path / "out", task="obb")
    assert distance(written(tmp_path / "out", "train/a.txt"), (7, 6, 10, 6, 0), BOX) < 1e-6
    assert report.splits["train"].forms == {"no turn known, box taken as it is": {"car": 1}}
    assert "1 x no turn known, box taken as it is (car 1)" in report.summary()


def test_hrsc2016(tmp_path):
    source = make_fake("hrsc2016", tmp_path / "s")
    report = run(source, "hrsc2016", tmp_path / "out", task="obb")
    assert report.names == ["ship"]
    assert distance(written(tmp_path / "out", "train/100000001.txt"), BOX, (40, 30, 10, 4, -1.2)) < 1e-6
    assert report.counts["train"]["difficult"] == 1
    assert distance(written(tmp_path / "out", "test/100000002.txt"), (8, 8, 8, 8, 0), (30, 30, 8, 4, 0)) < 1e-6
    assert [d.reason for d in report.dropped if not d.file.endswith(".bmp")] == [
        "malformed object: expected mbox_cx, mbox_cy, mbox_w, mbox_h and mbox_ang"
    ]


def test_hrsc2016_by_finer_class(tmp_path):
    source = make_fake("hrsc2016", tmp_path / "s")
    report = run(source, "hrsc2016", tmp_path / "out", task="obb", names="Nimitz,aircraft carrier", allow_empty=True)
    assert report.splits["train"].boxes_by_class == {"Nimitz": 1, "aircraft carrier": 1}
    kinds = [d.reason.split(":")[0] for d in report.dropped]
    assert kinds == ["class left out", "unknown class", "malformed object"]


def test_fair1m(tmp_path):
    report = run(make_fake("fair1m", tmp_path / "s"), "fair1m", tmp_path / "out", task="obb", allow_empty=True)
    assert report.names == list(FAIR1M)
    assert distance(written(tmp_path / "out", "train/0.txt"), (20, 20, 200**0.5, 200**0.5, math.pi / 4)) < 1e-6
    assert distance(written(tmp_path / "out", "train/1.txt"), (21, 6, 38, 6, 0)) < 1e-6
    kinds = [d.reason.split(":")[0] for d in report.dropped]
    assert kinds == ["malformed object", "coordinates not in pixels"]


def test_hit_uav_by_each_of_its_parts(tmp_path):
    source = make_fake("hit_uav", tmp_path / "s")
    run(source, "hit-uav", tmp_path / "json", task="obb")
    turned = (20, 20, 20, 10, math.pi / 2)
    assert distance(written(tmp_path / "json", "val/n.txt"), turned) < 1e-6
    size = "<size><width>64</width><height>48</height></size>"
    box = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("cx", "cy", "w", "h", "angle"), turned, strict=True))
    item = f"<object><type>robndbox</type><name>Car</name><robndbox>{box}</robndbox></object>"
    text(source / "rotate_xml/Annotations/n.xml", f"<annotation>{size}{item}</annotation>")
    picture(source / "images/val/n.jpg")
    report = run(source / "rotate_xml", "hit-uav", tmp_path / "xml", task="obb")
    assert report.names == ["Person", "Car", "Bicycle", "OtherVehicle"]
    assert distance(written(tmp_path / "xml", "val/n.txt"), turned) < 1e-6


def test_ssdd_reads_the_part_of_the_task(tmp_path):
    source = make_fake("ssdd", tmp_path / "s")
    for task, rings in (("detect", ()), ("obb", ((7, 2, 12, 7, 7, 12, 2, 7),)), ("segment", ((7, 2, 12, 7, 7, 12),))):
        data, _ = read_dataset(source, "ssdd", ImportOptions(task=task))
        assert data.splits["test"][0].objects[0].polygons_px == rings


@pytest.mark.parametrize("format", ["voc", "hrsc2016", "hit-uav"])
def test_degrees_where_radians_are_stated(tmp_path, format, capsys):
    source = tmp_path / "s"
    if format == "voc":
        make_fake("rolabelimg", source)
        files = [source / "Annotations/a.xml"]
        files[0].write_text(files[0].read_text().replace("<angle>0.4", f"<angle>{math.degrees(0.4)}"))
    elif format == "hrsc2016":
        make_fake("hrsc2016", source)
        files = [source / "FullDataSet/Annotations/100000001.xml"]
        degrees = files[0].read_text().replace("ang>0.4", f"ang>{math.degrees(0.4)}").replace("-1.2", "-68")
        files[0].write_text(degrees)
    else:
        make_fake("hit_uav", source)
        files = sorted(source.glob("rotate_json/annotations/*.json"))
        for file in files:
            document = json.loads(file.read_text())
            document["annotations"][0]["bbox"] = [*BOX[:4], math.degrees(0.4)]
            file.write_text(json.dumps(document))
    words = ["convert", f"source={source}", f"format={format}", "task=obb", "progress=False"]
    assert cli([*words, f"out={tmp_path / 'out'}"]) == 2
    said = capsys.readouterr().err
    assert files[0].name in said
    assert "give angle_unit=degrees" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert cli([*words, "angle_unit=degrees", f"out={tmp_path / 'out'}"]) == 0
    found = written(
        tmp_path / "out", next((tmp_path / "out/labels/train").iterdir()).relative_to(tmp_path / "out/labels")
    )
    assert distance(found[1:] if format == "voc" else found[:1], BOX) < 1e-6


@pytest.mark.parametrize("task", ["obb", "segment"])
def test_yolo_folders_with_corners(tmp_path, task):
    picture(tmp_path / "s/images/a.png")
    row = "0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5"
    text(tmp_path / "s/labels/a.txt", row + ("" if task == "obb" else "\n0 0.1 0.1 0.4 0.1 0.4 0.4 0.25 0.2 0.1 0.4"))
    text(tmp_path / "s/data.yaml", f"names: [x]\ntask: {task}\n")
    run(tmp_path / "s", "yolo", tmp_path / "out", task=task)
    assert (tmp_path / "out/labels/train/a.txt").read_text() == text(tmp_path / "s/labels/a.txt", row).read_text() + (
        "\n" if task == "obb" else "\n0 0.1 0.1 0.4 0.1 0.4 0.4 0.25 0.2 0.1 0.4\n"
    )


def test_mixed_kinds_in_a_folder_are_named(tmp_path):
    for name, row in (("a", "0 0.5 0.5 0.2 0.2"), ("b", "0 0.1 0.1 0.4 0.1 0.4 0.4 0.25 0.2 0.1 0.4")):
        picture(tmp_path / f"s/images/{name}.png")
        text(tmp_path / f"s/labels/{name}.txt", row)
    with pytest.raises(DataError, match=r"mixed label kinds .* labels/a\.txt; give each kind a folder"):
        run(tmp_path / "s", "yolo", tmp_path / "out", names=["x"], task="segment")
    report = run(tmp_path / "s", "yolo", tmp_path / "out", names=["x"])  # upright boxes can be had of all
    ((file, _, note),) = report.notes
    assert file == "labels/a.txt"
    assert note == "mixed label kinds: upright boxes beside polygons; detect: 1, first a.txt; segment: 1, first b.txt"


def test_dota_rows_that_are_no_box(tmp_path):
    picture(tmp_path / "s/images/a.png")
    rows = ["10 5 30 5 30 20 ship 0", "imagesource:GoogleEarth", "5 5 9 5 9 9 5 9 ship 1"]
    text(tmp_path / "s/labelTxt/a.txt", "\n".join(rows))
    data, log = read_dataset(tmp_path / "s", "dota", ImportOptions(task="obb"))
    assert drops(log) == [("labelTxt/a.txt", "1", "malformed line")]
    assert data.splits["train"][0].objects[0].difficult
