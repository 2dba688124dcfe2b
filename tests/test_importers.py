"""What each importer takes, what it drops and the reason it gives."""

from __future__ import annotations

import json
import os

import pytest
from fakes import boxes, drops, ignored, make_fake, picture, text
from PIL import Image

from rsdet.data.convert import convert
from rsdet.data.importers import IMPORTERS, ImportOptions, read_dataset
from rsdet.errors import ConfigError, DataError


def read(root, format, **options):
    return read_dataset(root, format, ImportOptions(**options))


def test_visdrone_owner_layout(tmp_path):
    data, log = read(make_fake("visdrone", tmp_path / "s"), "visdrone")
    assert data.names[3] == "car"
    assert len(data.names) == 10
    assert [r.name for r in data.splits["train"]] == ["a.jpg", "background.jpg"]
    assert boxes(data, "train", "a.jpg") == [("car", 10, 5, 30, 15), ("bus", 50, 40, 64, 48)]
    assert ignored(data, "train", "a.jpg") == [(0, 0, 16, 12), (40, 30, 48, 38), (30, 20, 36, 26)]
    assert boxes(data, "val", "v.jpg") == [("motor", 1, 2, 11, 12)]
    assert data.splits["train"][1].has_label_file is False
    assert log["train"].counts["clipped"] == 1
    a, train = "VisDrone2019-DET-train/annotations/a.txt", "VisDrone2019-DET-train"
    assert set(drops(log)) == {
        (a, "6", "zero-area box"),
        (a, "7", "box outside the image"),
        (a, "8", "duplicate annotation"),
        (a, "10", "unknown class"),
        (a, "11", "non-finite number"),
        (a, "12", "malformed line"),
        (a, "13", "malformed line"),
        (f"{train}/annotations/nobody.txt", "", "label without image"),
        (f"{train}/images/cut.jpg", "", "unreadable image"),
        (f"{train}/images/empty.jpg", "", "unreadable image"),
        ("test-challenge", "", "split without labels"),
    }


def test_visdrone_others_can_be_left_out_as_the_official_toolkit_does(tmp_path):
    data, log = read(make_fake("visdrone", tmp_path / "s"), "visdrone", others="drop")
    assert ignored(data, "train", "a.jpg") == [(0, 0, 16, 12), (30, 20, 36, 26)]
    assert ("VisDrone2019-DET-train/annotations/a.txt", "3", "category others") in drops(log)


@pytest.mark.parametrize("part", ["VisDrone2019-DET-val", "VisDrone2019-DET-val/annotations"])
def test_a_part_of_the_source_is_enough(tmp_path, part):
    data, _ = read(make_fake("visdrone", tmp_path / "s") / part, "visdrone")
    assert {s: len(r) for s, r in data.splits.items()} == {"val": 1}


def test_single_label_file(tmp_path):
    root = make_fake("visdrone", tmp_path / "s")
    data, log = read(root / "VisDrone2019-DET-val/annotations/v.txt", "visdrone")
    assert boxes(data, "val", "v.jpg") == [("motor", 1, 2, 11, 12)]
    assert drops(log) == []


