"""Prediction: what is written, what is said of questions, and rasters that are looked at in tiles."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from vqa_fakes import enlivened, model_yaml, squares, vocabulary, write_questions

from rsdet import RSDet, cli
from rsdet.errors import ConfigError, DataError
from rsdet.tasks.vqa import asking, predict
from rsdet.tasks.vqa.merging import merged, share_of
from rsdet.tasks.vqa.scenes import parted

ASK = "How many red squares are there?"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    model = enlivened(RSDet(model_yaml(folder)))
    model.model.args["imgsz"] = 64
    model.save(str(folder / "lively.pt"))
    return folder / "lively.pt"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_questions(tmp_path_factory.mktemp("squares"), 3, 2)


def test_answers_are_those_of_the_network_with_its_probabilities(weights, data):
    model = RSDet(weights)
    file = data.parent / "images" / "0.png"
    (result,) = model.predict(file, question=[ASK, "Is there a blue square?"], imgsz=64, top=2)
    x = torch.from_numpy(squares(0)[0].transpose(2, 0, 1)[None].astype(np.float32) / 255)
    tokens = torch.from_numpy(vocabulary().encode([ASK, "Is there a blue square?"], model.model.length))
    with torch.no_grad():
        said = model.model.answer(model.model.encode_image(x)[[0, 0]], tokens)
    p = said.logits.softmax(1).numpy()
    for i, answer in enumerate(result.answers):
        order = np.argsort(-p[i])[:2]
        assert [a for a, _ in answer.top] == [vocabulary().answers[k] for k in order]
        assert [v for _, v in answer.top] == pytest.approx(p[i, order], abs=1e-5)
        assert answer.closed == bool(said.types[i, 0] > said.types[i, 1])
        assert answer.attention.sum() == pytest.approx(1, abs=1e-4)
    assert len(result) == 2


def test_a_question_beside_others_has_the_answer_that_it_has_alone(weights, data):
    model, file = RSDet(weights), data.parent / "images" / "1.png"
    asked = [
        ASK,
        "Is there a blue square?",
        "Why is the grey sky so very far away from all of us here today, my friend?",
    ]
    (together,) = model.predict(file, question=asked)
    for text, answer in zip(asked, together.answers, strict=True):
        (alone,) = model.predict(file, question=text)
        assert alone.answers[0].best == answer.best
        assert alone.answers[0].confidence == pytest.approx(answer.confidence, abs=1e-5)


def test_files_of_a_run(weights, data, tmp_path):
    asked = tmp_path / "asked.txt"
    asked.write_text(f"# of all\n{ASK}\n=1+1 squares?\n")
    words = [f"model={weights}", f"source={data.parent / 'images'}", f"questions={asked}", f"project={tmp_path}"]
    assert cli.run(["predict", *words, "name=run", "save_attention=True", "imgsz=64"]) == 0
    run = tmp_path / "run"
    answers = json.loads((run / "answers.json").read_text())
    assert answers["0.png"][0].keys() == {"Type", "Question", "Answer"}
    with (run / "answers.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert [row["image"] for row in rows] == sorted(answers)
    assert list(rows[0]) == ["image", ASK, "'=1+1 squares?"]
    assert rows[0][ASK] == answers[rows[0]["image"]][0]["Answer"]
    details = json.loads((run / "details.json").read_text())["0.png"]["answers"][1]
    assert details["unknown_words"] == ["=1+1"]
    shown = cv2.imread(str(run / "attention" / "0_1.png"))
    assert shown is not None
    assert shown.std() > 1
    assert not (run / "answers.geojson").exists()


def test_a_network_that_is_not_sure_says_nothing(weights, data):
    (sure,) = RSDet(weights).predict(data.parent / "images" / "0.png", question=ASK)
    answer = sure.answers[0]
    for limit, given in ((answer.confidence - 1e-4, answer.best), (answer.confidence + 1e-4, "")):
        (result,) = RSDet(weights).predict(data.parent / "images" / "0.png", question=ASK, min_confidence=limit)
        assert result.answers[0].given == given
        assert result.answers[0].best == answer.best


def test_heat_spreads_probabilities_and_keeps_answers(weights, data):
    file = data.parent / "images" / "0.png"
    cold, hot = (RSDet(weights).predict(file, question=ASK, temperature=t)[0].answers[0] for t in (0.5, 4.0))
    assert cold.best == hot.best
    assert cold.confidence > hot.confidence


def test_questions_unlike_all_trained_ones_are_flagged(weights, data):
    asked = [ASK, "Where does the captain sleep tonight?", "这里有船吗？"]
    (result,) = RSDet(weights).predict(data.parent / "images" / "0.png", question=asked)
    known, far, script = result.answers
    assert not known.notes
    assert far.far
    assert "captain" in far.unknown
    assert script.far
    assert "unknown words" in script.notes[0]


def test_a_file_of_questions_asks_each_picture_its_own(weights, data, tmp_path):
    results = RSDet(weights).predict(data.parent / "images", questions=data.parent / "val.jsonl")
    assert [Path(r.path).name for r in results] == ["1000.png", "1001.png"]
    assert {a.kind for r in results for a in r.answers} == {"presence", "count"}


def test_somebody_types(weights, data, monkeypatch, capsys):
    typed = iter([ASK, "???", "Is there a blue square?", ""])
    monkeypatch.setattr(predict, "typed", lambda: asking.typed(lambda _: next(typed)))
    monkeypatch.setattr(asking.sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    results = RSDet(weights).predict([str(data.parent / "images" / f"{i}.png") for i in (0, 1)])
    assert [[a.question for a in r.answers] for r in results] == [[ASK, "Is there a blue square?"]] * 2
    out = capsys.readouterr().out
    assert out.count("0.png: ") == 2
    assert "no word" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "predict needs question="),
        ({"question": "a?", "questions": "b.txt"}, "both given"),
        ({"question": "word " * 10_000}, "10000 words"),
        ({"question": "  "}, "is empty"),
        ({"questions": "none.txt"}, "does not exist"),
        ({"question": "a?", "top": 0}, "top=0"),
        ({"question": "a?", "min_confidence": 2}, "min_confidence=2"),
        ({"question": "a?", "temperature": 0}, "temperature=0"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(weights, data, monkeypatch, given, said):
    monkeypatch.setattr(asking.sys, "stdin", None)
    with pytest.raises((ConfigError, DataError), match=said) as e:
        RSDet(weights).predict(data.parent / "images" / "0.png", **given)
    assert "\n" not in str(e.value)


def test_a_broken_picture_is_left_out_and_the_others_are_done(weights, data, tmp_path):
    for i in (0, 1):
        (tmp_path / f"{i}.png").write_bytes((data.parent / "images" / f"{i}.png").read_bytes()[: 10**6 if i else 60])
    model = RSDet(weights)
    assert [Path(r.path).name for r in model.predict(tmp_path, question=ASK)] == ["1.png"]
    assert "0.png" in model.skipped[0]


# ------------------------------------------------------------------------------------------------------ in tiles


def test_tiles_part_a_raster():
    seen = np.zeros((70, 45), int)
    for tile in parted((70, 45), 32):
        seen[tile.slices] += 1
    assert (seen == 1).all()


def test_shares_are_read():
    assert [share_of(a) for a in ("0%", "10%-20%", "between 10% and 20%", "3", "110%", "20%-10%")] == [
        (0, 0), (10, 20), (10, 20), None, None, None,
    ]  # fmt: skip


def test_answers_of_tiles_are_merged_by_their_kind():
    answers = ("0", "2", "more than 20", "no", "yes", "0%", "0%-10%", "10%-20%", "urban", "rural")

    def tile(**p: float) -> np.ndarray:
        row = np.zeros(len(answers))
        for name, value in p.items():
            row[answers.index({"many": "more than 20", "zero": "0", "two": "2", "none": "0%", "few": "0%-10%",
                               "some": "10%-20%"}.get(name, name))] = value  # fmt: skip
        return row

    even = np.array([1.0, 1.0])
    assert merged(np.stack([tile(yes=0.6, no=0.4), tile(yes=0.1, no=0.9)]), True, answers, even) == (
        (("yes", 0.6),),
        "or",
    )
    assert merged(np.stack([tile(yes=0.2, no=0.8), tile(yes=0.1, no=0.9)]), True, answers, even) == (
        (("no", 0.8),),
        "or",
    )
    assert merged(np.stack([tile(two=0.5), tile(two=0.7)]), False, answers, even) == (
        (("4", pytest.approx(0.6)),),
        "sum",
    )
    assert merged(np.stack([tile(two=0.5), tile(many=0.7)]), False, answers, even)[0][0][0] == "more than 22"
    share, how = merged(np.stack([tile(none=1.0), tile(some=1.0)]), False, answers, np.array([3.0, 1.0]))
    assert (share[0][0], how) == ("0%-10%", "mean share")  # 15 % of a quarter of the ground
    share, _ = merged(np.stack([tile(none=1.0), tile(some=1.0)]), False, answers, np.array([1.0, 9.0]))
    assert share[0][0] == "10%-20%"
    top, how = merged(
        np.stack([tile(urban=0.9, rural=0.1), tile(urban=0.2, rural=0.8)]), False, answers, np.array([1.0, 3.0])
    )
    assert how == "mean"
    assert top[0] == ("rural", pytest.approx(0.625))


def test_a_raster_on_earth_is_looked_at_in_tiles_that_lie_where_they_lie(weights, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("shapely")
    picture = np.concatenate([squares(0)[0], squares(1)[0]], 1)[:, :100]  # the second tile is cut
    place = rasterio.transform.from_origin(500_000, 4_000_000, 10, 10)
    about = {"driver": "GTiff", "height": 64, "width": 100, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "scene.tif", "w", crs="EPSG:32631", transform=place, **about) as f:
        f.write(picture.transpose(2, 0, 1))
    model = RSDet(weights)
    asked = [ASK, "Is there a blue square?"]
    (whole,) = model.predict(tmp_path / "scene.tif", question=asked, imgsz=64)
    assert not whole.tiles
    (scene,) = model.predict(
        tmp_path / "scene.tif", question=asked, tile=64, imgsz=64, save=True, project=str(tmp_path), name="run"
    )
    (left,) = model.predict(squares(0)[0][..., ::-1], question=asked, imgsz=64)
    first, second = scene.tiles
    assert [a.best for a in first.answers] == [a.best for a in left.answers]
    assert second.tile.width == 36
    collection = json.loads((tmp_path / "run" / "answers.geojson").read_text())["features"]
    tiles = json.loads((tmp_path / "run" / "tiles.geojson").read_text())["features"]
    assert len(collection) == 1
    assert len(tiles) == 2
    ring = np.array(collection[0]["geometry"]["coordinates"][0])
    assert ring[:, 0].min() == pytest.approx(3.0, abs=1e-4)  # the middle of zone 31
    assert np.ptp(ring[:, 0]) == pytest.approx(1000 / 111_320 / np.cos(np.radians(36.1)), rel=0.01)
    area = (ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]).sum()
    assert area > 0  # counterclockwise, as RFC 7946 asks for
    rows = (tmp_path / "run" / "tiles.csv").read_text().splitlines()
    assert rows[0].startswith("image,top,left,height,width,")
    assert len(rows) == 3
    assert json.loads((tmp_path / "run" / "details.json").read_text())["scene.tif"]["tiles"] == 2
