"""Files of questions in all formats: what comes out, what is left out and told, and one line for what is wrong."""

from __future__ import annotations

import json
import logging
import random

import pytest
from fakes import picture, text

from rsdet.data.questions.asked import asked_questions
from rsdet.data.questions.jsonl import write_questions
from rsdet.data.questions.reading import FORMATS, format_of, read_questions, read_with_drops, resolve_images
from rsdet.data.questions.records import Question
from rsdet.data.questions.rsvqa import in_ranges
from rsdet.errors import ConfigError, DataError

A = [Question("a.png", "How many ships are there?", "3", "count"), Question("b.png", "Is there a pier?", "yes")]
ROWS = [{"image": q.image, "question": q.text, "answer": q.answer, "type": q.kind} for q in A]
EARTH = {
    "1.png": [
        {"Type": "Basic Counting", "Question": "How many intersections are in this scene?", "Answer": 0},
        {"Type": "Basic Judging", "Question": "Are there any buildings?", "Answer": "Yes"},
    ],
    "2.png": [{"Type": "Comprehensive Analysis", "Question": "What are the needs?"}],
}


def rsvqa(folder, questions, answers, images=None, name="LR_split_train_"):
    text(folder / f"{name}questions.json", json.dumps({"questions": questions}))
    text(folder / f"{name}answers.json", json.dumps({"answers": answers}))
    if images is not None:
        text(folder / f"{name}images.json", json.dumps({"images": images}))
    return folder / f"{name}questions.json"


def refused(path, format=None):
    """The one line that a file ends in."""
    with pytest.raises(DataError) as caught:
        read_questions(path, format)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_own_format_gives_back_what_was_written(tmp_path):
    many = [*A, Question("c/d.png", "Где корабли?", ""), Question("e.png", 'Say "a, b"; c?', "-1.5", "x y")]
    assert read_questions(write_questions(tmp_path / "q.jsonl", many)) == many


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("q.jsonl", "".join(json.dumps(r) + "\r\n\n" for r in ROWS), A),
        ("q.json", json.dumps(ROWS, indent=1), A),
        ("q.txt", "\ufeff" + json.dumps(ROWS[0]), A[:1]),
        (
            "q.csv",
            "type;Image;ANSWER;question;x\ncount;a.png;3;How many ships are there?;\n;b.png;yes;Is there a pier?",
            A,
        ),
        ("q.tsv", "image\tquestion\tanswer\n\nb.png\tIs there a pier?\tyes\n", A[1:]),
        ("q.csv", 'image,question\nb.png,"Is there\na  pier?"\n', [Question("b.png", "Is there a pier?")]),
        ("q.txt", "b.png: Is there a pier?yes", A[1:]),
    ],
)
def test_the_format_is_found_by_the_content(tmp_path, name, content, wanted):
    assert read_questions(text(tmp_path / name, content)) == wanted


def test_earthvqa_counts_are_texts_and_test_answers_are_withheld(tmp_path):
    for indent in (None, 2):
        read = read_questions(text(tmp_path / "Test_QA.json", json.dumps(EARTH, indent=indent)))
        assert [(q.image, q.answer, q.kind) for q in read] == [
            ("1.png", "0", "Basic Counting"), ("1.png", "Yes", "Basic Judging"),
            ("2.png", "", "Comprehensive Analysis"),
        ]  # fmt: skip


def test_answers_of_json_become_texts(tmp_path):
    given = [3, 3.0, 2.5, True, False, None, " Yes ", "3"]
    path = text(
        tmp_path / "q.jsonl",
        "".join(json.dumps(ROWS[0] | {"image": f"{i}.png", "answer": a}) + "\n" for i, a in enumerate(given)),
    )
    assert [q.answer for q in read_questions(path)] == ["3", "3", "2.5", "yes", "no", "", "Yes", "3"]


