"""val save_json=True: every picture has an id of its own that leads back to its file."""

from __future__ import annotations

import json
import shutil

import pytest

from rsdet import RSDet
from rsdet.tasks.detect.outputs import coco_of_split, image_ids, names_below


@pytest.mark.parametrize(
    ("names", "want"),
    [
        (["7.jpg", "000012.png"], [7, 12]),  # as Ultralytics and COCO have them
        (["a.jpg", "12.png"], ["a", 12]),
        (["0123.jpg", "123.jpg"], ["0123.jpg", "123.jpg"]),
        (["x/1.jpg", "y/1.jpg", "y/2.jpg"], ["x/1.jpg", "y/1.jpg", "y/2.jpg"]),
        (["1.jpg", "1.png"], ["1.jpg", "1.png"]),
        (["²3.jpg"], ["²3"]),  # a digit that int() does not read
    ],
)
def test_ids_are_unique_and_those_of_ultralytics_where_these_are(names, want):
    assert image_ids(names) == want


def test_a_coco_file_of_the_set_wins_where_it_names_every_image():
    coco = {"0123.jpg": 5, "sub/123.jpg": 9}
    assert image_ids(["0123.jpg", "123.jpg"], coco) == [5, 9]
    assert image_ids(["0123.jpg", "other.jpg"], coco) == [123, "other"]
    twice = {"x/1.jpg": 5, "y/1.jpg": 9}
    assert image_ids(["1.jpg"], twice) == [1]  # whose it is cannot be told
    assert image_ids(["x/1.jpg", "y/1.jpg"], twice) == [5, 9]


@pytest.mark.parametrize(("file", "found"), [("val.json", 1), ("instances_val2017.json", 1), ("retrieval.json", 0)])
def test_only_the_coco_file_of_the_split_is_read(tmp_path, file, found):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / file).write_text(json.dumps({"images": [{"file_name": "a.jpg", "id": 1}]}))
    assert len(coco_of_split(tmp_path, "val")[0]) == found


@pytest.mark.parametrize(
    "text",
    ["[", "[]", '{"images": 3}', '{"images": [{}]}', '{"images": [{"file_name": "a", "id": [1]}]}', "[" * 100_000],
)
def test_another_json_of_that_name_is_no_coco_file(tmp_path, text):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "val.json").write_text(text)
    assert coco_of_split(tmp_path, "val") == ({}, {})


def test_val_writes_rows_that_lead_back_to_their_pictures(tiny_data, tiny_weights, tmp_path):
    home = tmp_path / "set"
    shutil.copytree(tiny_data.parent, home)
    names = ["0123", "123", "a", "b"]
    for image, name in zip(sorted((home / "images" / "val").iterdir()), names, strict=True):
        label = home / "labels" / "val" / f"{image.stem}.txt"
        image.rename(image.with_stem(name))
        label.rename(label.with_stem(name))
    for cache in home.rglob("*cache"):
        cache.unlink()
    data = home / tiny_data.name
    data.write_text("\n".join(x for x in data.read_text().split("\n") if not x.startswith("path:")))

    def rows():
        model.val(
            data=data, imgsz=96, workers=0, plots=False, save_json=True, conf=1e-4, project=tmp_path, exist_ok=True
        )
        return json.loads((tmp_path / "val" / "predictions.json").read_text())

    model = RSDet(tiny_weights)
    assert {(r["image_id"], r["file_name"].split(".")[0]) for r in rows()} == {
        (r, r.split(".")[0]) for r in names_below([p for p in (home / "images" / "val").iterdir()])
    }
    (home / "annotations").mkdir()
    images = [{"file_name": p.name, "id": 70 + i} for i, p in enumerate(sorted((home / "images" / "val").iterdir()))]
    classes = [{"id": 11 + i, "name": n} for i, n in model.names.items()]
    (home / "annotations" / "val.json").write_text(json.dumps({"images": images, "categories": classes}))
    found = rows()
    assert {r["image_id"] for r in found} == {70, 71, 72, 73}
    assert min(r["category_id"] for r in found) >= 11
