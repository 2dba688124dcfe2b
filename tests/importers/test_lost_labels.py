"""A source, a split or a class of which next to nothing is left is an error, and nothing is written."""

from __future__ import annotations

import json

import pytest
from fakes import contents, picture, text

from rsdet.cli import run as cli
from rsdet.data.convert import convert
from rsdet.errors import DataError

GOOD, BAD = "0 0.5 0.5 0.2 0.2\n", "0 0.5 0.5 0.2\n"
YAML = "names: [car, bus]\n"


def source(root, **labels):
    """A YOLO folder; ``train_a="…"`` is the label of ``images/train/a.png``, None leaves it out."""
    text(root / "data.yaml", YAML)
    for key, content in labels.items():
        split, name = key.split("_")
        picture(root / f"images/{split}/{name}.png")
        if content is not None:
            text(root / f"labels/{split}/{name}.txt", content)
    return root


def run(root, out, **options):
    return convert(root, "yolo", out, progress=False, **options)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"train_a": BAD}, r"read as format=yolo: 0 of 1 boxes can be used \(1 x malformed line; the first, labels/"),
        ({"train_a": GOOD + BAD * 10}, r"read as format=yolo: 1 of 11 boxes .*10 x malformed line"),
        ({"train_a": BAD * 2 + "7 0.5 0.5 0.2 0.2\n" * 3 + "0 7 7 8 8\n"},
         r"0 of 6 boxes .*\(3 x unknown class, 2 x malformed line, 1 x not fractions of the image; the first, "
         r"labels/train/a.txt:3: '7', expected 0 to 1\)"),
        ({"train_a": GOOD * 1, "val_b": BAD}, r"split val of .*: 0 of 1 boxes .*1 x malformed line"),
        ({"train_a": GOOD + "1 0.5 0.5 0 0.2\n"}, r"class 'bus' of .*: 0 of 1 boxes .*zero-area box"),
        ({"train_a": GOOD + "1 0.5 0.5 0.1 0.1\n" + "1 5 0.5 0.1 0.1\n1 1.8 0.5 0.1 0.1\n" + "1 0.5 0.5 0 0\n" * 10},
         r"class 'bus' of .*: 1 of 12 boxes .*10 x zero-area box, 1 x box outside the image"),
        ({"train_a": None}, r"no box for any of 1 images, 0 label files"),
        ({"train_a": ""}, r"no box for any of 1 images, 1 label files"),
    ],
)  # fmt: skip
def test_too_little_is_left(tmp_path, labels, says):
    root = source(tmp_path / "s", **labels)
    with pytest.raises(DataError, match=says) as e:
        run(root, tmp_path / "out")
    assert "\n" not in str(e.value)
    assert "allow_empty=True" in str(e.value)
    assert not (tmp_path / "out").exists()
    report = run(root, tmp_path / "out", allow_empty=True)
    assert report.complete
    assert report.counts["train"]["images"] == 1


@pytest.mark.parametrize(
    "labels",
    [
        {"train_a": GOOD + BAD * 9},  # a tenth
        {"train_a": GOOD, "train_b": None},  # background among others
        {"train_a": GOOD, "val_b": ""},  # a split of background that says so
        {"train_a": GOOD + GOOD * 30},  # one box many times is one box
        {"train_a": GOOD + "0 0.4 0.5 0.2 0.2\n" + "1 0.5 0.5 0.2 0.2\n"},
    ],
)
def test_enough_is_left(tmp_path, labels):
    report = run(source(tmp_path / "s", **labels), tmp_path / "out")
    assert report.counts["train"]["boxes"] >= 1