def test_rsvqa_takes_what_is_active_in_the_split(tmp_path, caplog):
    def q(i, image=7, **more):
        return {
            "id": i,
            "img_id": image,
            "type": "count",
            "question": f"How many {i}?",
            "answers_ids": [i],
            "active": True,
        } | more

    questions = [
        q(0), {"id": 1, "active": False}, q(2, active=False), q(3, answers_ids=[]), q(4, image=8), q(5),
        q(6, type="rural_urban"), q(9),
    ]  # fmt: skip
    said = {0: 0, 3: "11", 4: "1", 6: "rural", 9: "1001"}
    answers = [{"id": i, "question_id": i, "answer": a, "active": True} for i, a in said.items()]
    answers.append({"id": 5, "active": False})
    path = rsvqa(tmp_path, questions, answers, [{"id": 7, "active": True}, {"id": 8, "active": False}])
    with caplog.at_level(logging.WARNING, "rsdet"):
        read, dropped = read_with_drops(path)
    assert [(x.text, x.answer) for x in read] == [
        ("How many 0?", "0"), ("How many 3?", "between 10 and 100"), ("How many 6?", "rural"),
        ("How many 9?", "more than 1000"),
    ]  # fmt: skip
    assert {x.image for x in read} == {"7.tif"}
    assert [(d.where, d.reason.partition(":")[0]) for d in dropped] == [
        ("question 4", "its picture is not active in this split"), ("question 5", "it has no active answer"),
    ]  # fmt: skip
    assert "1 questions left out: it has no active answer" in caplog.text
    assert [x.answer for x in read_questions(path, "rsvqa-hr")][:2] == ["0", "11"]


def test_rsvqa_splits_of_numbers_alone_take_their_texts_from_the_whole_set(tmp_path):
    path = rsvqa(tmp_path, [{"id": 3, "active": True}], [{"id": 5, "active": True}], name="USGS_split_val_")
    assert "put all_questions.json or USGSquestions.json beside it" in refused(path)
    whole = {"questions": [{"id": 3, "img_id": 1, "type": "area", "question": "What is the area?", "answers_ids": [5]}]}
    text(tmp_path / "USGSquestions.json", json.dumps(whole))
    text(tmp_path / "USGSanswers.json", json.dumps({"answers": [{"id": 5, "question_id": 3, "answer": "55m2"}]}))
    assert read_questions(path) == [Question("1.tif", "What is the area?", "between 10m2 and 100m2", "area")]


def test_rsvqa_without_its_answers_names_the_file(tmp_path):
    path = text(
        tmp_path / "LR_split_val_questions.json",
        json.dumps({"questions": [{"id": 0, "question": "Is it?", "active": True}]}),
    )
    assert "expected LR_split_val_answers.json" in refused(path)


def test_ranges_are_those_of_the_authors():
    def plain(n, unit=""):
        if n == 0:
            return f"0{unit}"
        for low, high in ((0, 10), (10, 100), (100, 1000)):
            if low < n <= high:
                return f"between {low}{unit} and {high}{unit}"
        return f"more than 1000{unit}"

    for n in (0, 1, 9, 10, 11, 99, 100, 101, 1000, 1001, 5 * 10**6):
        assert in_ranges(str(n), True) == plain(n)
        assert in_ranges(str(n), False) == str(n)
        assert in_ranges(f"{n}m2", False) == in_ranges(f"{n}m2", True) == plain(n, "m2")
    assert in_ranges("rural", True) == "rural"


def test_rsivqa_tells_types_and_leaves_out_what_lost_its_object(tmp_path, caplog):
    lines = (
        "1.tif:How many cars in the picture?thirty-seven\n1.tif:How many trees are there?about fifty\n"
        "1.tif:How many  in the picture?one\n\nP07: what is it?a, b and c \n"
    )
    with caplog.at_level(logging.WARNING, "rsdet"):
        read, dropped = read_with_drops(text(tmp_path / "ucm_res.txt", lines))
    assert read == [
        Question("1.tif", "How many cars in the picture?", "37", "count"),
        Question("1.tif", "How many trees are there?", "about fifty", "count"),
        Question("P07", "what is it?", "a, b and c"),
    ]  # fmt: skip
    assert [d.where for d in dropped] == ["line 3"]
    assert "1 questions left out: the question has lost its object" in caplog.text


