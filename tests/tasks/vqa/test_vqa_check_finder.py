"""Answers beside the boxes of a detector that finds what the test knows: every white spot is a ship."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from ultralytics.engine.results import Results
from vqa_fakes import enlivened, model_yaml

from rsdet import RSDet, cli
from rsdet.errors import ConfigError, DataError
from rsdet.tasks.vqa import checking
from rsdet.tasks.vqa.checking import synonyms_of

COUNT, ANY, OTHER = "How many ships are there?", "Are there any ships?", "What is the theme of this picture?"


class Finder:
    """Finds white spots, as ships; of a blue picture it says that it cannot read it."""

    task, loaded = "detect", SimpleNamespace(untrained=False)

    def __init__(self, names=("plane", "ship")):
        self.names = dict(enumerate(names))

    def predict(self, source, conf, **settings):
        picture = source if isinstance(source, np.ndarray) else cv2.imread(str(source))
        if (picture[..., 0] == 254).all():
            raise DataError("a picture of other bands")
        spots = cv2.connectedComponentsWithStats((picture.min(2) == 255).astype(np.uint8))[2][1:]
        rows = [[x, y, x + w, y + h, 0.5, 1] for x, y, w, h, _ in spots]
        rows = torch.tensor([r for r in rows if r[4] >= conf], dtype=torch.float32).reshape(-1, 6)
        return [Results(picture, path="", names=self.names, boxes=rows)]


@pytest.fixture
def finder(monkeypatch) -> Finder:
    made = Finder()
    monkeypatch.setattr(checking, "opened", lambda name: made)
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RSDet:
    made = enlivened(RSDet(model_yaml(tmp_path_factory.mktemp("model"))))
    made.model.args["imgsz"] = 64
    return made


def ships(*places: tuple[int, int], size: tuple[int, int] = (64, 64)) -> np.ndarray:
    picture = np.full((*size, 3), 90, np.uint8)
    for x, y in places:
        picture[y : y + 6, x : x + 6] = 255
    return picture


def says(monkeypatch, model: RSDet, answers: dict[str, str]) -> None:
    """Let the network answer as it is told, surely."""
    from rsdet.tasks.vqa import answering

    def told(self, said, questions, top, min_confidence):
        return [answering.Answer(q.text, ((answers[q.text], 0.9),), True, 0.5, min_confidence > 0.9) for q in questions]

    monkeypatch.setattr(answering.Answering, "told", told)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as f:
        return list(csv.DictReader(f))


def test_what_differs_is_flagged_in_every_file_drawn_and_counted(model, finder, monkeypatch, tmp_path, caplog):
    says(monkeypatch, model, {COUNT: "2", ANY: "yes", OTHER: "forest"})
    (tmp_path / "in").mkdir()
    for name, places in {"two": [(5, 5), (40, 40)], "one": [(5, 5)], "none": []}.items():
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), ships(*places))
    results = model.predict(
        tmp_path / "in", question=[COUNT, ANY, OTHER], check="ships.pt", save=True, project=str(tmp_path), name="run"
    )
    out = tmp_path / "run"
    verdicts = {Path(r.path).stem: [a.check.verdict for a in r.answers] for r in results}
    assert verdicts == {
        "two": ["agree", "agree", "not comparable"],
        "one": ["differ", "agree", "not comparable"],
        "none": ["differ", "differ", "not comparable"],
    }
    assert {r["image"]: r["differs"] for r in rows_of(out / "answers.csv")} == {
        "two.png": "0", "one.png": "1", "none.png": "2"
    }  # fmt: skip
    details = json.loads((out / "details.json").read_text())
    assert details["one.png"]["answers"][0]["check"]["boxes"] == 1
    assert len(rows_of(out / "agreement.csv")) == 9
    assert sorted(p.name for p in (out / "check").iterdir()) == ["none.png", "one.png"]
    told = model.predictor.check.told()
    assert told.splitlines()[0] == (
        "check=ships.pt: 3 of 6 answers differ from the boxes, about 2 pictures; 3 could not be compared"
    )


def test_tiles_of_a_raster_are_compared_one_by_one(model, finder, monkeypatch, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    says(monkeypatch, model, {COUNT: "1"})
    picture = ships((5, 5), (70, 5), (90, 30), size=(64, 128))  # one in the first tile, two in the second
    about = {"driver": "GTiff", "height": 64, "width": 128, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "scene.tif", "w", crs="EPSG:32631", **about) as f:
        f.write(picture.transpose(2, 0, 1))
    (result,) = model.predict(
        tmp_path / "scene.tif", question=COUNT, check="ships.pt", tile=64, save=True, project=str(tmp_path), name="run"
    )
    assert [t.answers[0].check.boxes for t in result.tiles] == [1, 2]
    assert [t.answers[0].differs for t in result.tiles] == [False, True]
    assert result.answers[0].check is None  # the sum of the tiles is no answer about any of them
    assert [r["differs"] for r in rows_of(tmp_path / "run" / "tiles.csv")] == ["0", "1"]
    assert rows_of(tmp_path / "run" / "answers.csv")[0]["differs"] == "1"
    assert [p.name for p in (tmp_path / "run" / "check").iterdir()] == ["scene__x64_y0.png"]


def test_an_answer_that_is_not_given_is_not_compared(model, finder, monkeypatch):
    says(monkeypatch, model, {COUNT: "2"})
    (result,) = model.predict(ships(), question=COUNT, check="ships.pt", min_confidence=0.95)
    assert result.answers[0].check.verdict == "not comparable"


def test_a_picture_that_the_detector_cannot_read_is_answered_and_not_compared(model, finder, monkeypatch):
    says(monkeypatch, model, {COUNT: "2"})
    unread, read = model.predict([np.full((64, 64, 3), 254, np.uint8), ships()], question=COUNT, check="ships.pt")
    assert unread.answers[0].given == "2"
    assert unread.answers[0].check.verdict == "not comparable"
    assert "did not look" in unread.answers[0].check.why
    assert read.answers[0].check.verdict == "differ"


def test_synonyms_join_words_of_questions_to_classes(model, finder, monkeypatch):
    asked = "How many things are there?"
    says(monkeypatch, model, {asked: "1"})
    (result,) = model.predict(ships((5, 5)), question=asked, check="ships.pt")
    assert result.answers[0].check.verdict == "not comparable"
    assert model.predictor.check.told().startswith("check=ships.pt: none of 1 answers could be compared")
    for synonyms in ("thing=ship+plane", {"thing": ["ship"]}, {"thing": "ship"}, ["thing=ship"]):
        (result,) = model.predict(ships((5, 5)), question=asked, check="ships.pt", synonyms=synonyms)
        assert result.answers[0].check.verdict == "agree"


def test_questions_that_no_class_answers_are_told_before_anything_is_answered(finder):
    check = checking.BoxCheck("folder/ships.pt")
    assert not check.in_vain([OTHER, COUNT])
    told = check.in_vain([OTHER, "How many cars are there?"])
    assert "plane, ship" in told
    assert "\n" not in told
    finder.names = {i: f"class {i}" for i in range(80)}
    assert "class 7 and 72 more" in checking.BoxCheck("ships.pt").in_vain([COUNT])


@pytest.mark.parametrize(
    "given", ["ship", "=ship", "boat=", {"boat": 3}, {"boat": []}, {3: "ship"}, [7], "boat=ship+", {"": "ship"}]
)
def test_synonyms_that_are_none_are_refused(given):
    with pytest.raises(ConfigError, match="synonyms"):
        synonyms_of(given)


def test_a_class_that_the_detector_does_not_have_ends_in_one_line(model, finder, tmp_path, capsys):
    model.save(str(tmp_path / "w.pt"))
    cv2.imwrite(str(tmp_path / "a.png"), ships())
    words = ["predict", f"model={tmp_path / 'w.pt'}", f"source={tmp_path / 'a.png'}", f"question={COUNT}"]
    assert cli.run([*words, "check=ships.pt", "synonyms=boat=shipp"]) == 2
    assert cli.run([*words, "synonyms=boat=ship"]) == 2
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "synonym" in line]
    assert len(lines) == 2
    assert "'shipp'" in lines[0]
    assert "check=" in lines[1]
