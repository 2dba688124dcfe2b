"""VisDrone's videos (one file a sequence) and result files; VOC boxes drawn from another corner, and polygons."""

from __future__ import annotations

import pytest
from fakes import boxes, drops, ignored, picture, text

from rsdet.data.convert import convert
from rsdet.data.importers import read_dataset
from rsdet.errors import DataError

# frame, target, left, top, width, height, score, category, truncation, occlusion
ROWS = """\
1,0,5,6,10,12,1,4,0,0
2,0,6,6,10,12,1,4,0,0
2,1,30,20,8,4,1,1,0,1
1,9,0,0,9,9,0,0,0,0
9,0,1,1,5,5,1,4,0,0
"""


def make(root):
    for split, name in (("train", "uav01_v"), ("train", "uav02_v"), ("val", "uav01_v")):
        home = root / f"VisDrone2019-VID-{split}"
        for frame in (1, 2, 3):
            picture(home / f"sequences/{name}/{frame:07d}.jpg")
        text(home / f"annotations/{name}.txt", ROWS if split == "train" else "3,0,7,8,9,10,1,9,0,0\n")
    return root


def test_sequences(tmp_path):
    data, log = read_dataset(make(tmp_path), "visdrone")
    assert {s: len(records) for s, records in data.splits.items()} == {"train": 6, "val": 3}
    for name in ("0000001.jpg", "uav02_v__0000001.jpg"):
        assert boxes(data, "train", name) == [("car", 5, 6, 15, 18)]
        assert ignored(data, "train", name) == [(0, 0, 9, 9)]
    assert boxes(data, "train", "0000002.jpg") == [("car", 6, 6, 16, 18), ("pedestrian", 30, 20, 38, 24)]
    assert boxes(data, "train", "0000003.jpg") == []
    assert [boxes(data, "val", f"000000{i}.jpg") for i in (1, 2, 3)] == [[], [], [("bus", 7, 8, 16, 18)]]
    assert all(r.has_label_file for records in data.splits.values() for r in records)
    home = "VisDrone2019-VID-train/annotations"
    assert drops(log) == [(f"{home}/uav0{i}_v.txt", "frame 9", "label without image") for i in (1, 2)]


def test_one_split_of_the_sequences(tmp_path):
    data, log = read_dataset(make(tmp_path) / "VisDrone2019-VID-val", "visdrone")
    assert boxes(data, "val", "0000003.jpg") == [("bus", 7, 8, 16, 18)]
    assert drops(log) == []


def test_rows_of_a_video_beside_one_picture_are_refused(tmp_path):
    picture(tmp_path / "images/a.png")
    text(tmp_path / "annotations/a.txt", ROWS)
    with pytest.raises(DataError, match=r"0 of 5 boxes .*a file of a video needs its pictures in a folder of its name"):
        convert(tmp_path, "visdrone", tmp_path.with_name("out-of-video"), progress=False)


def test_result_files(tmp_path):
    picture(tmp_path / "images/a.png")
    text(tmp_path / "annotations/a.txt", "5,5,10,10,0.87,4\n1,2,10,10,0.3,9,-1,-1\n1,2,3,4,5\n")
    data, log = read_dataset(tmp_path, "visdrone")
    assert boxes(data, "train", "a.png") == [("car", 5, 5, 15, 15), ("bus", 1, 2, 11, 12)]
    assert drops(log) == [("annotations/a.txt", "3", "malformed line")]


def test_voc_polygons_and_oriented_boxes_without_an_upright_one(tmp_path):
    def tags(**values):
        return "".join(f"<{t}>{v}</{t}>" for t, v in values.items())

    ring = tags(x1=5, y1=8, x2=15, y2=8, x3=15, y3=20, x4=5, y4=20)
    upright = f"<bndbox>{tags(xmin=4, ymin=7, xmax=16, ymax=21)}</bndbox>"
    turned = f"<robndbox>{tags(cx=10, cy=14, w=12, h=10, angle=1.5707963267948966)}</robndbox>"
    places = (f"<polygon>{ring}</polygon>", f"<rotated_bndbox>{ring}</rotated_bndbox>", turned, upright + turned)
    for index, place in enumerate(places):
        picture(tmp_path / f"{index}.png")
        text(tmp_path / f"{index}.xml", f"<annotation><object><name>car</name>{place}</object></annotation>")
    data, log = read_dataset(tmp_path, "voc")
    assert drops(log) == []
    objects = [r.objects[0] for r in data.splits["train"]]
    want = [(5, 8, 15, 20)] * 3 + [(4, 7, 16, 21)]
    assert [o.xyxy_px for o in objects] == [pytest.approx(w) for w in want]
    assert [len(o.polygons_px[0]) for o in objects] == [8] * 4


@pytest.mark.parametrize("edges", [(15, 20, 5, 8), (5, 20, 15, 8), (15, 8, 5, 20)])
def test_voc_boxes_drawn_from_another_corner(tmp_path, edges):
    picture(tmp_path / "a.png")
    tags = "".join(f"<{t}>{v}</{t}>" for t, v in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True))
    text(tmp_path / "a.xml", f"<annotation><object><name>car</name><bndbox>{tags}</bndbox></object></annotation>")
    data, log = read_dataset(tmp_path, "voc")
    assert boxes(data, "train", "a.png") == [("car", 5, 8, 15, 20)]
    assert [n.reason for n in log["train"].notes] == ["edges swapped: 1 boxes, put in order"]
