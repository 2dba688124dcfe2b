"""Whether a baseline is beaten: differences by hand, intervals by a loop over drawn images."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from rsdet.data.questions.records import Question
from rsdet.errors import DataError
from rsdet.metrics.answer_margins import margin, margin_notes
from rsdet.metrics.answers import AnswerScores


def scored(right: list[bool], images: list[int]) -> AnswerScores:
    questions = [Question(f"{image}.png", "?", "yes") for image in images]
    return AnswerScores(questions, ["yes" if r else "no" for r in right])


def test_interval_is_that_of_a_loop_over_drawn_images():
    rng = random.Random(0)
    images = [rng.randrange(12) for _ in range(90)]
    a, b = ([rng.random() < p for _ in images] for p in (0.8, 0.5))
    found = margin(scored(a, images), scored(b, images), resamples=200, seed=3)
    assert found.difference == pytest.approx((sum(a) - sum(b)) / 90)
    names, draws, values = sorted({f"{i}.png" for i in images}), np.random.default_rng(3), []
    for _ in range(200):
        some = [names[i] for i in draws.integers(0, len(names), len(names))]
        kept = [k for name in some for k in range(90) if f"{images[k]}.png" == name]
        values.append(sum(a[k] - b[k] for k in kept) / len(kept))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))


def test_many_questions_about_few_images_are_not_many_chances():
    better = [True] * 60 + [False] * 40  # better by 60 questions and worse by 40, each image as a whole
    alone = margin(scored(better, list(range(100))), scored([not b for b in better], list(range(100))))
    together = margin(
        scored(better, [i // 20 for i in range(100)]), scored([not b for b in better], [i // 20 for i in range(100)])
    )
    assert alone.difference == together.difference == pytest.approx(0.2)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_what_is_told():
    images = list(range(50))
    network, blind = scored([True] * 45 + [False] * 5, images), scored([False] * 40 + [True] * 10, images)
    lines = margin_notes({"network": network, "question only": blind, "same": network})
    assert lines[0].startswith("network +70.00 points against question only")
    assert lines[0].endswith("beaten")
    assert "NOT" not in lines[0]
    assert lines[1] == "network +0.00 points against same (95 %: +0.00 to +0.00, images drawn anew): NOT beaten"
    assert "one image" in margin_notes({"a": scored([True], [0]), "b": scored([False], [0])})[0]


def test_nothing_to_compare_and_other_questions():
    empty = AnswerScores([Question("a", "?")], ["yes"])
    assert math.isnan(margin(empty, empty).difference)
    assert margin_notes({"a": empty, "b": empty}) == []
    with pytest.raises(DataError, match="different questions"):
        margin(scored([True], [0]), scored([True], [1]))
