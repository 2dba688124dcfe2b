"""``convert``: what lies in the folder afterwards, that it can be repeated, and that originals stay as they are."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time

import pytest
import yaml
from fakes import contents, fingerprint, make_fake, picture, put_in_place, text

from rsdet.data.annotations import Annotation, Dataset, ImageRecord
from rsdet.data.convert import class_names, convert, write_coco
from rsdet.data.exporters import folder
from rsdet.data.report import ConvertReport
from rsdet.errors import ConfigError, DataError, WriteError


def run(source, format, out, **options):
    return convert(source, format, out, progress=False, **options)


@pytest.fixture
def visdrone(tmp_path):
    return make_fake("visdrone", tmp_path / "visdrone")


def test_layout_labels_and_regions(tmp_path, visdrone):
    out = tmp_path / "out"
    report = run(visdrone, "visdrone", out)
    assert sorted(contents(out)) == [
        "convert-report.json",
        "ignore/train/a.txt",
        "ignore/val/v.txt",
        "images/train/a.jpg",
        "images/train/background.jpg",
        "images/val/v.jpg",
        "labels/train/a.txt",
        "labels/train/background.txt",
        "labels/val/v.txt",
        "out.yaml",
    ]
    labels = (out / "labels/train/a.txt").read_text().splitlines()
    assert labels[0] == "3 0.3125 0.2083333333 0.3125 0.2083333333"
    assert len(labels) == 2  # ignored regions are not among them
    assert (out / "labels/train/background.txt").read_text() == ""
    assert (out / "ignore/train/a.txt").read_text().splitlines()[0] == "0.125 0.125 0.25 0.25"
    assert report.counts["train"] == {
        "images": 2, "boxes": 2, "ignored": 3, "background": 1, "unlabelled": 1, "clipped": 1, "difficult": 0,
        "dropped": 10,
    }  # fmt: skip
    assert report.splits["train"].boxes_by_class["car"] == 1


def test_a_source_with_one_split_is_told_and_the_remedy_named(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / f"own/{name}.jpg")
        text(tmp_path / f"own/{name}.txt", "0 0.5 0.5 0.2 0.2\n")
    said = run(tmp_path / "own", "yolo", tmp_path / "out", names="car").summary()
    assert "train and val are the same images" in said
    assert "val_fraction=" in said
    assert "note:" not in run(tmp_path / "own", "yolo", tmp_path / "out", names="car", val_fraction=0.5).summary()


def test_ultralytics_reads_what_was_written(tmp_path, visdrone):
    from ultralytics.data.utils import img2label_paths, verify_image_label

    out = tmp_path / "out"
    data = yaml.safe_load(run(visdrone, "visdrone", out).data_yaml.read_text())
    assert data["train"] == "images/train"
    assert data["val"] == "images/val"
    assert data["ignore"] == "ignore"
    assert "path" not in data  # then Ultralytics takes the folder of the file: the set can be moved
    assert data["names"][9] == "motor"
    for split, n in (("train", 2), ("val", 1)):
        for image in sorted((out / data[split]).iterdir())[:1]:
            label = img2label_paths([str(image)])[0]
            found = verify_image_label((str(image), label, "", False, 10, 0, 0, False))
            assert found[0] is not None, found[-1]
            assert found[1].shape == (n, 5)
            assert found[-1] == ""


def test_classes_are_called_as_the_user_wrote_them(tmp_path):
    """Also by words that YAML takes for something else: in what is written, and where Ultralytics reads."""
    from ultralytics.data.utils import check_det_dataset

    import rsdet.model  # noqa: F401  (its seam is in place)

    picture(tmp_path / "own/images/train/a.jpg")
    text(tmp_path / "own/labels/train/a.txt", "0 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.2 0.2\n")
    text(tmp_path / "own/data.yaml", "train: images/train\nval: images/train\nnames: [no, yes, 1.50]\n")
    made = run(tmp_path / "own", "yolo", tmp_path / "out").data_yaml
    for path in (tmp_path / "own/data.yaml", made):
        assert check_det_dataset(str(path))["names"] == {0: "no", 1: "yes", 2: "1.50"}


def test_oriented_labels(tmp_path):
    from ultralytics.data.utils import verify_image_label

    out = tmp_path / "out"
    report = run(make_fake("dota", tmp_path / "s"), "dota", out, task="obb")
    rows = [line.split() for line in (out / "labels/train/Ptrain.txt").read_text().splitlines()]
    assert [len(row) for row in rows] == [9] * 4
    assert [float(v) for v in rows[1][1:3]] == pytest.approx([20 / 64, 10 / 48])
    assert all(0 <= float(v) <= 1 for row in rows for v in row[1:])
    assert yaml.safe_load(report.data_yaml.read_text())["task"] == "obb"
    image, label = out / "images/train/Ptrain.png", out / "labels/train/Ptrain.txt"
    assert len(verify_image_label((str(image), str(label), "", False, 15, 0, 0, False))[3]) == 4


def test_twice_is_the_same_as_once(tmp_path, visdrone):
    run(visdrone, "visdrone", tmp_path / "out")
    before = fingerprint(tmp_path / "out")
    run(visdrone, "visdrone", tmp_path / "out")
    after = fingerprint(tmp_path / "out")
    before.pop("convert-report.json")  # marked while it runs; its bytes are compared below
    first = run(visdrone, "visdrone", tmp_path / "elsewhere" / "out")
    after.pop("convert-report.json")
    assert before == after
    assert contents(tmp_path / "out") == contents(first.out)


def test_a_changed_source_is_followed(tmp_path, visdrone):
    out = tmp_path / "out"
    run(visdrone, "visdrone", out)
    train = visdrone / "VisDrone2019-DET-train"
    text(train / "annotations/a.txt", "1,2,10,10,1,1,0,0\n")
    picture(train / "images/new.jpg")
    (train / "images/background.jpg").unlink()
    (out / "labels/train/mine.txt").write_text("of the user")
    report = run(visdrone, "visdrone", out)
    assert report.counts["train"]["boxes"] == 1
    assert sorted(p.name for p in (out / "images/train").iterdir()) == ["a.jpg", "new.jpg"]
    assert sorted(p.name for p in (out / "labels/train").iterdir()) == ["a.txt", "mine.txt", "new.txt"]
    assert not (out / "ignore/train/a.txt").exists()


def test_a_changed_picture_is_copied_again(tmp_path, visdrone):
    out = tmp_path / "out"
    run(visdrone, "visdrone", out)
    picture(visdrone / "VisDrone2019-DET-val/images/v.jpg", (400, 300))
    run(visdrone, "visdrone", out)
    assert contents(visdrone)["VisDrone2019-DET-val/images/v.jpg"] == contents(out)["images/val/v.jpg"]
    assert (out / "labels/val/v.txt").read_text().startswith("9 0.015 ")


@pytest.mark.parametrize("link", ["copy", "symlink", "hardlink"])
def test_originals_are_never_altered(tmp_path, visdrone, link):
    before = fingerprint(visdrone)
    report = run(visdrone, "visdrone", tmp_path / "out", link=link)
    image = tmp_path / "out/images/train/a.jpg"
    assert image.is_symlink() == (link == "symlink")
    assert (image.stat().st_nlink > 1) == (link == "hardlink")
    run(visdrone, "visdrone", tmp_path / "out", link="copy")
    assert not image.is_symlink()
    image.write_bytes(b"a loader repaired me")
    assert fingerprint(visdrone) == before
    assert report.counts["train"]["images"] == 2


def test_an_original_put_in_the_place_of_one_of_the_same_size_and_time_is_copied(tmp_path, visdrone):
    image = run(visdrone, "visdrone", tmp_path / "out").out / "images/train/a.jpg"
    original = visdrone / "VisDrone2019-DET-train/images/a.jpg"
    new = tmp_path / "new.jpg"
    new.write_bytes(b"")
    before = new.stat().st_ctime_ns
    while new.stat().st_ctime_ns == before:  # the clock of the file system may be a coarse one
        time.sleep(0.01)
        new.write_bytes(b"")
    new.write_bytes(original.read_bytes()[:-3] + b"\x01\xff\xd9")
    put_in_place(new, original)
    run(visdrone, "visdrone", tmp_path / "out")
    assert image.read_bytes() == original.read_bytes()


def test_copies_of_read_only_files_can_be_replaced(tmp_path, visdrone):
    for path in visdrone.rglob("*.jpg"):
        path.chmod(stat.S_IRUSR)
    run(visdrone, "visdrone", tmp_path / "out")
    assert os.access(tmp_path / "out/images/train/a.jpg", os.W_OK)


def test_splits_from_several_calls_live_together(tmp_path, visdrone):
    out = tmp_path / "out"
    run(visdrone / "VisDrone2019-DET-train", "visdrone", out)
    report = run(visdrone / "VisDrone2019-DET-val", "visdrone", out, split="test")
    data = yaml.safe_load(report.data_yaml.read_text())
    assert (data["train"], data["val"], data["test"]) == ("images/train", "images/test", "images/test")
    assert "NOTE" in report.data_yaml.read_text()
    assert set(report.counts) == {"train", "test"}
    run(visdrone, "visdrone", out, split="val")
    assert set(ConvertReport.load(out).counts) == {"train", "val", "test"}


def test_classes_of_two_sources_must_agree(tmp_path, visdrone):
    out = tmp_path / "out"
    run(visdrone / "VisDrone2019-DET-train", "visdrone", out)
    with pytest.raises(DataError, match="names="):
        run(visdrone / "VisDrone2019-DET-val", "visdrone", out, names=["car", "motor"])


@pytest.mark.parametrize("where", ["", "inside", "VisDrone2019-DET-val/out"])
def test_the_source_is_no_place_to_write_to(visdrone, where):
    before = fingerprint(visdrone)
    with pytest.raises(DataError, match="never written to"):
        run(visdrone, "visdrone", visdrone / where)
    assert fingerprint(visdrone) == before


def test_the_source_may_not_be_the_result(tmp_path, visdrone):
    run(visdrone, "visdrone", tmp_path / "out")
    with pytest.raises(DataError, match="where the result goes"):
        run(tmp_path / "out/images", "yolo", tmp_path / "out", names=["x"])


def test_a_link_does_not_hide_the_source(tmp_path, visdrone):
    (tmp_path / "alias").symlink_to(visdrone)
    with pytest.raises(DataError, match="never written to"):
        run(visdrone, "visdrone", tmp_path / "alias" / "out")


@pytest.mark.parametrize("place", ["images", "images/train"])
def test_a_result_that_was_replaced_by_a_link_to_the_originals(tmp_path, visdrone, place):
    """To save space; what is stale in the result must not be taken away there."""
    out = tmp_path / "out"
    run(visdrone, "visdrone", out)
    originals = tmp_path / "originals"
    shutil.move(out / place, originals)
    (out / place).symlink_to(originals)
    before = fingerprint(originals)
    with pytest.raises(DataError, match="is a link"):
        run(visdrone, "visdrone", out, split="other")
    assert fingerprint(originals) == before


def test_a_folder_of_unknown_origin_is_left_alone(tmp_path, visdrone):
    picture(tmp_path / "out/images/train/precious.jpg")
    with pytest.raises(DataError, match="did not write"):
        run(visdrone, "visdrone", tmp_path / "out")


def test_an_interrupted_conversion_goes_on(tmp_path, visdrone, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as m:
        m.setattr(folder, "place_image", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(visdrone, "visdrone", out)
    assert ConvertReport.load(out).complete is False
    assert run(visdrone, "visdrone", out).complete
    assert contents(out) == contents(run(visdrone, "visdrone", tmp_path / "fresh" / "out").out)


def test_a_full_disk_is_one_line(tmp_path, visdrone, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rsdet.data.files.shutil.copyfile", full)
    with pytest.raises(WriteError, match="no space is left") as e:
        run(visdrone, "visdrone", tmp_path / "out")
    assert "\n" not in str(e.value)
    assert not list((tmp_path / "out").rglob(".*"))


def test_report_can_be_read_by_people_and_programs(tmp_path, visdrone):
    report = run(visdrone, "visdrone", tmp_path / "out")
    summary = report.summary()
    assert "1 x unreadable image" not in summary  # grouped: there are two
    assert "2 x unreadable image, e.g. VisDrone2019-DET-train/images/cut.jpg" in summary
    assert "2 x malformed line, e.g. VisDrone2019-DET-train/annotations/a.txt:12" in summary
    assert str(report.data_yaml) in summary
    stored = json.loads((tmp_path / "out/convert-report.json").read_text())
    assert stored["complete"] is True
    assert stored["splits"]["train"]["files"]["a.jpg"] == "VisDrone2019-DET-train/images/a.jpg"
    assert ConvertReport.load(tmp_path / "out").dropped == report.dropped
    file, where, reason = next(d for d in report.dropped if d.where == "6")
    assert (file, where, reason) == ("VisDrone2019-DET-train/annotations/a.txt", "6", "zero-area box: 0 x 5 px")


def test_to_coco(tmp_path, visdrone):
    pycocotools = pytest.importorskip("pycocotools.coco")
    out = tmp_path / "out"
    report = run(visdrone, "visdrone", out, to="coco")
    assert report.data_yaml is None
    coco = pycocotools.COCO(str(out / "annotations/train.json"))
    assert min(coco.anns) == 1
    assert [c["id"] for c in coco.loadCats(coco.getCatIds())] == list(range(1, 11))
    objects = [a for a in coco.anns.values() if not a["iscrowd"]]
    regions = [a for a in coco.anns.values() if a["iscrowd"]]
    assert [a["bbox"] for a in objects] == [[10, 5, 20, 10], [50, 40, 14, 8]]
    assert len(regions) == 3 * 10  # once for every class: COCO matches crowds inside their class only
    assert all(a["ignore"] == 1 for a in regions)
    assert (out / "images/train/a.jpg").is_file()
    again = run(out, "coco", tmp_path / "again")
    assert again.counts["train"]["boxes"] == 2
    assert again.counts["train"]["ignored"] == 3
    assert again.counts["train"]["dropped"] == 0


def test_changing_the_form_takes_the_old_files_away(tmp_path, visdrone):
    out = tmp_path / "out"
    run(visdrone, "visdrone", out)
    run(visdrone, "visdrone", out, to="coco")
    assert not list((out / "labels").rglob("*.txt"))
    run(visdrone, "visdrone", out)
    assert not list((out / "annotations").glob("*.json"))


def test_write_coco_without_pictures(tmp_path):
    data = Dataset(["x"], {s: [ImageRecord("a.png", 10, 8, objects=[Annotation(0, (1, 2, 3, 4))])] for s in "ab"})
    with pytest.raises(ConfigError, match="2 splits"):
        write_coco(data, tmp_path / "x.json")
    assert [p.name for p in write_coco(data, tmp_path)] == ["a.json", "b.json"]
    (file,) = write_coco(data, tmp_path / "one.json", split="b")
    assert json.loads(file.read_text())["annotations"][0]["bbox"] == [1, 2, 2, 2]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"to": "yoloo"}, ConfigError, "Did you mean 'yolo'"),
        ({"link": "soft"}, ConfigError, "expected one of copy, symlink, hardlink"),
        ({"format": "visdron"}, ConfigError, "Did you mean 'visdrone'"),
        ({"split": "../x"}, ConfigError, "plain folder name"),
        ({"names": "car,car"}, ConfigError, "more than once"),
        ({"names": "car,,bus"}, ConfigError, "list of class names"),
        ({"format": "coco"}, DataError, "no COCO JSON"),
        ({"source": "nowhere"}, DataError, "does not exist"),
    ],
)
def test_wrong_arguments(tmp_path, visdrone, options, error, says):
    given = {"source": visdrone, "format": "visdrone", "out": tmp_path / "out", **options}
    with pytest.raises(error, match=says) as e:
        convert(**given, progress=False)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "out").exists()


def test_nothing_usable_names_the_first_problem(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s/a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"no usable image .* a\.jpg: unreadable image"):
        run(tmp_path / "s", "yolo", tmp_path / "out", names=["x"])


@pytest.mark.parametrize("content", ["car\n truck \n\n", "names: {0: car, 1: truck}", "names: [car, truck]"])
def test_names_from_a_file(tmp_path, content):
    file = text(tmp_path / ("n.yaml" if "names:" in content else "n.txt"), content)
    assert class_names(str(file)) == ["car", "truck"]
    assert class_names("car, truck") == ["car", "truck"]
    assert class_names(None) is None


def test_broken_names_yaml(tmp_path):
    with pytest.raises(ConfigError, match="not valid YAML"):
        class_names(str(text(tmp_path / "n.yaml", "names: [")))


def test_single_file_beside_its_result(tmp_path):
    picture(tmp_path / "images/v.jpg")
    text(tmp_path / "annotations/v.txt", "1,2,10,10,1,10,0,0\n")
    for _ in range(2):  # the result must not become part of the source
        report = run(tmp_path / "annotations/v.txt", "visdrone", tmp_path / "train_out")
        assert report.counts["train"]["images"] == 1
        assert report.dropped == []
