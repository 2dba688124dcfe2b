"""The importers on real files; skipped where the sample data is absent."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from fakes import fingerprint, picture

from rsdet.data.convert import convert
from rsdet.data.importers import ImportOptions, read_dataset
from rsdet.geometry import corner_distance


def classes(data, split):
    return Counter(data.names[o.cls] for r in data.splits[split] for o in r.objects)


def dropped(log):
    return [d for part in log.values() for d in part.dropped]


@pytest.fixture(scope="session")
def hit_uav(shared_data):
    return shared_data / "hit-uav"


def test_hit_uav_counts(hit_uav):
    data, log = read_dataset(hit_uav, "hit-uav")
    assert {s: len(r) for s, r in data.splits.items()} == {"train": 280, "val": 60}
    assert classes(data, "train") == {"Car": 772, "Person": 1068, "Bicycle": 577, "OtherVehicle": 50}
    assert classes(data, "val") == {"Car": 203, "Person": 218, "Bicycle": 140, "OtherVehicle": 6}
    assert sum(len(r.ignored_xyxy_px) for r in data.splits["train"]) == 18
    assert sum(len(r.ignored_xyxy_px) for r in data.splits["val"]) == 2
    assert dropped(log) == []


def test_hit_uav_json_and_xml_agree(hit_uav, tmp_path):
    (tmp_path / "JPEGImages").symlink_to(hit_uav / "images")
    (tmp_path / "Annotations").symlink_to(hit_uav / "normal_xml" / "Annotations")
    names = ["Person", "Car", "Bicycle", "OtherVehicle"]
    from_xml, log = read_dataset(tmp_path, "voc", ImportOptions(names=names))
    from_json, _ = read_dataset(hit_uav, "hit-uav")
    assert dropped(log) == []
    for split, records in from_json.splits.items():
        by_name = {r.name: r for r in from_xml.splits[split]}
        assert len(by_name) == len(records)
        for record in records:
            other = by_name[record.name]
            assert sorted((o.cls, o.xyxy_px) for o in record.objects) == sorted(
                (o.cls, o.xyxy_px) for o in other.objects
            )
            assert sorted(record.ignored_xyxy_px) == sorted(other.ignored_xyxy_px)


def turned_labels(out, split, size):
    """Picture to classes and corners (N, 4, 2) in pixels of its written label file."""
    found = {}
    for path in sorted((out / "labels" / split).iterdir()):
        rows = np.array([row.split() for row in path.read_text().splitlines()], float).reshape(-1, 9)
        found[path.stem] = rows[:, 0], rows[:, 1:].reshape(-1, 4, 2) * size
    return found


def test_hit_uav_oriented_json_and_xml_agree(hit_uav, tmp_path):
    for name, source in (("json", hit_uav), ("xml", hit_uav / "rotate_xml")):
        report = convert(source, "hit-uav", tmp_path / name, task="obb", progress=False)
        assert (report.counts["train"]["boxes"], report.counts["val"]["boxes"]) == (2467, 567)
        assert report.dropped == []
        assert "no turn known, box taken as it is" not in report.splits["train"].forms
    for split in ("train", "val"):
        a, b = (turned_labels(tmp_path / name, split, (640, 512)) for name in ("json", "xml"))
        assert a.keys() == b.keys()
        for stem, (classes, corners) in a.items():
            assert (classes == b[stem][0]).all(), stem
            assert not len(corners) or corner_distance(corners, b[stem][1]).max() < 0.01, stem


def test_dota_keeps_the_corners_of_the_owner(shared_data, tmp_path):
    report = convert(shared_data / "dota-sample" / "labelTxt", "dota", tmp_path / "out", task="obb", progress=False)
    assert report.splits["train"].forms == {"cut at the edge of the picture": {"ship": 1}}
    found = turned_labels(tmp_path / "out", "train", (1111, 1182))
    text = (shared_data / "dota-sample/labelTxt/P0706.txt").read_text().splitlines()[2:]
    wanted = np.array([row.split()[:8] for row in text], float).reshape(-1, 4, 2)
    apart = np.abs(found["P0706"][1] - wanted).max((1, 2))
    assert (apart > 1e-3).sum() == 1


def test_coco_polygons_and_ship_masks(shared_data, tmp_path):
    report = convert(shared_data / "coco-sample", "coco", tmp_path / "coco", task="segment", progress=False)
    original = json.loads((shared_data / "coco-sample/terrain1_coco.json").read_text())["annotations"]
    rows = (tmp_path / "coco/labels/train/terrain1.txt").read_text().splitlines()
    assert len(rows) == len(original)
    assert report.dropped == []
    report = convert(
        shared_data / "hrsid-ship", "masks", tmp_path / "ships", names="ship", task="segment", progress=False
    )
    assert report.counts["train"]["boxes"] == 47
    again = convert(tmp_path / "ships", "yolo", tmp_path / "turned", task="obb", progress=False)
    assert again.splits["train"].forms["smallest rectangle around the polygon"]["ship"] >= 40


def test_hit_uav_converts_and_the_originals_stay(hit_uav, tmp_path):
    before = fingerprint(hit_uav / "normal_json")
    report = convert(hit_uav, "hit-uav", tmp_path / "out", split="val", progress=False)
    assert report.counts == {"val": report.counts["val"]}
    assert (report.counts["val"]["boxes"], report.counts["val"]["ignored"]) == (567, 2)
    back, log = read_dataset(tmp_path / "out", "yolo")
    original, _ = read_dataset(hit_uav, "hit-uav")
    assert dropped(log) == []
    for a, b in zip(original.splits["val"], back.splits["val"], strict=True):
        assert [o.cls for o in a.objects] == [o.cls for o in b.objects]
        for o, p in zip(a.objects, b.objects, strict=True):
            assert o.xyxy_px == pytest.approx(p.xyxy_px, abs=1e-5)
    assert fingerprint(hit_uav / "normal_json") == before


def test_aerial_cars(shared_data):
    data, log = read_dataset(shared_data / "aerial-cars", "yolo")
    assert classes(data, "train") == {"car": 822, "bus": 57, "minibus": 46, "truck": 3}
    assert len(data.splits["train"]) == 43
    assert dropped(log) == []


def test_dota(shared_data):
    data, log = read_dataset(shared_data / "dota-sample" / "labelTxt", "dota")
    found = {r.name: Counter(data.names[o.cls] for o in r.objects) for r in data.splits["train"]}
    assert found == {
        "P0706.png": {"ship": 531, "harbor": 5},
        "P1888.png": {"large-vehicle": 50, "small-vehicle": 14},
    }
    assert all(len(o.polygons_px[0]) == 8 for r in data.splits["train"] for o in r.objects)
    assert {d.file.split("/")[0] for d in dropped(log)} == {"labelTxt_without_image"}


def test_dota_tile_with_boxes_beyond_its_edge(shared_data):
    data, log = read_dataset(shared_data / "dota-sample" / "tile", "dota")
    (record,) = data.splits["train"]
    assert len(record.objects) == 1
    assert [d.reason.split(":")[0] for d in dropped(log)].count("box outside the image") == 3
    assert log["train"].notes[0].reason.startswith("4 channel(s)")


def test_coco_samples(shared_data):
    data, log = read_dataset(shared_data / "coco-sample", "coco")
    assert data.names == ["human", "car"]
    assert {r.name: (r.width, r.height) for r in data.splits["train"]} == {
        "terrain1.jpg": (2048, 1365),
        "terrain2.png": (1024, 682),
    }
    assert dropped(log) == []


def test_visdrone_labels_without_pictures(shared_data, tmp_path):
    report = convert(shared_data / "visdrone-labels", "coco", tmp_path / "out", to="coco", progress=False)
    assert report.counts["train"]["images"] == 50
    assert report.splits["train"].boxes_by_class == {"human": 1208, "vehicle": 2118}


def test_visdrone_excerpt(shared_data, tmp_path):
    rows = (shared_data / "visdrone-labels" / "visdrone_det_excerpt.txt").read_bytes()
    picture(tmp_path / "images/x.jpg", (1360, 765))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/x.txt").write_bytes(rows)
    data, log = read_dataset(tmp_path, "visdrone")
    (record,) = data.splits["train"]
    assert classes(data, "train") == {"car": 5}
    assert record.objects[0].xyxy_px == (708, 471, 782, 504)
    assert record.ignored_xyxy_px[0] == (684, 8, 957, 124)
    assert len(record.ignored_xyxy_px) == 4
    assert dropped(log) == []
