"""COCO JSON as other tools write it: ids and numbers in quotes, polygons and masks in place of boxes, fractions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import boxes, drops, ignored, picture, text

from rsdet.data.convert import convert
from rsdet.data.importers import ImportOptions, read_dataset
from rsdet.data.importers._json import identity
from rsdet.errors import DataError
from rsdet.geometry import corner_distance, xywhr_to_corners

SQUARE = [5, 5, 15, 5, 15, 15, 5, 15]


def source(root, annotations, size=(64, 48), category=1, image=1, name="coco"):
    picture(root / "images/a.png", size)
    document = {
        "images": [{"id": image, "file_name": "a.png", "width": size[0], "height": size[1]}],
        "annotations": [{"id": i, "image_id": 1, "category_id": 1, **a} for i, a in enumerate(annotations, 1)],
        "categories": [{"id": category, "name": "car"}],
    }
    text(root / "a.json", json.dumps(document))
    return root


@pytest.mark.parametrize("image", [1, 1.0, "1", "1.0", " 1 "])
@pytest.mark.parametrize("category", [1, 1.0, "1"])
@pytest.mark.parametrize("said", [1, 1.0, "1"])
def test_ids_are_numbers_whoever_wrote_them(tmp_path, image, category, said):
    source(tmp_path, [{"bbox": [5, 5, 10, 10], "image_id": said, "category_id": said}], image=image, category=category)
    data, log = read_dataset(tmp_path, "coco")
    assert boxes(data, "train", "a.png") == [("car", 5, 5, 15, 15)]
    assert drops(log) == []


@pytest.mark.parametrize(
    ("value", "same_as"),
    [("0123", "0123"), ("a", "a"), (" a ", "a"), (1.5, 1.5), ("1.5", "1.5"), (True, None), (None, None), ([], None),
     (float("nan"), None), (float("inf"), None), ("-3", -3), ("0", 0), ("9" * 40, "9" * 40), (1e300, int(1e300))],
)  # fmt: skip
def test_ids(value, same_as):
    assert identity(value) == same_as
    assert type(identity(value)) is type(same_as)


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"bbox": None},
        {"bbox": []},
        {"bbox": [0, 0, 0, 0]},
        {"bbox": [5, 5]},
        {"bbox": ["5", "5", "10", "10"]},
        {"bbox": [5, 5, 10, 10], "segmentation": []},
        {"segmentation": SQUARE},
        {"segmentation": [["5", "5", "15", "5", "15", "15", "5", "15"]]},
        {"segmentation": [[5, 5, 9, 5, 9, 9], [11, 11, 15, 11, 15, 15]]},
    ],
)
def test_the_box_of_an_object_without_a_usable_one_is_that_of_its_polygon(tmp_path, place):
    source(tmp_path, [{"segmentation": [SQUARE], **place}])
    data, log = read_dataset(tmp_path, "coco")
    assert boxes(data, "train", "a.png") == [("car", 5, 5, 15, 15)]
    assert drops(log) == []


def test_a_box_is_believed_before_the_polygon_and_both_are_kept(tmp_path):
    source(tmp_path, [{"bbox": [4, 5, 12, 11], "segmentation": [SQUARE]}])
    (item,) = read_dataset(tmp_path, "coco")[0].splits["train"][0].objects
    assert item.xyxy_px == (4, 5, 16, 16)
    assert item.polygons_px == (tuple(SQUARE),)


def test_objects_in_several_pieces_come_back_as_such(tmp_path):
    pieces = [[5, 5, 9, 5, 9, 9], [11, 11, 15, 11, 15, 15]]
    source(tmp_path / "s", [{"segmentation": pieces}])
    convert(tmp_path / "s", "coco", tmp_path / "out", to="coco", progress=False)
    (written,) = json.loads((tmp_path / "out/annotations/train.json").read_text())["annotations"]
    assert written["segmentation"] == pieces
    assert written["bbox"] == [5, 5, 10, 10]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("crowd", [0, "1"])
def test_boxes_of_masks(tmp_path, packed, crowd):
    from pycocotools import mask as tools

    pixels = np.zeros((48, 64), np.uint8)
    pixels[5:15, 7:20] = 1
    pixels[30, 40] = 1
    flat = pixels.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges.tolist(), flat.size]).tolist()
    counts = tools.encode(np.asfortranarray(pixels))["counts"].decode() if packed else runs
    source(tmp_path, [{"segmentation": {"size": [48, 64], "counts": counts}, "iscrowd": crowd}])
    data, log = read_dataset(tmp_path, "coco")
    assert drops(log) == []
    if crowd:
        assert ignored(data, "train", "a.png") == [(7, 5, 41, 31)]
    else:
        assert boxes(data, "train", "a.png") == [("car", 7, 5, 41, 31)]


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [48, 64], "counts": "ppp"},
        {"size": [48, 64], "counts": "é"},
        {"size": [48, 64], "counts": ""},
        {"size": [48, 64], "counts": [-1, 5]},
        {"size": [48, 64], "counts": [10**30]},
        {"size": [48, 64], "counts": [0, 48 * 64 + 1]},
        {"size": [48, 64], "counts": ["x"]},
        {"size": [0, 64], "counts": [1]},
        {"size": [48], "counts": [1]},
        {"size": [10**12, 10**12], "counts": [1]},
        {"counts": [1]},
    ],
)
def test_masks_that_are_none(tmp_path, mask):
    source(tmp_path, [{"segmentation": mask}, {"bbox": [1, 2, 3, 4]}])
    data, log = read_dataset(tmp_path, "coco")
    assert boxes(data, "train", "a.png") == [("car", 1, 2, 4, 6)]
    assert drops(log) == [("a.json", "annotation 1", "malformed bbox")]


def test_boxes_as_fractions_are_recognised_and_said(tmp_path):
    ring = [0.5, 0.5, 0.75, 0.5, 0.75, 1.0]
    rows = [{"bbox": [0.125, 0.25, 0.25, 0.5]}, {"segmentation": [ring]}, {"bbox": [0, 0, 1, 1], "iscrowd": 1}]
    source(tmp_path, rows)
    data, log = read_dataset(tmp_path, "coco")
    assert boxes(data, "train", "a.png") == [("car", 8, 12, 24, 36), ("car", 32, 24, 48, 48)]
    assert data.splits["train"][0].objects[1].polygons_px[0] == (32, 24, 48, 24, 48, 48)
    assert ignored(data, "train", "a.png") == [(0, 0, 64, 48)]
    assert [n.reason for n in log["train"].notes] == ["boxes are fractions of the picture: multiplied by its size"]


def test_one_box_beyond_the_first_pixel_makes_them_pixels(tmp_path):
    source(tmp_path, [{"bbox": [0.125, 0.25, 0.25, 0.5]}, {"bbox": [0, 0, 1.5, 1.25]}])
    data, _ = read_dataset(tmp_path, "coco")
    assert boxes(data, "train", "a.png")[0] == ("car", 0.125, 0.25, 0.375, 0.75)


@pytest.mark.parametrize("format", ["voc", "dota", "visdrone"])
def test_fractions_in_formats_of_pixels_are_refused(tmp_path, format):
    picture(tmp_path / "images/a.png")
    edges = "<xmin>0.1</xmin><ymin>0.2</ymin><xmax>0.5</xmax><ymax>0.5</ymax>"
    content = {
        "voc": f"<annotation><object><name>car</name><bndbox>{edges}</bndbox></object></annotation>",
        "dota": "0.1 0.2 0.5 0.2 0.5 0.5 0.1 0.5 ship 0",
        "visdrone": "0.1,0.2,0.4,0.3,1,4,0,0",
    }[format]
    text(tmp_path / ("annotations/a.xml" if format == "voc" else "annotations/a.txt"), content)
    with pytest.raises(DataError, match=r"within one pixel of the corner; fractions"):
        convert(tmp_path, format, tmp_path.with_name("out-of-fractions"), progress=False)


def test_labels_of_oriented_boxes_are_kept_as_they_were_read(tmp_path):
    picture(tmp_path / "rotate_json/train/a.png")
    document = {
        "images": [{"id": "1", "filename": "a.png", "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 1.0, "category_id": "0", "bbox": ["30", 20, 16, 6, 0.4]}],
        "categories": [{"id": 0, "name": "car"}],
    }
    text(tmp_path / "rotate_json/annotations/train.json", json.dumps(document))
    data, _ = read_dataset(tmp_path, "hit-uav", ImportOptions(task="obb"))
    (item,) = data.splits["train"][0].objects
    (corners,) = item.polygons_px
    assert corner_distance([np.reshape(corners, (4, 2))], xywhr_to_corners([[30, 20, 16, 6, 0.4]])) < 1e-9
