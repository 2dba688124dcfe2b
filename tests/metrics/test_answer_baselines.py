"""Baselines of answers: counts by hand, a linear classifier at its minimum, and what each of them cannot know."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from rsdet.data.questions.reading import read_questions
from rsdet.data.questions.records import Question
from rsdet.errors import DataError
from rsdet.metrics import answer_baselines
from rsdet.metrics.answer_baselines import ImageOnly, MostFrequent, PerQuestion, QuestionOnly, fit_baselines
from rsdet.metrics.answers import AnswerScores
from rsdet.metrics.linear_softmax import fit_linear_softmax


def asked(*pairs: tuple[str, str], image: str = "a.png") -> list[Question]:
    return [Question(image, text, answer) for text, answer in pairs]


TRAIN = asked(
    ("Is there a ship?", "yes"), ("is there a ship", "Yes"), ("Is there a ship?", "no"), ("Is it urban?", "no"),
    ("How many ships?", "0"), ("How many ships?", "0"), ("How many ships?", "3"), ("How many planes?", ""),
)  # fmt: skip


def test_the_most_frequent_answer_of_all_and_the_first_by_name_of_equal_ones():
    assert MostFrequent.fit(TRAIN).answers(TRAIN[:2]) == ["0", "0"]  # 0, no and yes stand there twice each
    assert MostFrequent.fit(asked(("?", "b"), ("?", "a"), ("?", "B"), ("?", "c"))).answer == "b"


def test_the_most_frequent_answer_to_the_same_question():
    known = PerQuestion.fit(TRAIN)
    questions = asked(("IS THERE A SHIP", ""), ("how many ships?", ""), ("How many planes?", ""), ("Is it urban?", ""))
    assert known.answers(questions) == ["yes", "0", "0", "no"]  # planes were never answered: the most frequent of all
    assert PerQuestion.fit(TRAIN, MostFrequent("?")).answers(questions)[2] == "?"
    assert known.answers([]) == []


@pytest.mark.parametrize("train", [[], asked(("Is it urban?", ""))])
def test_without_an_answer_there_is_nothing_to_fit(train: list[Question]):
    for fit in (MostFrequent.fit, PerQuestion.fit, QuestionOnly.fit, fit_baselines):
        with pytest.raises(DataError, match="no training question has an answer"):
            fit(train)


def loss_of(features: np.ndarray, counts: np.ndarray, weights: np.ndarray, l2: float) -> float:
    total = 0.0
    for x, n in zip(features, counts, strict=True):
        logits = [sum(a * b for a, b in zip([*x, 1.0], column, strict=True)) for column in weights.T]
        for z, k in zip(logits, n, strict=True):
            total -= k * (z - math.log(sum(map(math.exp, logits))))
    return total / counts.sum() + l2 / 2 * float((weights[:-1] ** 2).sum())


@pytest.mark.parametrize("l2", [1e-3, 0.3])
def test_weights_lie_at_the_minimum(l2: float):
    rng = np.random.default_rng(0)
    features, counts = rng.normal(size=(7, 3)), rng.integers(0, 4, (7, 4))
    weights = fit_linear_softmax(features, counts, l2)
    least = loss_of(features, counts, weights, l2)
    for i in range(4):
        for j in range(4):  # level in every direction, by differences of the loop
            step = np.zeros((4, 4))
            step[i, j] = 1e-4
            up, down = (loss_of(features, counts, weights + s, l2) for s in (step, -step))
            assert (up - down) / 2e-4 == pytest.approx(0, abs=2e-6)
            assert min(up, down) >= least - 1e-9


def test_without_features_the_weights_are_frequencies():
    weights = fit_linear_softmax(np.zeros((2, 0)), np.array([[3, 1], [3, 1]]), 0.1)
    assert np.exp(weights[0, 0] - weights[0, 1]) == pytest.approx(3)
    with pytest.raises(DataError, match="NaN or infinite"):
        fit_linear_softmax(np.full((1, 1), math.nan), np.ones((1, 2)), 0.1)


def test_words_alone_give_each_question_its_most_frequent_answer():
    texts = [f"{how} {thing}?" for how in ("is there a", "how many") for thing in ("ship", "plane", "car")]
    answers = ["yes", "no", "yes", "0", "2", "0"]
    rng = random.Random(0)
    train = asked(*((text, answer) for text, answer in zip(texts, answers, strict=True) for _ in range(5)))
    train += asked(*((text, rng.choice(["yes", "0"])) for text in texts for _ in range(3)))
    rng.shuffle(train)
    words = QuestionOnly.fit(train)
    questions = asked(*((text, "") for text in texts))
    assert words.answers(questions) == PerQuestion.fit(train).answers(questions) == answers
    assert words.answers(asked(("Is there a big ship, please", ""))) == ["yes"]  # words that it never read are no words
    again = QuestionOnly.fit(train)
    np.testing.assert_array_equal(again.weights, words.weights)


def test_questions_alone_say_nothing_where_answers_are_balanced():
    train = [Question(f"{i}.png", t, a) for i in range(8) for t in ("is there a ship?", "is it urban?") for a in "yn"]
    for baseline in fit_baselines(train).values():
        given = baseline.answers(train)
        assert AnswerScores(train, given).accuracy == 0.5


def test_a_picture_alone_tells_themes_and_no_more_than_its_encoding():
    rng = np.random.default_rng(0)
    themes = [i % 3 for i in range(30)]
    encodings = {f"{i}.png": rng.normal(0, 0.1, 4) + 5 + 1e-3 * np.eye(4)[t] * 1e3 for i, t in enumerate(themes)}
    train = [Question(f"{i}.png", "theme?", "abc"[t]) for i, t in enumerate(themes)]
    seen: list[str] = []

    def encode(image: str) -> np.ndarray:
        seen.append(image)
        return encodings[image]

    picture = ImageOnly.fit(train + train, encode)
    assert len(seen) == 30  # once each
    assert AnswerScores(train, picture.answers(train)).accuracy == 1
    blank = ImageOnly.fit([*train, Question("0.png", "?", "a")], lambda image: np.ones(4))
    assert set(blank.answers(train)) == {"a"}
    assert picture.answers([]) == []


def test_baselines_have_names_and_the_one_of_pictures_needs_encodings():
    assert list(fit_baselines(TRAIN)) == ["most frequent", "per question", "question only"]
    assert list(fit_baselines(TRAIN, lambda image: np.ones(2)))[-1] == "image only"


def test_of_too_many_questions_the_frequent_ones_are_fitted(monkeypatch):
    monkeypatch.setattr(answer_baselines, "MOST_ROWS", 2)
    monkeypatch.setattr(answer_baselines, "MOST_WORDS", 1)
    train = asked(("ship", "a"), *[("plane", "b")] * 3, *[("car", "c")] * 2)
    words = QuestionOnly.fit(train)
    assert list(words.words) == ["plane"]
    assert words.answers(asked(("plane", ""), ("anything", ""))) == ["b", "c"]


def test_questions_alone_on_rsivqa(shared_data):
    questions = read_questions(shared_data / "rsivqa" / "labels_without_images" / "ucm_res.txt")
    train = [q for q in questions if int(q.image.split(".")[0]) % 2]
    val = [q for q in questions if not int(q.image.split(".")[0]) % 2]
    found = {name: AnswerScores(val, b.answers(val)).accuracy for name, b in fit_baselines(train).items()}
    assert found["most frequent"] < 0.3 < 0.45 < found["question only"]
    assert found["per question"] == pytest.approx(found["question only"], abs=0.02)