def test_the_same_row_twice_is_one_and_two_answers_are_told(tmp_path, caplog):
    rows = [
        ROWS[0],
        ROWS[0] | {"question": " how MANY  ships are there"},
        ROWS[0] | {"answer": "4"},
        ROWS[0] | {"image": "b.png"},
    ]
    with caplog.at_level(logging.WARNING, "rsdet"):
        read, dropped = read_with_drops(text(tmp_path / "q.jsonl", "".join(json.dumps(r) + "\n" for r in rows)))
    assert [(q.image, q.answer) for q in read] == [("a.png", "3"), ("a.png", "4"), ("b.png", "3")]
    assert len(dropped) == 1
    assert (
        "1 questions have several answers for one picture, such as 'how many ships are there' of a.png" in caplog.text
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("q.jsonl", json.dumps(ROWS[0]) + '\n\n{"image": "a.png", "question"\n', "is not JSON (line 3 column"),
        ("q.json", '{"a.png": [{"Question": "x"},\n  {]}', "is not JSON (line 2 column"),
        ("q.jsonl", '{"image": "a.png", "text": "How many?"}', "line 1 has no question, it has 'image', 'text'"),
        ("q.jsonl", '{"question": "How many?"}', "line 1 has no image"),
        ("q.jsonl", '{"image": "a.png", "question": "Is it?"}\n[1]', "line 2 is no JSON object but '[1]'"),
        ("q.csv", "image,answer\na.png,3\n", "has no column question, its columns are 'image', 'answer'"),
        ("q.csv", 'image,question\na.png,"How many\n', "is no table (line"),
        ("q.json", '{"a.png": [{"Type": "x", "Answer": 1}]}', "of 'a.png' has no Question, it has 'Type', 'Answer'"),
        ("q.json", '{"a.png": [{"Question": "Is it?"}], "b.png": 3}', "'b.png' must have a list of questions"),
        ("q.txt", "a.png:Is it?yes\nnothing here\nb.png no\n", "line 2 ('nothing here'), line 3 ('b.png no'): "),
        ("q.txt", "a poem without any of it", "has no column of questions and none of the known forms"),
        ("q.txt", " \n", "is empty"),
        ("q.json", '{"questions": [{"id": 0}, 3]}', 'must hold {"questions": [{"id": 0, …}, …]} as RSVQA has it'),
        ("q.json", "[" * 100_000, "nested too deeply"),
        ("q.csv", "image,question\n", "holds no question"),
        ("q.csv", b"image,question\na.png,Caf\xe9 here?\n", "byte 24 is not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_questions_ends_in_one_line(tmp_path, name, content, said):
    assert said in refused(text(tmp_path / name, content))


def test_rows_that_cannot_be_used_are_told_all_at_once(tmp_path):
    wrong = [
        {"question": ""}, {"question": " ?! "}, {"question": "ship " * 10_000}, {"question": 7}, {"image": "../a.png"},
        {"image": ""}, {"answer": [1]}, {"answer": float("nan")}, {"answer": "x" * 3000},
    ]  # fmt: skip
    path = text(tmp_path / "q.jsonl", "".join(json.dumps(ROWS[0] | w) + "\n" for w in [{}, *wrong]))
    said = refused(path)
    assert f"{path}: 9 rows cannot be used: the question of line 2 is empty; " in said
    assert "line 3 holds no word ('?!')" in said
    assert "line 4 has 10000 words, at most 200 are taken" in said
    assert "line 5 has no question" in said
    assert "line 6: the image '../a.png' is not below the folder of images (and 4 more)" in said
    assert len(said) < 1000
    said = refused(text(tmp_path / "q.csv", "image,question\na.png," + "ship " * 10_000))
    assert "line 2 has 10000 words" in said


def test_unknown_formats_and_missing_files_are_told(tmp_path):
    with pytest.raises(
        ConfigError, match=r"format='jsnl' is unknown; expected one of jsonl, csv.*Did you mean 'jsonl'"
    ):
        read_questions(tmp_path, "jsnl")
    assert "cannot be read (No such file" in refused(tmp_path / "q.jsonl")
    path = text(tmp_path / "a.json", json.dumps(EARTH))
    for name in FORMATS:
        if name not in ("earthvqa",):
            refused(path, name)
    assert format_of(path, json.dumps(EARTH)) == "earthvqa"


def test_pictures_are_found_by_name_case_or_stem(tmp_path):
    for name in ("a.png", "B.JPG", "sub/P07.tif", "two.png", "two.jpg", "note.txt", "no.suffix.png"):
        picture(tmp_path / name) if not name.endswith("txt") else text(tmp_path / name, "x")
    names = ["a.png", "b.jpg", "sub/P07", "a.tif", "two.png", "no.suffix"]
    found = resolve_images([Question(n, "Is it?") for n in names], tmp_path)
    assert [found[n] for n in names] == [
        tmp_path / n for n in ("a.png", "B.JPG", "sub/P07.tif", "a.png", "two.png", "no.suffix.png")
    ]
    assert all(p.is_absolute() for p in found.values())


def test_missing_pictures_are_counted_and_the_first_named(tmp_path):
    picture(tmp_path / "a.png"), picture(tmp_path / "two.png"), picture(tmp_path / "two.jpg")
    names = ["a.png", "two.gif", "note", *(f"{i}.png" for i in range(6)), "0.png"]
    with pytest.raises(DataError) as caught:
        resolve_images([Question(n, "Is it?") for n in names], tmp_path)
    assert str(caught.value).startswith(
        f"8 of 9 images that the questions name are not in {tmp_path}: two.gif, note, 0.png, 1.png, 2.png (and 3 more)"
    )
    with pytest.raises(DataError, match=r"the folder of images .* does not exist"):
        resolve_images([Question("a.png", "Is it?")], tmp_path / "nowhere")


def test_lists_of_questions_to_ask(tmp_path):
    path = text(
        tmp_path / "q.txt",
        "# of piers\nHow many ships are there?\n\n一共有多少艘船？\nhow many ships are there\nÇa va?\n",
    )
    assert asked_questions(path) == ["How many ships are there?", "一共有多少艘船？", "Ça va?"]
    assert asked_questions(text(tmp_path / "q.jsonl", json.dumps(ROWS[0]))) == [A[0].text]
    for content, said in (
        ("# x\n", "holds no question"),
        ("Is it?\n??\n", "line 2 of .* holds no word"),
        ("a " * 10_000, "10000 words"),
    ):
        with pytest.raises(DataError, match=said):
            asked_questions(text(tmp_path / "q.txt", content))


def test_damaged_files_end_in_one_line_or_are_read(tmp_path):
    whole = [
        "\n".join(map(json.dumps, ROWS)), "image,question,answer\na.png,\"How many?\",3\n", json.dumps(EARTH),
        json.dumps({"questions": [{"id": 0, "img_id": 0, "question": "Is it?", "answers_ids": [0], "active": True}]}),
        json.dumps({"answers": [{"id": 0, "question_id": 0, "answer": "3", "active": True}]}),
        "1.tif:How many cars?two\nP1: is it?yes\n",
    ]  # fmt: skip
    pieces = [
        '"',
        ",",
        "\n",
        "{",
        "}",
        "[",
        "]",
        ":",
        "?",
        "\0",
        "\u2028",
        "\x1b[31m",
        "9" * 400,
        ";",
        "\t",
        "null",
        "{}",
    ]
    rng, read, said = random.Random(0), 0, []
    for _ in range(300):
        content = rng.choice(whole)
        for _ in range(rng.randint(1, 3)):
            i = rng.randrange(len(content) + 1)
            j = min(i + rng.randrange(8), len(content))
            value = rng.choice(["0", '"a.png"', "true", "[0]", '"3"'])
            content = rng.choice([
                content[:i] + content[j:], content[:i] + rng.choice(pieces) + content[i:], content[:i],
                content.replace(value, rng.choice(["null", "{}", "[[]]", "1e999", "-1"]), 1),
                content[:i] + rng.choice(whole) + content[i:],
            ])  # fmt: skip
        for name in ("q_answers.json", "q_images.json"):
            text(tmp_path / name, rng.choice([content, whole[4], '{"images": [{"id": 0, "active": true}]}']))
        path = text(tmp_path / f"q_questions.{rng.choice(['json', 'jsonl', 'csv', 'txt'])}", content)
        try:
            read += len(read_questions(path, rng.choice([None, *FORMATS]))) > 0
        except DataError as e:
            said.append(str(e))
    assert not any("\n" in line for line in said)
    assert read > 10


def test_real_files_of_rsivqa(shared_data):
    folder = shared_data / "rsivqa"
    dota, none = read_with_drops(folder / "dota_vqa_P0706_P1888.txt")
    assert (len(dota), none) == (18, [])
    assert dota[0] == Question("P0706", "how many ships are there in this picture?", "548", "count")
    found = resolve_images(dota, shared_data / "dota-sample" / "images")
    assert {n: p.name for n, p in found.items()} == {"P0706": "P0706.png", "P1888": "P1888.png"}
    rsicd, none = read_with_drops(folder / "rsicd_vqa_subset.txt")
    assert (len(rsicd), none, {q.kind for q in rsicd}) == (300, [], {"theme"})
    assert len(resolve_images(rsicd, shared_data / "rsicd-captions" / "images")) == 300
    bare = folder / "labels_without_images"
    counts = {p.name: tuple(map(len, read_with_drops(p))) for p in bare.glob("*.txt")}
    assert counts == {"ucm_vqa.txt": (2100, 0), "sydney_vqa.txt": (613, 0), "ucm_res.txt": (2501, 294)}
    with pytest.raises(DataError, match=r"613 of 613 images that the questions name are not in .*: 1\.tif, 2\.tif"):
        resolve_images(read_questions(bare / "sydney_vqa.txt"), shared_data / "rsicd-captions" / "images")