def test_coco(tmp_path):
    data, log = read(make_fake("coco", tmp_path / "s"), "coco")
    assert data.names == ["plane", "ship"]  # by category id, the ignored category is no class
    assert boxes(data, "train", "a.png") == [("ship", 1.5, 2, 11.5, 22.25)]
    assert ignored(data, "train", "a.png") == [(0, 0, 30, 30), (5, 5, 14, 14), (6, 6, 15, 15), (7, 7, 16, 16)]
    assert boxes(data, "train", "b.png") == [("plane", 1, 1, 6, 6)]
    assert boxes(data, "val", "a.png") == [("plane", 2, 2, 6, 6)]
    assert data.splits["val"][0].width == 20  # not the train picture of the same name
    gone = next(r for r in data.splits["train"] if r.name == "gone.png")
    assert gone.path is None
    found = [(where, kind) for _, where, kind in drops(log)]
    assert found == [
        ("image 1", "duplicate image id"),
        ("images", "malformed image entry"),
        ("annotation 15", "unknown class"),
        ("annotation 16", "unknown image"),
        ("annotation 17", "malformed bbox"),
        ("annotation 18", "non-finite number"),
        ("annotation number 11", "unknown image"),
        ("annotation number 12", "malformed annotation"),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"images": [\n  oops', "line 2 column 3"),
        ("[1, 2]", "not an object"),
        ('{"images": [], "annotation": [], "categories": []}', "format=hit-uav"),
        ('{"images": [], "annotations": {}, "categories": []}', "no list 'annotations'"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_coco_files_that_cannot_be_parsed(tmp_path, content, says):
    with pytest.raises(DataError, match=says) as e:
        read(text(tmp_path / "x.json", content), "coco")
    assert "\n" not in str(e.value)


def test_voc_with_image_sets(tmp_path):
    data, log = read(make_fake("voc", tmp_path / "s"), "voc")
    assert data.names == ["bus", "car"]
    assert boxes(data, "train", "one.jpg") == [("car", 10, 5, 30, 20), ("bus", 1, 1, 9, 9)]
    assert boxes(data, "train", "three.jpg") == [("car", 2, 2, 6, 6)]
    assert boxes(data, "val", "two.jpg") == []
    assert ignored(data, "train", "one.jpg") == [(40, 30, 64, 48)]
    assert log["train"].counts["difficult"] == 1
    assert drops(log) == [
        ("JPEGImages/unlisted.jpg", "", "image in no list"),
        ("Annotations/one.xml", "object 3", "malformed object"),
        ("Annotations/one.xml", "object 4", "malformed object"),
    ]


def test_difficult_can_be_ignored(tmp_path):
    data, _ = read(make_fake("voc", tmp_path / "s"), "voc", difficult="ignore")
    assert boxes(data, "train", "one.jpg") == [("car", 10, 5, 30, 20)]
    assert ignored(data, "train", "one.jpg") == [(1, 1, 9, 9), (40, 30, 64, 48)]


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><annotation>&y;</annotation>'
FILE_ENTITY = (
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><object><name>&x;</name></object></annotation>'
)


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        (BOMB, "DOCTYPE"),
        (FILE_ENTITY, "DOCTYPE"),
        ("<annotation>\n <object></annotation>", "line 2 column 12"),
        ("", "no element found"),
        (b"\x00\xff\xfe", "line 1"),
    ],
)
def test_voc_xml_that_is_refused(tmp_path, xml, says):
    picture(tmp_path / "i.jpg")
    with pytest.raises(DataError, match=says) as e:
        read(text(tmp_path / "i.xml", xml).parent, "voc")
    assert "i.xml" in str(e.value)


def test_dota(tmp_path):
    data, log = read(make_fake("dota", tmp_path / "s"), "dota", names=["ship", "plane", "large-vehicle"])
    assert boxes(data, "train", "Ptrain.png") == [
        ("ship", 10, 10, 30, 30),
        ("plane", 50, 40, 64, 48),
        ("large-vehicle", 5, 5, 9, 9),  # spelt with a space in the file
    ]
    ship = data.splits["train"][0].objects[0]
    assert ship.difficult
    assert ship.polygons_px[0] == (20, 10, 30, 20, 20, 30, 10, 20)
    assert "test" not in data.splits
    assert [(w, k) for f, w, k in drops(log) if f.endswith("Ptrain.txt")] == [
        ("3", "class left out"),
        ("6", "box outside the image"),
        ("7", "malformed line"),
    ]


def test_dota_classes_come_in_the_official_order(tmp_path):
    picture(tmp_path / "images/a.png")
    text(tmp_path / "labelTxt/a.txt", "1 1 5 1 5 5 1 5 ship 0\n1 1 6 1 6 6 1 6 plane 0\n")
    names = read(tmp_path, "dota")[0].names
    assert names[:2] == ["plane", "ship"]
    assert len(names) == 15
    text(tmp_path / "labelTxt/a.txt", "1 1 5 1 5 5 1 5 airport 0\n")
    assert len(read(tmp_path, "dota")[0].names) == 18
    text(tmp_path / "labelTxt/a.txt", "1 1 5 1 5 5 1 5 zebra 0\n1 1 6 1 6 6 1 6 ant 0\n")
    assert read(tmp_path, "dota")[0].names == ["ant", "zebra"]


def test_yolo(tmp_path):
    data, log = read(make_fake("yolo", tmp_path / "s"), "yolo")
    assert data.names == ["car", "truck"]
    assert boxes(data, "train", "train.png") == [("car", 30, 10, 50, 30), ("truck", 8, 4, 24, 16)]
    assert ignored(data, "train", "train.png") == [(0, 0, 40, 40)]
    assert boxes(data, "val", "valid.png") == [("car", 0, 0, 80, 40)]
    train = "labels/train/train.txt"
    assert drops(log) == [
        (train, "3", "malformed line"),
        (train, "4", "unknown class"),
        (train, "5", "unknown class"),
        (train, "6", "box outside the image"),
        ("ignore/train/train.txt", "2", "malformed line"),
    ]


@pytest.mark.parametrize(
    ("names_file", "content"),
    [("classes.txt", "car\ntruck\n"), ("aerial.names", "car\ntruck"), ("d.yml", "names: [car, truck]")],
)
def test_yolo_side_by_side_with_names(tmp_path, names_file, content):
    picture(tmp_path / "x.jpg")
    text(tmp_path / "x.txt", "1 0.5 0.5 0.5 0.5\n")
    text(tmp_path / names_file, content)
    data, log = read(tmp_path, "yolo")
    assert boxes(data, "train", "x.jpg") == [("truck", 16, 12, 48, 36)]
    assert drops(log) == []


def test_yolo_without_names_asks_for_them(tmp_path):
    picture(tmp_path / "x.jpg")
    text(tmp_path / "x.txt", "1 0.5 0.5 0.5 0.5\n")
    with pytest.raises(DataError, match="names="):
        read(tmp_path, "yolo")
    assert boxes(read(tmp_path, "yolo", names=["a", "b"])[0], "train", "x.jpg")[0][0] == "b"


def test_yolo_class_for_ignored_regions(tmp_path):
    picture(tmp_path / "x.jpg")
    text(tmp_path / "x.txt", "0 0.5 0.5 0.5 0.5\n1 0.25 0.25 0.5 0.5\n")
    text(tmp_path / "classes.txt", "DontCare\ncar\n")
    data, _ = read(tmp_path, "yolo")
    assert data.names == ["car"]
    assert ignored(data, "train", "x.jpg") == [(16, 12, 48, 36)]
    assert read(tmp_path, "yolo", names=["DontCare", "car"])[0].names == ["DontCare", "car"]


def test_yolo_splits_from_lists(tmp_path):
    for name in "abc":
        picture(tmp_path / f"data/{name}.jpg")
        text(tmp_path / f"data/{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / "train.txt", "./data/a.jpg\ndata/nope.jpg\n")
    text(tmp_path / "val.txt", "data/b.jpg\ndata/a.jpg\n")
    data, log = read(tmp_path, "yolo", names=["x"])
    assert {s: [r.name for r in rs] for s, rs in data.splits.items()} == {"train": ["a.jpg"], "val": ["b.jpg"]}
    assert drops(log) == [
        ("train.txt", "2", "listed image not found"),
        ("val.txt", "2", "listed twice"),
        ("data/c.jpg", "", "image in no list"),
    ]


def test_hit_uav(tmp_path):
    root = make_fake("hit_uav", tmp_path / "s")
    data, log = read(root, "hit-uav")
    assert data.names == ["Person", "Car", "Bicycle", "OtherVehicle"]
    assert boxes(data, "val", "n.jpg") == [("Car", 10, 10, 30, 20)]
    assert ignored(data, "train", "n.jpg") == [(40, 30, 50, 40)]
    assert drops(log) == []
    turned, _ = read(root, "hit-uav", task="obb")
    assert boxes(turned, "train", "n.jpg")[0][1:] == pytest.approx((15, 10, 25, 30))
    assert turned.splits["train"][0].objects[0].polygons_px[0] == pytest.approx((25, 10, 25, 30, 15, 30, 15, 10))


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf1,2,10,10,1,4,0,0\r\n",
        "1,2,10,10,1,4,0,0\n".encode("utf-16"),
        b"1,2,10,10,1,4,0,0\r\xff\xfe\x00,,\r",
        b" 1, 2, 10, 10, 1, 4, 0, 0 ",
    ],
)
def test_encodings_and_line_ends(tmp_path, content):
    picture(tmp_path / "images/a.jpg")
    text(tmp_path / "annotations/a.txt", content)
    assert boxes(read(tmp_path, "visdrone")[0], "train", "a.jpg") == [("car", 1, 2, 11, 12)]


