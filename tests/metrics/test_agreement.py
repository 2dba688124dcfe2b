"""Answers beside boxes: what is asked for, in which words, and what cannot be compared."""

from __future__ import annotations

import csv
import json
import random

import pytest

from rsdet.data.questions.generator import templates
from rsdet.data.questions.generator.nouns import plural
from rsdet.data.questions.records import Question
from rsdet.data.questions.word_forms import forms, spoken
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.agreement import agreement_rows, agreement_table, compare_answers, write_agreement
from rsdet.metrics.asked_objects import Asked, AskedObjects

NAMES = {0: "plane", 1: "ship", 2: "storage-tank", 3: "OtherVehicle", 4: "bus", 5: "Person", 6: "small-vehicle"}


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("ship", "ships"), ("bus", "buses"), ("box", "boxes"), ("bench", "benches"), ("lorry", "lorries"),
        ("highway", "highways"), ("person", "people"), ("aircraft", "aircraft"), ("storage tank", "storage tanks"),
        ("bridge", "bridges"), ("overpass", "overpasses"), ("house", "houses"),
    ],
)  # fmt: skip
def test_one_and_several(one: str, many: str):
    assert plural(one) == many
    assert {one, many} <= forms(one)
    assert {one, many} <= forms(many)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("storage-tank", "storage tank"), ("OtherVehicle", "other vehicle"), ("sea_person", "sea person"),
        ("SUV", "suv"), ("awning-tricycle", "awning tricycle"), ("  Small   Car ", "small car"), ("住宅", "住宅"),
    ],
)  # fmt: skip
def test_class_names_as_one_says_them(name: str, words: str):
    assert spoken(name) == words


@pytest.mark.parametrize(
    ("text", "what", "classes", "by"),
    [
        ("how many ships are there in this picture?", "count", (1,), "form"),  # RSIVQA
        ("does this picture contain storage tank?", "presence", (2,), "name"),
        ("How many boats in the picture?", "count", (1,), "synonym"),
        ("Does this picture contain an airplane?", "presence", (0,), "synonym"),
        ("Are there any people in this scene?", "presence", (5,), "form"),  # EarthVQA's words
        ("How many small vehicles are in this scene?", "count", (6,), "form"),
        ("Is a bus present?", "presence", (4,), "name"),  # RSVQA
        ("What is the number of buses?", "count", (4,), "form"),
        ("Is there a ship in the image?", "presence", (1,), "name"),
        ("How many OTHER vehicles can be seen in this aerial image", "count", (3,), "form"),
        ("How many ships does this scene contain?", "count", (1,), "form"),
        ("count all the persons", "count", (5,), "form"),
        ("can you see at least one plane?", "presence", (0,), "name"),
        ("How many ships?", "count", (1,), "form"),
        ("  HOW   many “ships”？ ", "count", (1,), "form"),
    ],
)
def test_questions_of_the_field(text: str, what: str, classes: tuple[int, ...], by: str):
    found = AskedObjects(NAMES).parse(text)
    assert isinstance(found, Asked), found
    assert (found.what, found.classes, found.by) == (what, classes, by)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("How many red ships are there?", "no class of the detector is called 'red ships'"),
        ("How many ships are next to the bus?", "no class"),
        ("Is there a ship in the harbor?", "no class"),
        ("Are there more ships than planes?", "no class"),
        ("Is there no ship?", "no class"),
        ("Are there two ships?", "no class"),
        ("Are there ships and planes?", "no class"),
        ("How many cars in the picture?", "no class"),
        ("how many  in the picture?", "no class"),  # a class is missing in RSIVQA's own file
        ("What is the location of the ship in this picture?", "no question of count or presence"),
        ("What is the area of ships?", "no question"),
        ("有多少船?", "no question"),
        ("", "no question"),
        ("???", "no question"),
        ("how many " + "ship " * 10_000, "too long"),
    ],
)
def test_what_boxes_do_not_answer_is_not_compared(text: str, why: str):
    found = AskedObjects(NAMES).parse(text)
    assert isinstance(found, str)
    assert why in found


