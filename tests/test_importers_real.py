"""The importers on real files; skipped where the sample data is absent."""

from __future__ import annotations

from collections import Counter

import pytest
from fakes import fingerprint, picture

from rsdet.data.convert import convert
from rsdet.data.importers import ImportOptions, read_dataset


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


def test_hit_uav_oriented_json_and_xml_agree(hit_uav, tmp_path):
    (tmp_path / "JPEGImages").symlink_to(hit_uav / "images")
    (tmp_path / "Annotations").symlink_to(hit_uav / "rotate_xml" / "Annotations")
    names = ["Person", "Car", "Bicycle", "OtherVehicle"]
    from_xml, _ = read_dataset(tmp_path, "voc", ImportOptions(names=names))
    from_json, _ = read_dataset(hit_uav, "hit-uav", ImportOptions(obb=True))
    a = {r.name: r for r in from_xml.splits["val"]}
    for record in from_json.splits["val"]:
        found = sorted((o.cls, *(round(v, 2) for v in o.polygon_px)) for o in a[record.name].objects)
        wanted = sorted((o.cls, *(round(v, 2) for v in o.polygon_px)) for o in record.objects)
        assert found == wanted


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
    assert all(len(o.polygon_px) == 8 for r in data.splits["train"] for o in r.objects)
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