def test_same_name_in_two_folders_is_told_apart(tmp_path):
    for folder, row in (("cam1", "1,1,5,5,1,1,0,0"), ("cam2", "2,2,5,5,1,1,0,0"), ("cam2/more", "3,3,5,5,1,1,0,0")):
        picture(tmp_path / folder / "images/0001.jpg")
        text(tmp_path / folder / "annotations/0001.txt", row)
    data, log = read(tmp_path, "visdrone")
    assert [r.name for r in data.splits["train"]] == ["0001.jpg", "images__0001.jpg"]
    assert boxes(data, "train", "0001.jpg")[0][1] == 1
    assert boxes(data, "train", "images__0001.jpg")[0][1] == 2
    assert [kind for _, _, kind in drops(log)] == ["duplicate image name"]


def test_two_images_for_one_label(tmp_path):
    picture(tmp_path / "images/a.jpg")
    picture(tmp_path / "images/a.png", (10, 10))
    text(tmp_path / "annotations/a.txt", "1,1,5,5,1,1,0,0")
    data, log = read(tmp_path, "visdrone")
    assert [r.name for r in data.splits["train"]] == ["a.jpg"]
    assert drops(log) == [("images/a.png", "", "duplicate image name")]


@pytest.mark.parametrize(
    ("mode", "suffix", "note"),
    [("I;16", ".png", "more than 8 bits"), ("I;16", ".tif", "more than 8 bits"), ("L", ".png", "1 channel(s)"),
     ("RGBA", ".png", "4 channel(s)"), ("RGB", ".bmp", None), ("RGB", ".webp", None)],
)  # fmt: skip
def test_unusual_pixels_are_kept_and_noted(tmp_path, mode, suffix, note):
    picture(tmp_path / f"a{suffix}", (30, 20), mode)
    data, log = read(tmp_path, "yolo", names=["x"])
    assert (data.splits["train"][0].width, data.splits["train"][0].height) == (30, 20)
    reasons = [n.reason for n in log["train"].notes]
    assert any(r.startswith(note) for r in reasons) if note else reasons == []


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".webp"])
def test_truncated_images_are_dropped(tmp_path, suffix):
    path = picture(tmp_path / f"a{suffix}", (64, 48))
    picture(tmp_path / "ok.png")
    Image.effect_noise((64, 48), 50).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:-40])
    data, log = read(tmp_path, "yolo", names=["x"])
    assert [r.name for r in data.splits["train"]] == ["ok.png"]
    assert drops(log) == [(f"a{suffix}", "", "unreadable image")]