def test_a_name_goes_before_its_synonyms_and_two_synonyms_are_none():
    both = AskedObjects({0: "ship", 1: "boat"})
    assert both.parse("how many boats are there?").classes == (1,)
    assert both.parse("how many vessels are there?") == "'vessels' may mean ship or boat"


def test_words_of_the_user_go_before_all_else_and_stand_for_all_their_classes():
    asked = AskedObjects(NAMES, {"vehicle": ["bus", "OtherVehicle"], "ship": ["plane"]})
    assert asked.parse("How many vehicles are there?") == Asked("count", "vehicles", (3, 4), "yours")
    assert asked.parse("Is there a ship?").classes == (0,)
    with pytest.raises(ConfigError, match=r"'buss', which the detector has no class for.*Did you mean 'bus'"):
        AskedObjects(NAMES, {"vehicle": ["buss"]})


def compared(pairs: list[tuple[str, str]], found: list[int] | None, **settings: object) -> list[str]:
    questions = [Question("a.png", text) for text, _ in pairs]
    boxes = {} if found is None else {"a.png": found}
    return [row.verdict for row in compare_answers(questions, [a for _, a in pairs], boxes, NAMES, **settings)]


@pytest.mark.parametrize(
    ("text", "answer", "verdict"),
    [
        ("How many ships?", "3", "agree"),
        ("How many ships?", "three", "agree"),
        ("How many ships?", "2", "differ"),
        ("How many ships?", "about three", "not comparable"),
        ("How many ships?", "", "not comparable"),
        ("How many ships?", "between 1 and 10", "agree"),  # RSVQA
        ("How many ships?", "more than 3", "differ"),
        ("How many ships?", "more than two", "agree"),
        ("How many planes?", "0", "agree"),
        ("How many planes?", "none", "agree"),
        ("Is there a ship?", "Yes", "agree"),
        ("Is there a ship?", "no", "differ"),
        ("Is there a plane?", "no", "agree"),
        ("Is there a plane?", "yes ", "differ"),
        ("Is there a plane?", "3", "not comparable"),
        ("Is it urban?", "yes", "not comparable"),
    ],
)
def test_three_ships_and_a_bus(text: str, answer: str, verdict: str):
    assert compared([(text, answer)], [1, 4, 1, 1]) == [verdict]


@pytest.mark.parametrize("name", ["awning-tricycle", "bus", "people", "OtherVehicle", "ground-track-field", "lorry"])
def test_questions_that_are_made_of_labels_are_understood(name: str):
    asked = AskedObjects({0: "car", 1: name})
    for text in (templates.count(name), templates.presence(name), templates.presence(name, stuff=True)):
        assert asked.parse(text).classes == (1,)
    for text in (templates.where(name), templates.area(name), templates.relation(name, "car")):
        assert isinstance(asked.parse(text), str)
    assert isinstance(asked.parse(templates.comparison(name, "car")), str)


def test_a_picture_without_boxes_is_not_a_picture_that_nobody_looked_at():
    pair = [("How many ships?", "0"), ("Is there a ship?", "no")]
    assert compared(pair, []) == ["agree", "agree"]
    assert compared(pair, None) == ["not comparable"] * 2


def test_tolerance_is_of_counts_alone():
    pairs = [("How many ships?", n) for n in ("4", "5", "more than 3", "more than 4")] + [("Is there a plane?", "yes")]
    assert compared(pairs, [1, 1, 1], tolerance=1) == ["agree", "differ", "agree", "differ", "differ"]
    with pytest.raises(ConfigError, match="tolerance=-1"):
        compared(pairs, [], tolerance=-1)
    with pytest.raises(DataError, match="0 answers for 1 questions"):
        compare_answers([Question("a", "b")], [], {}, NAMES)


