"""Accuracy of answers: hand cases, a loop in the place of arrays, and answers as strangers write them."""

from __future__ import annotations

import csv
import json
import math
import random

import numpy as np
import pytest

from rsdet.data.questions.numbers import number_of, range_of
from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import Vocabulary
from rsdet.errors import DataError
from rsdet.metrics.answer_plots import confusion_picture, write_answer_pictures
from rsdet.metrics.answer_report import answer_notes, answer_table, write_answer_metrics
from rsdet.metrics.answers import AnswerScores, question_types
from rsdet.metrics.calibration import Calibration


def asked(*answers: str, kind: str = "") -> list[Question]:
    return [Question(f"{i}.png", f"question {i}?", answer, kind) for i, answer in enumerate(answers)]


def drawn(n: int = 300, seed: int = 0) -> AnswerScores:
    rng = random.Random(seed)
    answers, kinds = ["Yes", "no", "0", "1", "three", "12", "", "Rural"], ["Judging", "Counting", ""]
    questions = [Question("a.png", "?", rng.choice(answers), rng.choice(kinds)) for _ in range(n)]
    closed = [rng.choice([True, False, None]) for _ in range(n)]
    known = ["YES", "No", "0", "1", "12", "urban"]
    return AnswerScores(
        questions,
        [rng.choice([*answers, "YES"]) for _ in range(n)],
        known,
        closed,
        [rng.random() < 0.5 for _ in range(n)],
    )


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        (3, 3), (3.0, 3), ("3", 3), (" 3 ", 3), ("3.5", 3.5), ("-4", -4), ("1,234", 1234), ("1 234 567", 1234567),
        ("1\u00a0234", 1234), ("٣", 3), ("three", 3), ("Twenty-Two", 22), ("twenty two", 22), ("ten", 10), ("none", 0),
        ("two hundred and five", 205), ("a thousand", 1000), ("one thousand, three hundred", 1300),
        ("forty-nine thousand two hundred eleven", 49211), ("1,23", None), ("1,5", None), ("1,234 567", None),
        ("0%-10%", None), ("10%", None), ("about fifty", None), ("several", None), ("between 10 and 100", None),
        ("", None), ("no", None), ("nan", None), ("inf", None), ("1e5", None), ("twenty-", None), ("twenty-zero", None),
        ("hundred", None), ("9" * 16, None), ("one " * 10_000, None), (math.nan, None), (True, None), (None, None),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(answer: object, number: float | None):
    assert number_of(answer) == number


@pytest.mark.parametrize(
    ("answer", "low", "high"),
    [
        ("3", 3, 3), (3, 3, 3), ("More than 20", 21, math.inf), ("over twenty", 21, math.inf),
        ("at least 2", 2, math.inf),
        ("less than 1,000", 0, 999), ("at most 5", 0, 5), ("between 101 and 1000", 101, 1000), ("5 to 10", 5, 10),
        ("11-100", 11, 100), ("between one and ten", 1, 10),
    ],
)  # fmt: skip
def test_counts_that_an_answer_allows(answer: object, low: float, high: float):
    assert range_of(answer) == (low, high)


@pytest.mark.parametrize(
    "answer",
    ["0%-10%", "more than 20%", "between 10 and 1", "yes", "", None, True, "more than", "-", "to " * 9999, "a to b"],
)
def test_what_says_nothing_about_a_count(answer: object):
    assert range_of(answer) is None


def test_all_numbers_below_a_million_can_be_said():
    ones = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert [number_of(word) for word in ones] == list(range(10))
    for text, n in (("ninety-nine", 99), ("nine hundred ninety-nine thousand nine hundred and ninety-nine", 999_999)):
        assert number_of(text) == n


def test_two_types_by_hand():
    questions = asked("Yes", "No", "No", kind="Judging") + asked("3", "0", kind="Counting")
    scores = AnswerScores(questions, ["Yes", "No", "Yes", "3", "2"], closed=[True] * 3 + [False] * 2)
    assert scores.accuracy == pytest.approx(3 / 5)  # all right by all: not the mean of 2/3 and 1/2
    found = {(g.group, g.of): g.accuracy for g in scores.groups()}
    assert found == {
        ("all", ""): pytest.approx(0.6),
        ("kind", "Counting"): 0.5,
        ("kind", "Judging"): pytest.approx(2 / 3),
        ("type", "closed"): pytest.approx(2 / 3),
        ("type", "open"): 0.5,
    }
    assert scores.overall.rmse == pytest.approx(math.sqrt((0 + 4) / 2))


def test_numbers_are_those_of_a_loop():
    s = drawn()
    for group in s.groups():
        right = total = unseen = numbers = none = 0
        squares = []
        for q, a, closed in zip(s.questions, s.answers, s.closed, strict=True):
            if group.group == "kind" and (q.kind or "(no type)") != group.of:
                continue
            if group.group == "type" and closed is not {"closed": True, "open": False}[group.of]:
                continue
            if q.answer == "":
                continue
            total += 1
            right += q.answer.lower() == a.lower()
            unseen += q.answer.lower() in ("three", "rural")
            true, given = ({"0": 0, "1": 1, "12": 12, "three": 3}.get(x) for x in (q.answer, a))
            if true is not None:
                numbers += 1
                none += given is None
                squares += [] if given is None else [(given - true) ** 2]
        assert (group.questions, group.right, group.unseen) == (total, right, unseen)
        assert (group.numbers, group.no_numbers) == (numbers, none)
        assert group.accuracy == pytest.approx(right / total)
        assert group.rmse == pytest.approx(math.sqrt(sum(squares) / len(squares)), nan_ok=True)
    pairs = [(c, r) for c, r in zip(s.closed, s.routed, strict=True) if c is not None]
    assert s.router_accuracy == pytest.approx(sum(c == r for c, r in pairs) / len(pairs))