def test_sizes_are_those_of_the_turned_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 20)).save(tmp_path / "a.jpg", exif=exif)
    record = read(tmp_path, "yolo", names=["x"])[0].splits["train"][0]
    assert (record.width, record.height) == (20, 60)


def test_jpeg_with_bytes_after_its_end_is_whole(tmp_path):
    path = picture(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes() + b"trailer of a camera")
    assert len(read(tmp_path, "yolo", names=["x"])[0].splits["train"]) == 1


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, {"train": 2, "val": 1}), ("val", {"val": 1})],
)
def test_split_selects_where_the_source_has_several(tmp_path, asked, expected):
    data, _ = read(make_fake("visdrone", tmp_path / "s"), "visdrone", split=asked)
    assert {s: len(r) for s, r in data.splits.items()} == expected


def test_split_names_a_source_without_splits(tmp_path):
    picture(tmp_path / "a.jpg")
    assert list(read(tmp_path, "yolo", names=["x"], split="test")[0].splits) == ["test"]


def test_split_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"it has .*train, val"):
        read(make_fake("visdrone", tmp_path / "s"), "visdrone", split="tset")


def test_names_choose_and_order_the_classes(tmp_path):
    data, log = read(make_fake("visdrone", tmp_path / "s"), "visdrone", names=["motor", "car"])
    assert boxes(data, "val", "v.jpg")[0][0] == "motor"
    assert data.splits["val"][0].objects[0].cls == 0
    assert any("'bus' is not among the names" in d.reason for d in log["train"].dropped)


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    root = make_fake("yolo", tmp_path / "s")
    (tmp_path / "linked").mkdir()
    for name in ("images", "labels", "data.yaml"):
        (tmp_path / "linked" / name).symlink_to(root / name)
    (tmp_path / "linked/images/loop").symlink_to(tmp_path / "linked")
    data, _ = read(tmp_path / "linked", "yolo")
    assert len(data.splits["train"]) == 1


