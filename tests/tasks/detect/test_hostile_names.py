"""Classes and files with names made to write elsewhere, to move the cursor, or to be taken for another."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import TRAIN
from exported import lively

from rsdet import RSDet
from rsdet.cli import run as cli
from rsdet.data.scenes import render_scene

SIZE = 96
OSC = "\x1b]0;owned\x07"
CLEAN = r"\x1b]0;owned\x07[red]${\bad$[/red]"  # what is left of the third of the names below
FILES = [f"{OSC}\x1b[31mred.jpg", "=1+1.jpg", "[red]x[bold].jpg", "line\nbreak.jpg", "a\u202egpj.jpg", "plain.jpg"]


def names_in(folder: Path) -> dict[int, str]:
    """Three classes, two of which name a place outside."""
    return {0: f"../../{folder.name}-outside", 1: str(folder / "absolute"), 2: f"{OSC}[red]${{\\bad$[/red]\n"}


def pictures(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i, name in enumerate(FILES):
        cv2.imwrite(str(folder / "new.jpg"), render_scene(i, (SIZE, SIZE)).image)
        os.rename(folder / "new.jpg", folder / name)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A checkpoint with hostile class names, as a stranger saves it."""
    folder = tmp_path_factory.mktemp("w")
    model = lively("rtdetr", folder)
    model.model.names = names_in(folder)
    path = folder / "hostile.pt"
    model.save(str(path))
    return path


def harmless(shown, folder: Path, before: set[Path]) -> str:
    """Nothing has reached the terminal or another folder; returns what was shown."""
    said = shown()
    for c in ("\x1b]", "\x07", "\u202e", "\x1b[31mred"):
        assert c not in said
    assert set(folder.parent.rglob("*")) - set(folder.rglob("*")) - before == set()
    return said


@pytest.fixture
def shown(capfd, caplog):
    """What has been printed and logged since the last look."""

    def text() -> str:
        said = "".join(capfd.readouterr()) + caplog.text
        caplog.clear()
        return said

    return text


@pytest.mark.parametrize("way", ["pt", "onnx"])
def test_crops_tables_and_lines(way, weights, tmp_path, shown, monkeypatch):
    work = tmp_path / "deep" / "work"
    source = pictures(work / "in")
    monkeypatch.chdir(work)
    model = RSDet(weights)
    assert model.names[2] == CLEAN
    assert "/" in model.names[0]  # a stroke in a name is no harm, and stays
    path = model.export(format="onnx", imgsz=SIZE, out=work / "out", verbose=False).path if way == "onnx" else weights
    before = set((tmp_path / "deep").rglob("*")) | set(weights.parent.rglob("*"))
    elsewhere = set(weights.parent.rglob("*"))
    words = ["predict", f"model={path}", f"source={source}", f"imgsz={SIZE}", "conf=0.01", "project=runs"]
    status = cli([*words, "save_crop=True", "save_txt=True", "save_json=True", "save_coco=True"])
    said = harmless(shown, work, before)
    assert set(weights.parent.rglob("*")) == elsewhere
    assert "red.jpg" in said
    run = next((work / "runs").rglob("predictions.json")).parent
    assert len(list((run / "crops").iterdir())) >= 2
    found = json.loads((run / "predictions.json").read_text())
    assert {b["name"] for p in found for b in p["boxes"]} <= set(model.names.values())
    done = {Path(p["path"]).name for p in found}
    assert {"plain.jpg", "=1+1.jpg", "[red]x[bold].jpg"} <= done
    # A name with a line break is done like the others, or named as left out; never lost in silence.
    assert status == (0 if "line\nbreak.jpg" in done else 2)
    assert len(found) == len(FILES) - (status == 2)
    if way == "onnx":  # the small runtime: no crops asked for
        assert cli([*words, "save_json=True", "name=small"]) == status
        harmless(shown, work, before)


def test_a_slice_of_a_result_writes_no_crop_elsewhere(weights, tmp_path, monkeypatch):
    work = tmp_path / "deep" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    result = RSDet(weights).predict(render_scene(1, (SIZE, SIZE)).image, imgsz=SIZE, conf=0.01, verbose=False)[0]
    for r in (result, result[:5], result.cpu(), result.new()):
        r.save_crop(work / "crops", "a.jpg")
    assert list((work / "crops").rglob("*.jpg"))
    assert not [p for p in tmp_path.rglob("*.jpg") if work not in p.parents]
    assert not (weights.parent / "absolute").exists()
    assert result.names == RSDet(weights).names == RSDet(RSDet(weights).save_plain(work / "plain")).names
    result.names = {0: "=1+1", 1: "=1+2", 2: "@x"}
    assert {line.split(",")[0] for line in result.to_csv().splitlines()[1:]} <= {"'=1+1", "'=1+2", "'@x"}