def test_letter_case_and_spaces_are_no_mistake_and_other_words_are():
    scores = AnswerScores(asked("Yes", "There are ponds.", "3", "3"), ["yes ", "there  are ponds.", "three", "4"])
    assert scores.right.tolist() == [True, True, False, False]
    assert scores.other_text == 1
    assert any("true number in other letters" in line for line in answer_notes(scores))


def test_answers_that_were_never_trained_are_wrong_and_told():
    scores = AnswerScores(asked("Yes", "7"), ["yes", "6"], known=["YES", "6"])
    assert scores.accuracy == 0.5
    assert scores.overall.unseen == 1
    assert answer_notes(scores) == ["1 questions have answers that were never trained; they count as wrong"]


def test_types_are_those_of_training_and_of_new_questions_what_their_answers_say():
    train = [Question("a", "Is there a ship?", "yes"), Question("a", "Is it rural or urban?", "urban")]
    texts = ["is there a ship", "Is it rural or urban?", "Is there a plane?", "How many planes?", "Is there a car?"]
    val = [Question("b", text, answer) for text, answer in zip(texts, ["no", "yes", "no", "0", ""], strict=True)]
    assert question_types(val, Vocabulary.of(train)) == [True, False, True, False, False]


def test_withheld_answers_count_nowhere():
    scores = AnswerScores(asked("", "Yes", " "), ["", "yes", "no"], ["yes"], [True, True, False], [True, False, True])
    assert (scores.accuracy, scores.overall.questions, scores.overall.withheld) == (1, 1, 2)
    assert scores.router_accuracy == pytest.approx(1 / 3)  # types are known without answers


@pytest.mark.parametrize("questions", [[], asked("", "")])
def test_nothing_to_compare_with_is_no_number_and_no_crash(questions: list[Question], tmp_path):
    scores = AnswerScores(questions, ["yes"] * len(questions), ["yes"], [True] * len(questions))
    assert math.isnan(scores.accuracy)
    assert math.isnan(scores.router_accuracy)
    assert "nothing could be measured" in answer_notes(scores)[0]
    assert answer_table({"network": scores}).splitlines()[1].split() == ["all", "0", "-"]
    calibration = Calibration(np.zeros(len(questions)), scores.right)
    path = write_answer_metrics(tmp_path, "set, val", {"network": scores}, {"as trained": Calibration([], [])})
    content = json.loads(path.read_text())
    assert content["accuracy"] is None
    assert content["calibration"]["as trained"]["ece"] is None
    assert content["confusion"] == {"answers": [], "matrix": []}
    files = write_answer_pictures(tmp_path, scores, {"as trained": calibration})
    assert [f.name for f in files] == ["confusion.png", "coverage.png", "reliability-as-trained.png"]
    assert all(f.read_bytes().startswith(b"\x89PNG") for f in files)


def test_each_question_needs_one_answer():
    with pytest.raises(DataError, match="1 answers for 2 questions"):
        AnswerScores(asked("a", "b"), ["a"])
    with pytest.raises(DataError, match="3 routed types for 2 questions"):
        AnswerScores(asked("a", "b"), ["a", "b"], routed=[True] * 3)


def test_confusion_keeps_every_question_with_an_answer():
    s = drawn()
    names, matrix = s.confusion(3)
    assert (len(names), names[-1]) == (4, "(other)")
    assert matrix.sum() == s.overall.questions
    counts = sorted((-s.truth.count(k), k) for k in set(s.truth) - {""})
    assert [name.lower() for name in names[:3]] == [k for _, k in counts[:3]]
    for i, true in enumerate(names[:3]):
        for j, given in enumerate(names[:3]):
            pairs = zip(s.questions, s.answers, strict=True)
            assert matrix[i, j] == sum(
                q.answer.lower() == true.lower() and a.lower() == given.lower() for q, a in pairs
            )
    names, matrix = AnswerScores(asked("a", "A", "b"), ["a", "b", "b"]).confusion()
    assert (names, matrix.tolist()) == (["a", "b"], [[1, 1], [0, 1]])


def test_files_hold_each_model_and_group(tmp_path):
    s = drawn()
    common = AnswerScores(s.questions, ["Yes"] * len(s.questions), s.known, s.closed)
    calibration = Calibration(np.full(len(s.right), 0.5), s.right)
    models = {"network": s, "most frequent": common}
    path = write_answer_metrics(tmp_path, "set, val", models, {"as trained": calibration}, temperature=1.5)
    content = json.loads(path.read_text())
    assert content["accuracy"] == s.accuracy
    assert content["temperature"] == 1.5
    with open(tmp_path / "metrics.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert [(r["model"], r["of"]) for r in rows] == [(name, g.of) for name, m in models.items() for g in m.groups()]
    assert float(rows[0]["accuracy"]) == s.accuracy
    assert all(r["rmse"] == "" for r in rows if r["model"] == "most frequent")  # "Yes" is no number
    table = answer_table(models).splitlines()
    assert table[0].split() == ["accuracy,", "%", "questions", "network", "most", "frequent"]
    assert len({len(line) for line in table}) == 1


def test_pictures_take_any_text():
    answers = ["$x_{a$", "住宅", "\x1b[31mred", "long " * 200, "=1+1"]
    scores = AnswerScores(asked(*answers), answers)
    assert confusion_picture(scores).startswith(b"\x89PNG")
    assert "\x1b" not in answer_table({"network": AnswerScores(asked("a", kind="\x1b[31m"), ["a"])})