def test_file_names_that_are_no_text(tmp_path):
    try:
        picture(tmp_path / "a.jpg").rename(tmp_path / os.fsdecode(b"\xff.jpg"))
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    (tmp_path / "b.jpg").touch()
    data, log = read(tmp_path, "yolo", names=["x"])
    assert len(data.splits["train"]) == 1
    json.dumps(drops(log)).encode()


@pytest.mark.parametrize("format", IMPORTERS)
def test_missing_source(tmp_path, format):
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "nowhere", format)


def test_unknown_format(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'visdrone'"):
        read(tmp_path, "visdron")


def test_labelme_shapes(tmp_path):
    ship = [[2, 2], [20, 2], [20, 12]]
    shapes = [
        {"label": "ship", "shape_type": "polygon", "points": ship, "group_id": None},
        {"label": "car", "shape_type": "rectangle", "points": [[30, 20], [10, 5]]},
        {"label": "pond", "shape_type": "circle", "points": [[40, 30], [40, 36]]},
        {"label": "car", "shape_type": "rotation", "points": [[50, 30], [54, 34], [50, 38], [46, 34]]},
        {"label": "dock", "points": [[0, 0], [4, 0], [4, 4]], "group_id": 1},
        {"label": "dock", "points": [[8, 0], [12, 0], [12, 6]], "group_id": 1},
        {"label": "car", "shape_type": "point", "points": [[5, 5]]},
        {"label": "car", "shape_type": "polygon", "points": [[5, 5], [6, 6]]},
        {"label": "car", "shape_type": "rectangle", "points": "none"},
    ]
    picture(tmp_path / "a.png")
    text(tmp_path / "a.json", json.dumps({"shapes": shapes, "imagePath": "a.png", "imageWidth": 64, "imageHeight": 48}))
    data, log = read_dataset(tmp_path, "labelme")
    assert set(boxes(data, "train", "a.png")) == {
        ("car", 10, 5, 30, 20), ("ship", 2, 2, 20, 12), ("pond", 34, 24, 46, 36), ("car", 46, 30, 54, 38),
        ("dock", 0, 0, 12, 6),
    }  # fmt: skip
    rings = {data.names[o.cls]: o.polygons_px for o in data.splits["train"][0].objects}
    assert rings["ship"] == ((2, 2, 20, 2, 20, 12),)
    assert len(rings["dock"]) == 2
    assert sorted(kind for _, _, kind in drops(log)) == ["malformed shape", "malformed shape", "shape without area"]


def test_another_tools_json_beside_a_picture_makes_it_no_background(tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    text(tmp_path / "a.json", json.dumps({"shapes": [{"label": "car", "points": [[1, 1], [9, 1], [9, 9]]}]}))
    text(tmp_path / "b.json", json.dumps({"objects": []}))
    data, log = read_dataset(tmp_path, "labelme")
    assert [r.name for r in data.splits["train"]] == ["a.png"]
    assert [kind for _, _, kind in drops(log)] == ["malformed label file"]


def test_files_of_tools_are_told_from_formats(tmp_path):
    picture(tmp_path / "a.png")
    text(tmp_path / "annotations.xml", "<annotations><image name='a.png' width='64' height='48'/></annotations>")
    with pytest.raises(DataError, match="CVAT's own; export the task"):
        read_dataset(tmp_path, "voc")
    with pytest.raises(ConfigError, match="cvat exports coco, voc and yolo"):
        convert(tmp_path, "cvat", tmp_path / "out")
