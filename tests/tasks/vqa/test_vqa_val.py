"""Validation: numbers beside those of what sees less, answers that nobody trained, and sets without answers."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from vqa_fakes import enlivened, model_yaml, vocabulary, write_questions

from rsdet import RSDet
from rsdet.errors import ConfigError, DataError
from rsdet.tasks.vqa.model import VqaModel

BASELINES = {"most frequent", "per question", "question only", "image only"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RSDet:
    return enlivened(RSDet(model_yaml(tmp_path_factory.mktemp("model"))))


def measured(model: RSDet, data: Path, folder: Path, **more: object) -> dict:
    model.val(data=data, imgsz=64, project=str(folder), name="run", exist_ok=True, **{"plots": False, **more})
    return json.loads((folder / "run" / "metrics.json").read_text())


def test_numbers_are_those_of_the_answers_that_predict_gives(model, tmp_path):
    data = write_questions(tmp_path / "d", 6, 5)
    found = measured(model, data, tmp_path)
    given = model.predict(data.parent / "images", questions=data.parent / "val.jsonl", imgsz=64)
    said = {(Path(r.path).name, a.question): a.best for r in given for a in r.answers}
    rows = [json.loads(line) for line in (data.parent / "val.jsonl").read_text().splitlines()]
    right = [said[row["image"], row["question"]] == row["answer"] for row in rows]
    assert found["accuracy"] == pytest.approx(np.mean(right))
    assert found["questions"] == len(rows) == 20
    overall = {row["model"]: row for row in found["groups"] if row["group"] == "all"}
    assert set(overall) == {"model", *BASELINES}
    kinds = {row["of"] for row in found["groups"] if row["model"] == "model"}
    assert kinds == {"", "count", "presence", "closed", "open"}
    assert (tmp_path / "run" / "metrics.csv").read_text().startswith("model,group,of,")


def test_pictures_of_a_validation(model, tmp_path):
    data = write_questions(tmp_path / "d", 6, 3)
    measured(model, data, tmp_path, plots=True)
    made = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"confusion.png", "coverage.png", "reliability-as-trained.png", "val_batch0.jpg"} <= made


def test_answers_that_nobody_trained_count_as_wrong_and_are_told(model, tmp_path, caplog):
    data = write_questions(tmp_path / "d", 6, 2)
    rows = [json.loads(line) for line in (data.parent / "val.jsonl").read_text().splitlines()]
    for row in rows:
        row["answer"] = "seventeen elephants"
    (data.parent / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with caplog.at_level(logging.INFO):
        found = measured(model, data, tmp_path)
    assert found["accuracy"] == 0
    assert found["unseen"] == 8
    assert "never trained" in caplog.text


def test_withheld_answers_cannot_be_measured_by(model, tmp_path):
    data = write_questions(tmp_path / "d", 2, 2)
    rows = [json.loads(line) for line in (data.parent / "val.jsonl").read_text().splitlines()]
    kept = [{k: v for k, v in row.items() if k != "answer"} for row in rows]
    (data.parent / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    with pytest.raises(DataError, match="withheld") as e:
        measured(model, data, tmp_path)
    assert "\n" not in str(e.value)


def test_without_a_training_set_the_numbers_stand_alone_and_that_is_said(model, tmp_path, caplog):
    data = write_questions(tmp_path / "d", 2, 2)
    data.write_text("".join(line + "\n" for line in data.read_text().splitlines() if not line.startswith("train:")))
    with caplog.at_level(logging.WARNING):
        found = measured(model, data, tmp_path)
    assert {row["model"] for row in found["groups"]} == {"model"}
    assert "no baseline" in caplog.text


def test_two_splits_may_call_different_pictures_alike(model, tmp_path):
    data = write_questions(tmp_path / "d", 4, 2)
    for split, first in (("train", 0), ("val", 1000)):
        folder = data.parent / split
        folder.mkdir()
        text = (data.parent / f"{split}.jsonl").read_text()
        for i in range(first, first + (4 if split == "train" else 2)):
            (data.parent / "images" / f"{i}.png").rename(folder / f"{i - first}.png")
            text = text.replace(f'"{i}.png"', f'"{i - first}.png"')
        (data.parent / f"{split}.jsonl").write_text(text)
    data.write_text(data.read_text().replace("images: images", "images: {train: train, val: val}"))
    found = measured(model, data, tmp_path)
    again = write_questions(tmp_path / "e", 4, 2)
    plain = measured(model, again, tmp_path / "plain")
    key = {"model", "group", "of", "accuracy"}
    pick = [[{k: row[k] for k in key} for row in f["groups"]] for f in (found, plain)]
    assert pick[0] == pick[1]


def test_a_network_that_knows_no_answers_cannot_be_measured(tmp_path):
    model = RSDet(model_yaml(tmp_path))
    bare = {k: v for k, v in model.model.yaml.items() if k != "vocabulary"}
    model.model = VqaModel(bare)
    with pytest.raises(ConfigError, match="no vocabulary"):
        model.val(data=write_questions(tmp_path / "d", 2, 1), project=str(tmp_path))
    assert vocabulary().answers
