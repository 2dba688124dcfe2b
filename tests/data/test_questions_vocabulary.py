"""Words, answers and closed questions by number, and which trained question a new one is nearest to."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from rsdet.data.questions.nearest import closest_question, overlap_distance
from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import PAD, UNKNOWN, Vocabulary, closed_questions, tokens_of
from rsdet.data.questions.words import check_question, question_key
from rsdet.errors import ConfigError, DataError


def asked(*rows: tuple[str, str]) -> list[Question]:
    return [Question("a.png", text, answer) for text, answer in rows]


QUESTIONS = asked(
    ("Is there a car?", "yes"), ("is there a  car", "No"), ("Is it a rural or urban scene?", "Rural"),
    ("How many cars?", "10"), ("How many cars?", "9"), ("How many cars?", "2"), ("Is there a pier?", "Yes"),
    ("Is there a pier?", "yes"), ("Is there a pier?", "Yes"), ("Is it wet?", ""), ("Is it dry?", "yes"),
    ("Is it dry?", ""), ("Is it dry?", "about half"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("How many Ships are there?", ["how", "many", "ships", "are", "there"]),
        ("  Is it\twet ?", ["is", "it", "wet"]),
        ("«Где» корабли?!", ["где", "корабли"]),
        ("ΠΟΥ είναι;", ["που", "είναι"]),
        ("هل توجد سفن؟", ["هل", "توجد", "سفن"]),
        ("Is 10m2 of land-use, e.g. (A) on?", ["is", "10m2", "of", "land-use", "e.g", "a", "on"]),
        ("船が３隻？", ["船", "が", "3", "隻"]),
        ("Cafe\u0301 \u00a0Caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("?! — …", []),
        ("", []),
    ],
)
def test_words_of_questions_in_any_script(text, words):
    assert tokens_of(text) == words
    assert tokens_of(" ".join(words)) == words  # a key is its own key
    assert question_key(text) == " ".join(words)


def test_closed_means_that_every_known_answer_is_yes_or_no():
    assert closed_questions(QUESTIONS) == {"is there a car", "is there a pier"}


def test_a_vocabulary_has_each_thing_once_in_an_order_of_its_own():
    v = Vocabulary.of(QUESTIONS)
    assert v.words == tuple(sorted({w for q in QUESTIONS for w in tokens_of(q.text)}))
    assert v.answers == ("2", "9", "10", "No", "Rural", "about half", "yes")
    assert v.closed == closed_questions(QUESTIONS)
    assert v.asked[:3] == ("how many cars", "is it dry", "is there a pier")
    assert v.size == len(v.words) + 2
    shuffled = list(QUESTIONS)
    random.Random(0).shuffle(shuffled)
    assert Vocabulary.of(shuffled) == v


def test_numbers_of_words():
    v = Vocabulary.of(QUESTIONS)
    numbers = {w: i + 2 for i, w in enumerate(v.words)}
    got = v.encode(["How many piers?", "is there a car or a pier", "", "???"], 5)
    assert got.dtype == np.int64
    assert got.tolist() == [
        [numbers["how"], numbers["many"], UNKNOWN, PAD, PAD],
        [numbers[w] for w in ("is", "there", "a", "car", "or")],
        [UNKNOWN, PAD, PAD, PAD, PAD],
        [UNKNOWN, PAD, PAD, PAD, PAD],
    ]
    assert v.unknown("How many piers, piers and boats?") == ["piers", "and", "boats"]
    assert v.encode([], 4).shape == (0, 4)


def test_classes_of_answers():
    v = Vocabulary.of(QUESTIONS)
    assert [v.answer_index(a) for a in v.answers] == list(range(len(v.answers)))
    assert v.answer_index("yes") == v.answer_index(" YES ") == v.answers.index("yes")
    assert v.answer_index("11") == v.answer_index("") == -1
    assert v.is_closed("IS there a car ?!")
    assert not v.is_closed("Is there a boat?")


def test_a_vocabulary_is_plain_json_and_comes_back():
    v = Vocabulary.of(QUESTIONS)
    assert Vocabulary.from_dict(json.loads(json.dumps(v.as_dict()))) == v


@pytest.mark.parametrize(
    "change",
    [{"words": "abc"}, {"words": ["a", "a"]}, {"answers": []}, {"words": []}, {"closed": [1]}, {"answers": None}],
)
def test_what_is_no_vocabulary_ends_in_one_line(change):
    for content in (None, [], {**Vocabulary.of(QUESTIONS).as_dict(), **change}):
        with pytest.raises(ConfigError, match=r"^w\.pt.* vocabulary") as caught:
            Vocabulary.from_dict(content, "w.pt")
        assert "\n" not in str(caught.value)


def test_distance_is_the_share_of_words_not_in_common():
    def plain(a, b):
        common, rest = 0, list(b)
        for word in a:
            if word in rest:
                rest.remove(word)
                common += 1
        return 1 - common / (len(a) + len(b) - common) if a or b else 1.0

    rng = random.Random(1)
    for _ in range(300):
        a, b = ([rng.choice("abcde") for _ in range(rng.randrange(6))] for _ in range(2))
        assert overlap_distance(a, b) == pytest.approx(plain(a, b))
        assert overlap_distance(a, b) == overlap_distance(b, a)
    assert overlap_distance("ab", "ba") == 0
    assert overlap_distance("ab", "cd") == overlap_distance("", "") == 1


def test_the_closest_trained_question():
    trained = Vocabulary.of(QUESTIONS).asked
    near = closest_question("How many red cars?", trained)
    assert (near.text, near.distance, near.far) == ("how many cars", 0.25, False)
    same = closest_question("HOW many cars", trained)
    assert (same.distance, same.far) == (0.0, False)
    assert closest_question("What should the mayor do next?", trained).far
    assert closest_question("一共有多少艘船？", trained).distance == 1
    nothing = closest_question("How many cars?", ())
    assert (nothing.text, nothing.far) == ("", True)
    assert closest_question("How many red cars?", trained, far=0.25).far


def test_questions_of_users_are_refused_in_one_line_or_taken_in_any_script():
    assert check_question("  Wie viele\nSchiffe? ") == "Wie viele Schiffe?"
    assert check_question("कितने जहाज हैं?") == "कितने जहाज हैं?"
    assert check_question("is it\x1b[31m red?") == "is it\\x1b[31m red?"
    for text, said in (
        ("", "is empty"),
        (" \n", "is empty"),
        ("?", "holds no word"),
        ("x " * 10_000, "has 10000 words"),
    ):
        with pytest.raises(DataError, match=f"^question= {said}") as caught:
            check_question(text)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300
