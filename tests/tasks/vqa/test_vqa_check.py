"""Answers beside the boxes of the shipped detector on the same pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from vqa_fakes import enlivened, model_yaml

from rsdet import RSDet
from rsdet.data.scenes import render_scene
from rsdet.errors import ConfigError

DETECTOR = "vmc-detr-demo"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RSDet:
    return enlivened(RSDet(model_yaml(tmp_path_factory.mktemp("model"))))


def test_counts_are_those_of_the_boxes_and_differences_are_drawn(model, tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    for seed in (3, 4):
        cv2.imwrite(str(folder / f"{seed}.png"), render_scene(seed, 320).image[..., ::-1])
    asked = ["How many cars are there?", "Are there any cars?", "Is there water in the picture?"]
    results = model.predict(
        folder, question=asked, check=str(DETECTOR), save=True, project=str(tmp_path), name="run", imgsz=64
    )
    detector = RSDet(DETECTOR)
    number = next(i for i, name in detector.names.items() if name == "car")
    with (tmp_path / "run" / "agreement.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 6
    differs = set()
    for result in results:
        name = Path(result.path).name
        (found,) = detector.predict(result.path, conf=0.25, verbose=False)
        cars = int((found.boxes.cls.cpu().numpy() == number).sum())
        count, presence, water = (row for row in rows if row["image"] == name)
        assert int(count["boxes"]) == int(presence["boxes"]) == cars
        said = result.answers[0].best
        agrees = said.isdecimal() and int(said) == cars
        assert (count["verdict"] == "agree") == agrees
        assert water["verdict"] == "not comparable"
        if "differ" in (count["verdict"], presence["verdict"]):
            differs.add(f"{Path(name).stem}.png")
    drawn = {p.name for p in (tmp_path / "run" / "check").iterdir()} if differs else set()
    assert drawn == differs


def test_arrays_are_checked_too_and_nothing_is_written_without_being_asked(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture = np.ascontiguousarray(render_scene(5, 320).image[..., ::-1])
    model.predict(picture, question="How many cars are there?", check=str(DETECTOR), imgsz=64)
    assert [row.image for row in model.predictor.check.rows] == ["array0.png"]
    assert not list(tmp_path.iterdir())


def test_what_finds_no_objects_cannot_check(model, tmp_path):
    model.save(str(tmp_path / "w.pt"))
    picture = np.zeros((64, 64, 3), np.uint8)
    for given in ({"check": str(tmp_path / "w.pt")}, {"check": "no-such-file.pt"}, {"check": "yolo26n.yaml"}):
        with pytest.raises(ConfigError, match="check") as e:
            model.predict(picture, question="How many cars?", **given)
        assert "\n" not in str(e.value)
