"""Classes made one by the conversion: nothing is lost, and no class is what it was not."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from rsdet.cli import run
from rsdet.data.convert import convert
from rsdet.errors import ConfigError

NAMES = ["car", "person", "truck", "bus"]


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "classes.txt").write_text("".join(f"{n}\n" for n in NAMES))
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), np.zeros((40, 40, 3), np.uint8))
        (folder / f"{i}.txt").write_text("".join(f"{c} 0.5 0.{c + 2} 0.2 0.1\n" for c in range(i + 1)))
    return folder


def rows(out: Path) -> dict[str, list[list[str]]]:
    return {f.stem: [r.split() for r in f.read_text().splitlines()] for f in (out / "labels/train").iterdir()}


def test_every_object_keeps_its_place_and_gets_the_new_class(source, tmp_path):
    convert(source, "yolo", tmp_path / "plain", progress=False)
    report = convert(source, "yolo", tmp_path / "out", merge={"vehicle": ["car", "bus", "truck"]}, progress=False)
    assert list(yaml.safe_load(report.data_yaml.read_text())["names"].values()) == ["vehicle", "person"]
    for stem, before in rows(tmp_path / "plain").items():
        after = rows(tmp_path / "out")[stem]
        assert [r[1:] for r in after] == [r[1:] for r in before]
        assert [r[0] for r in after] == ["1" if NAMES[int(r[0])] == "person" else "0" for r in before]


def test_from_the_command_line_with_some_classes_left_out_and_coco_written(source, tmp_path):
    words = ["convert", f"source={source}", "format=yolo", f"out={tmp_path / 'out'}", "names=car,truck", "to=coco"]
    assert run([*words, "merge=vehicle=car+truck"]) == 0
    coco = yaml.safe_load((tmp_path / "out/annotations/train.json").read_text())
    assert [c["name"] for c in coco["categories"]] == ["vehicle"]
    assert len(coco["annotations"]) == 4 + 2  # cars of all four pictures, trucks of two; the others were not asked for


@pytest.mark.parametrize(
    ("merge", "numbers"),
    [
        ("vehicle=car+truck,other=person+bus", "0101"),  # the command line makes a list of what has commas
        ("vehicle=car,vehicle=truck,vehicle=bus", "0100"),
    ],
)
def test_several_from_the_command_line(source, tmp_path, merge, numbers):
    assert run(["convert", f"source={source}", "format=yolo", f"out={tmp_path / 'out'}", f"merge={merge}"]) == 0
    assert "".join(r[0] for r in rows(tmp_path / "out")["3"]) == numbers


def test_masks_of_classes_are_merged(source, tmp_path):
    out = tmp_path / "out"
    (source / "data.yaml").write_text(yaml.safe_dump({"names": NAMES, "task": "segment"}))
    for i in range(4):  # outlines in the place of boxes
        lines = (f"{c} 0.4 0.{c + 2} 0.6 0.{c + 2} 0.6 0.{c + 3} 0.5 0.{c + 3} 0.4 0.{c + 3}\n" for c in range(i + 1))
        (source / f"{i}.txt").write_text("".join(lines))
    convert(source, "yolo", out, task="semantic", merge="vehicle=car+truck+bus", progress=False)
    # vehicle, person, and the background behind them
    values = {f.stem: set(np.unique(cv2.imread(str(f), 0))) for f in (out / "masks/train").iterdir()}
    assert values == {"0": {0, 2}, "1": {0, 1, 2}, "2": {0, 1, 2}, "3": {0, 1, 2}}


@pytest.mark.parametrize(
    ("merge", "says"),
    [
        ("vehicle=car+lorry", "no class 'lorry'"),
        ("vehicle=car+truck,big=truck+bus", "'truck' twice"),
        ("person=car+truck", "a class 'person' of its own"),
        ("vehicle", "must be such as"),
        ("vehicle=", "must be such as"),
        ({"vehicle": "car"}, "must be such as"),
        (["car"], "must be such as"),
    ],
)
def test_what_cannot_be_merged_is_refused_and_nothing_is_written(source, tmp_path, merge, says):
    with pytest.raises(ConfigError, match=says):
        convert(source, "yolo", tmp_path / "out", merge=merge, progress=False)
    assert not (tmp_path / "out").exists()