def test_names_of_a_data_yaml(tmp_path, shown, monkeypatch):
    work = tmp_path / "deep" / "work"
    names = names_in(work)
    for split in ("train", "val"):
        folder = pictures(work / "set" / "images" / split)
        labels = work / "set" / "labels" / split
        labels.mkdir(parents=True)
        for i, picture in enumerate(sorted(folder.iterdir())):
            (labels / f"{picture.stem}.txt").write_text(f"{i % 3} .5 .5 .3 .3\n")
        (folder / f"{OSC}broken.jpg").write_bytes(b"no picture")
    data = work / "set" / f"{OSC}data.yaml"
    data.write_text(yaml.safe_dump({"path": str(work / "set"), "train": "images/train", "val": "images/val",
                                    "names": names}))  # fmt: skip
    monkeypatch.chdir(work)
    before = set(tmp_path.rglob("*"))
    model = lively("yolo", work)
    settings = {**TRAIN, "imgsz": SIZE, "epochs": 1, "plots": True, "workers": 0, "project": "runs"}
    model.train(data=data, **settings)
    best = next((work / "runs").rglob("last.pt"))
    assert RSDet(best).names[2] == CLEAN
    assert cli(["val", f"model={best}", f"data={data}", f"imgsz={SIZE}", "project=runs", "workers=0"]) == 0
    said = harmless(shown, work, before)
    assert CLEAN in said.replace("\n", "")
    assert r"\x1b]0;owned\x07broken.jpg" in said


def test_classes_of_a_coco_file(tmp_path, shown):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), np.zeros((40, 40, 3), np.uint8))
    categories = [OSC, "car", "car\u2028", "x" * 400, "../../y", "x" * 401]
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 40}],
        "categories": [{"id": i, "name": n} for i, n in enumerate(categories, 1)],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": i, "bbox": [2 * i, 2, 9, 9], "area": 81, "iscrowd": 0}
            for i in range(1, len(categories) + 1)
        ],
    }
    (tmp_path / "in" / "a.json").write_text(json.dumps(document))
    assert cli(["convert", f"source={tmp_path / 'in'}", "format=coco", f"out={tmp_path / 'out'}"]) == 0
    names = yaml.safe_load(next((tmp_path / "out").glob("*.yaml")).read_text())["names"]
    labels = next((tmp_path / "out").rglob("a.txt")).read_text().splitlines()
    by_x = {round(float(line.split()[1]) * 40 - 4.5): names[int(line.split()[0])] for line in labels}
    assert by_x[2] == r"\x1b]0;owned\x07"
    assert by_x[4] == by_x[6] == "car"  # told: one name but for a space
    assert {by_x[8][:90], by_x[12][:90]} == {"x" * 90}
    assert by_x[8] != by_x[12]
    assert by_x[10] == "../../y"
    assert len(names) == 5
    said = shown()
    assert "categories of one name are one class" in said
    assert "\x1b]" not in said


def test_classes_of_yolo_labels_stay_apart(tmp_path, shown):
    for kind in ("images", "labels"):
        (tmp_path / "in" / kind / "train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "in" / "images" / "train" / "a.png"), np.zeros((40, 40, 3), np.uint8))
    rows = "".join(f"{i} .{i + 2} .5 .1 .1\n" for i in range(4))
    (tmp_path / "in" / "labels" / "train" / "a.txt").write_text(rows)
    (tmp_path / "in" / "data.yaml").write_text(
        yaml.safe_dump({"train": "images/train", "names": ["car", "car ", OSC, ""]})
    )
    assert cli(["convert", f"source={tmp_path / 'in'}", "format=yolo", f"out={tmp_path / 'out'}"]) == 0
    names = yaml.safe_load(next((tmp_path / "out").glob("*.yaml")).read_text())["names"]
    labels = next((tmp_path / "out").rglob("a.txt")).read_text().splitlines()
    by_x = {round(float(line.split()[1]) * 10): names[int(line.split()[0])] for line in labels}
    assert by_x == {2: "car", 3: "car (2)", 4: r"\x1b]0;owned\x07", 5: "class_3"}
    assert "is called 'car (2)'" in shown()