def test_what_was_there_stays_when_the_new_source_is_refused(tmp_path):
    root = source(tmp_path / "s", train_a=GOOD)
    run(root, tmp_path / "out")
    before = contents(tmp_path / "out")
    text(root / "labels/train/a.txt", BAD)
    with pytest.raises(DataError, match="0 of 1 boxes"):
        run(root, tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_classes_may_be_left_out_but_not_all(tmp_path):
    rows = "0 0.5 0.5 0.1 0.1\n" + "".join(f"1 0.{i} 0.5 0.1 0.1\n" for i in range(1, 9)) * 1
    root = source(tmp_path / "s", train_a=rows + "".join(f"1 0.{i} 0.7 0.1 0.1\n" for i in range(1, 9)))
    assert run(root, tmp_path / "out", names=["car"]).counts["train"]["boxes"] == 1
    with pytest.raises(
        DataError, match=r"0 of 17 boxes .*17 x class left out; .*'car' is not among the names asked for"
    ):
        run(root, tmp_path / "other", names=["cat"])


def test_an_object_without_a_class_is_lost_not_left_out(tmp_path):
    picture(tmp_path / "s/a.png")
    edges = "<xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax>"
    rows = (
        f"<object><bndbox>{edges}</bndbox></object>" * 10 + f"<object><name>x</name><bndbox>{edges}</bndbox></object>"
    )
    text(tmp_path / "s/a.xml", f"<annotation>{rows}</annotation>")
    with pytest.raises(DataError, match=r"1 of 11 boxes .*10 x unknown class"):
        convert(tmp_path / "s", "voc", tmp_path / "out", names=["x"], progress=False)


def test_a_split_whose_pictures_are_all_unusable_does_not_vanish(tmp_path):
    root = source(tmp_path / "s", train_a=GOOD, val_b=GOOD)
    (root / "images/val/b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"split val of .*1 x unreadable image; the first, images/val/b.png"):
        run(root, tmp_path / "out")


def test_labels_without_their_pictures(tmp_path):
    root = source(tmp_path / "s", train_a=GOOD)
    for i in range(12):
        text(root / f"labels/train/other{i}.txt", GOOD)
    with pytest.raises(DataError, match=r"1 of 13 labelled or listed images are there \(12 x label without image"):
        run(root, tmp_path / "out")
    assert run(root, tmp_path / "out", allow_empty=True).counts["train"]["boxes"] == 1


def test_a_split_without_its_pictures_does_not_vanish(tmp_path):
    root = source(tmp_path / "s", train_a=GOOD, val_b=GOOD)
    (root / "images/val/b.png").unlink()
    with pytest.raises(DataError, match=r"split val of .*: 0 of 1 labelled or listed images are there"):
        run(root, tmp_path / "out")
    assert run(root, tmp_path / "out", split="train").counts["train"]["boxes"] == 1


def test_a_list_that_names_nothing_does_not_lose_its_split(tmp_path):
    root = source(tmp_path / "s", x_a=GOOD, x_b=GOOD)
    text(root / "train.txt", "images/x/a.png\n")
    text(root / "val.txt", "pictures/c.png\npictures/d.png\n")
    with pytest.raises(
        DataError, match=r"split val of .*: 0 of 2 .* are there \(2 x listed image not found; .*val.txt:1"
    ):
        run(root, tmp_path / "out")


def test_only_the_split_that_was_asked_for_is_judged(tmp_path):
    root = source(tmp_path / "s", train_a=BAD, val_b=GOOD)
    for i in range(20):
        text(root / f"labels/train/gone{i}.txt", GOOD)
    assert run(root, tmp_path / "out", split="val").counts == {
        "val": run(root, tmp_path / "out", split="val").counts["val"]
    }
    with pytest.raises(DataError, match="0 of 1 boxes"):
        run(root, tmp_path / "out", split="train")


def test_pictures_without_labels_are_no_data_set(tmp_path):
    root = source(tmp_path / "s", train_a=None, train_b=None)
    (root / "images/train/b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="no box for any of 1 images, 0 label files"):
        run(root, tmp_path / "out")


def test_coco_images_that_are_not_there(tmp_path):
    picture(tmp_path / "s/images/a.png")
    document = {
        "images": [{"id": i, "file_name": f"{n}.png", "width": 64, "height": 48} for i, n in enumerate("abc")],
        "annotations": [{"id": i, "image_id": min(i, 2), "category_id": 1, "bbox": [i, i, 9, 9]} for i in range(15)],
        "categories": [{"id": 1, "name": "car"}],
    }
    text(tmp_path / "s/a.json", json.dumps(document))
    with pytest.raises(DataError, match=r"1 of 15 boxes can be used \(14 x label without image"):
        convert(tmp_path / "s", "coco", tmp_path / "out", progress=False)
    report = convert(
        tmp_path / "s", "coco", tmp_path / "out", to="coco", progress=False
    )  # labels alone are of use there
    assert report.counts["train"]["boxes"] == 15


def test_regions_to_ignore_are_no_lost_boxes(tmp_path):
    picture(tmp_path / "s/images/a.png")
    text(tmp_path / "s/annotations/a.txt", "0,0,16,12,0,0,0,0\n" * 3)
    report = convert(tmp_path / "s", "visdrone", tmp_path / "out", progress=False)
    assert report.counts["train"]["ignored"] == 1


def test_on_the_command_line(tmp_path, capsys):
    root = source(tmp_path / "s", train_a=BAD)
    words = ["convert", f"source={root}", "format=yolo", f"out={tmp_path / 'out'}"]
    assert cli(words) == 2
    assert "0 of 1 boxes can be used (1 x malformed line" in capsys.readouterr().err
    assert cli([*words, "allow_empty=True"]) == 0
    assert "1 x malformed line" in capsys.readouterr().out