def test_summary_and_files_are_those_of_a_loop(tmp_path):
    rng = random.Random(0)
    boxes = {f"{i}.png": [rng.choice([0, 1]) for _ in range(rng.randrange(4))] for i in range(20)}
    texts = ["How many ships?", "Is there a plane?", "Is it $urban?", "=How many dogs?"]
    questions = [Question(f"{rng.randrange(22)}.png", rng.choice(texts)) for _ in range(200)]
    answers = [rng.choice(["0", "1", "2", "yes", "no"]) for _ in questions]
    rows = compare_answers(questions, answers, boxes, NAMES)
    expected = {"agree": 0, "differ": 0, "not comparable": 0}
    for q, a in zip(questions, answers, strict=True):
        seen = boxes.get(q.image)
        if seen is not None and q.text == texts[0] and a.isdigit():
            expected["agree" if int(a) == seen.count(1) else "differ"] += 1
        elif seen is not None and q.text == texts[1] and not a.isdigit():
            expected["agree" if (a == "yes") == (0 in seen) else "differ"] += 1
        else:
            expected["not comparable"] += 1
    whole = agreement_rows(rows)[0]
    assert {k: whole[k] for k in expected} == expected
    assert whole["rate"] == expected["agree"] / (expected["agree"] + expected["differ"])
    assert [(g["asked"], g["classes"]) for g in agreement_rows(rows)[1:]] == [("count", "ship"), ("presence", "plane")]

    content = json.loads(write_agreement(tmp_path, rows).read_text())
    assert content["summary"][0]["agree"] == expected["agree"]
    assert len(content["answers"]) == 200
    with open(tmp_path / "agreement.csv", newline="") as f:
        table = list(csv.DictReader(f))
    assert [r["verdict"] for r in table] == [r.verdict for r in rows]
    assert {r["question"] for r in table if "dogs" in r["question"]} == {"'=How many dogs?"}  # no formula
    assert agreement_table(rows).splitlines()[1].split()[:4] == ["all", *map(str, expected.values())]


def test_nothing_to_compare(tmp_path):
    assert agreement_rows([])[0]["agree"] == 0
    assert agreement_table([]).splitlines()[1].split() == ["all", "0", "0", "0", "-"]
    assert json.loads(write_agreement(tmp_path, []).read_text())["summary"][0]["rate"] is None


def test_counts_of_rsivqa_beside_the_boxes_of_dota(shared_data):
    """18 questions of the owners on two pictures: answers were counted in DOTA 1.5, our boxes are of version 1.0."""
    lines = (shared_data / "rsivqa" / "dota_vqa_P0706_P1888.txt").read_text().splitlines()
    questions, answers = [], []
    for line in filter(None, map(str.strip, lines)):
        image, _, rest = line.partition(":")
        text, _, answer = rest.partition("?")
        questions.append(Question(image, text.strip() + "?"))
        answers.append(answer.strip())
    names = dict(enumerate(["ship", "harbor", "small-vehicle", "large-vehicle", "plane", "storage-tank"]))
    names |= {6: "baseball-diamond", 7: "tennis-court"}
    number = {name: i for i, name in names.items()}
    boxes = {}
    for image in ("P0706", "P1888"):
        labels = (shared_data / "dota-sample" / "labelTxt" / f"{image}.txt").read_text().splitlines()
        boxes[image] = [number[parts[8]] for parts in map(str.split, labels) if len(parts) >= 9]
    rows = compare_answers(questions, answers, boxes, names)
    assert [r.verdict for r in rows if r.asked == ""] == []
    differ = {(r.image, r.classes[0], r.asked, r.answer, r.boxes) for r in rows if r.verdict == "differ"}
    assert differ == {  # version 1.5 adds what is small
        ("P0706", "ship", "count", "548", 531),
        ("P0706", "small-vehicle", "count", "108", 0),
        ("P0706", "small-vehicle", "presence", "yes", 0),
        ("P0706", "large-vehicle", "count", "2", 0),
        ("P0706", "large-vehicle", "presence", "yes", 0),
        ("P1888", "small-vehicle", "count", "17", 14),
    }
    assert sum(r.verdict == "agree" for r in rows) == 12
