"""Data YAMLs of questions, labels on disk as scenes, and the two sets that the package makes."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from fakes import picture, text
from PIL import Image

from rsdet.data import resolve as module
from rsdet.data.questions.datasets import read_question_data
from rsdet.data.questions.demo import as_scene, make_demo_vqa
from rsdet.data.questions.generator.loading import load_scenes
from rsdet.data.questions.generator.making import make_questions
from rsdet.data.questions.generator.objects import object_questions
from rsdet.data.questions.jsonl import write_questions
from rsdet.data.questions.reading import read_questions
from rsdet.data.questions.records import Question
from rsdet.data.resolve import resolve_data
from rsdet.data.scenes import render_scene
from rsdet.errors import ConfigError, DataError
from rsdet.paths import datasets_dir
from rsdet.tasks.vqa.questions import questions

W, H = 64, 48


def data_yaml(root: Path, **content) -> Path:
    return text(root / "d.yaml", yaml.safe_dump({"task": "vqa", **content}))


def asked(root: Path, name: str, *images: str, folder: str = "images") -> None:
    for image in images:
        picture(root / folder / image)
    write_questions(root / name, [Question(i, "How many cars?", str(n), "count") for n, i in enumerate(images)])


# -- data YAMLs -----------------------------------------------------------------------------------------------------


def test_a_data_yaml_says_where_questions_and_pictures_are(tmp_path):
    asked(tmp_path, "train.jsonl", "a.png", "sub/b.png")
    asked(tmp_path, "val.jsonl", "c.png", folder="other")
    path = data_yaml(tmp_path, images={"train": "images", "val": "other"}, train="train.jsonl", val="val.jsonl")
    data = read_question_data(resolve_data(path, "vqa"))
    assert (data.splits, data.directions, data.format, data.name) == (("train", "val"), False, None, "d")
    train = data.split("train")
    assert [q.image for q in train.questions] == ["images/a.png", "images/sub/b.png"]
    assert train.images == {f"images/{n}": tmp_path / "images" / n for n in ("a.png", "sub/b.png")}
    assert data.split("val").images == {"other/c.png": tmp_path / "other" / "c.png"}
    assert data.split("val") is data.split("val")
    with pytest.raises(DataError, match=r"has no test:, it has train, val; add it"):
        data.split("test")


def test_pictures_of_several_folders_may_have_one_name(tmp_path):
    for folder, n in (("UCM", 2), ("Sydney", 1)):
        asked(tmp_path, f"{folder}.jsonl", *(f"{i}.png" for i in range(n)), folder=f"{folder}/images")
    entries = [{"questions": f"{f}.jsonl", "images": f"{f}/images"} for f in ("UCM", "Sydney")]
    found = read_question_data(data_yaml(tmp_path, train=entries, directions=True)).split("train")
    assert [q.image for q in found.questions] == ["UCM/images/0.png", "UCM/images/1.png", "Sydney/images/0.png"]
    assert found.images["Sydney/images/0.png"] == tmp_path / "Sydney" / "images" / "0.png"


def test_a_part_of_the_training_pictures_is_validation_with_all_its_questions(tmp_path):
    names = [f"{i}.png" for i in range(20)]
    for name in names:
        picture(tmp_path / "images" / name)
    rows = [Question(n, t, "1") for n in names for t in ("How many cars?", "How many boats?", "How many roads?")]
    write_questions(tmp_path / "q.jsonl", rows)
    path = data_yaml(tmp_path, images="images", train="q.jsonl", split={"val": 0.25, "seed": 3})
    data = read_question_data(path)
    assert data.splits == ("train", "val")
    val, train = data.split("val"), data.split("train")
    assert (len(val.images), len(train.images), len(val.questions)) == (5, 15, 15)
    assert not set(val.images) & set(train.images)
    assert {q.image for q in val.questions} == set(val.images)
    assert read_question_data(path).split("val") == val
    path.write_text(path.read_text().replace("seed: 3", "seed: 4"))
    assert read_question_data(path).split("val").images != val.images


def test_other_numbers_than_the_owner_states_are_told(tmp_path, caplog):
    asked(tmp_path, "q.jsonl", "a.png")
    path = data_yaml(
        tmp_path, images="images", train="q.jsonl", splits={"train": {"images": 2, "questions": 1}}, name="x"
    )
    with caplog.at_level(logging.WARNING, "rsdet"):
        read_question_data(path).split("train")
    assert caplog.messages == ["x: train has 1 images, its owner states 2."]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "detect"}, "is for task=detect, the model for task=vqa"),
        ({"format": "jsn"}, "format='jsn' is unknown; expected one of jsonl, csv"),
        ({"images": None}, "images: must name the folder of the pictures of train"),
        ({"images": {"val": "images"}}, "images: must name the folder of the pictures of train"),
        ({"train": None}, "has none of train, val, test"),
        ({"train": 3}, "train: must name files of questions, received 3"),
        ({"train": {"questions": "a", "image": "b"}}, "train: must name files of questions"),
        ({"directions": "yes"}, "directions must be true or false"),
        ({"split": {"val": 2}}, "split must be such as {val: 0.1, seed: 0}"),
        ({"split": {"val": 0.1}, "val": "q.jsonl"}, "leave one of them out"),
    ],
)
def test_wrong_data_yamls_end_in_one_line(tmp_path, change, said):
    content = {"images": "images", "train": "q.jsonl", **change}
    path = data_yaml(tmp_path, **{k: v for k, v in content.items() if v is not None})
    with pytest.raises(ConfigError) as caught:
        read_question_data(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# -- shipped sets ---------------------------------------------------------------------------------------------------

EARTH = {"1.png": [{"Type": "Basic Counting", "Question": "How many?", "Answer": 1}]}
RSVQA = {
    "questions": [{"id": 0, "img_id": 0, "type": "count", "question": "How many?", "answers_ids": [0], "active": True}],
    "answers": [{"id": 0, "question_id": 0, "answer": "12", "active": True}],
    "images": [{"id": 0, "active": True}],
}


def fake_originals(root: Path) -> None:
    """A picture and a question for each split of each shipped set, as their owners lay them out."""
    for split in ("Train", "Val", "Test"):
        text(root / "earthvqa-original" / f"{split}_QA.json", json.dumps(EARTH))
        picture(root / "earthvqa-original" / split / "images_png" / "1.png")
    for name, stem, images in (("rsvqa-lr", "LR", "Images_LR"), ("rsvqa-hr", "USGS", "Data")):
        for split in ("train", "val", "test"):
            for kind, items in RSVQA.items():
                text(root / f"{name}-original" / f"{stem}_split_{split}_{kind}.json", json.dumps({kind: items}))
        picture(root / f"{name}-original" / images / "0.tif")
    for file, images in (("Sydney/sydney_vqa.txt", ["1.tif", "2.tif"]), ("DOTA/dota_val_vqa2.txt", ["P1"])):
        folder = (root / "rsivqa-original" / file).parent
        text(root / "rsivqa-original" / file, "".join(f"{i}: what is the theme of this picture?sea\n" for i in images))
        for image in images:
            picture(folder / "images" / (image if "." in image else f"{image}.png"))


@pytest.mark.parametrize(
    ("name", "answer", "images"),
    [
        ("earthvqa", "1", {f"{s}/images_png/1.png" for s in ("Train", "Val", "Test")}),
        ("rsvqa-lr", "between 10 and 100", {"0.tif"}),
        ("rsvqa-hr", "12", {"0.tif"}),
        ("rsivqa", "sea", {"DOTA/images/P1", "Sydney/images/1.tif", "Sydney/images/2.tif"}),
    ],
)
def test_shipped_sets_are_found_in_the_files_of_their_owners(tmp_path, monkeypatch, caplog, name, answer, images):
    monkeypatch.setattr(module, "datasets_root", lambda: tmp_path)
    content = yaml.safe_load((datasets_dir() / f"{name}.yaml").read_text())
    assert {"licence", "homepage", "citation", "instruction"} <= set(content)
    with pytest.raises(DataError, match=f"^{name}: no files in .*{name}-original; .* there"):
        resolve_data(name, "vqa")
    fake_originals(tmp_path)
    path = resolve_data(name, "vqa")
    assert path == resolve_data(name) == tmp_path / name / f"{name}.yaml"
    data = read_question_data(path)
    found = {split: data.split(split) for split in data.splits}
    assert {q.answer for part in found.values() for q in part.questions} == {answer}
    assert {i for part in found.values() for i in part.images} == images
    assert ("UCM/ucm_vqa.txt" in caplog.text) == (name == "rsivqa")
    with pytest.raises(ConfigError, match=f"data={name} is for task=vqa, the model for task=detect"):
        resolve_data(name, "detect")


def test_a_shipped_set_of_which_a_split_is_missing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "datasets_root", lambda: tmp_path)
    fake_originals(tmp_path)
    (tmp_path / "earthvqa-original" / "Val_QA.json").unlink()
    with pytest.raises(DataError, match=r"earthvqa: Val_QA\.json of val is missing in .*; ask for EarthVQA by"):
        resolve_data("earthvqa", "vqa")


# -- labels on disk -------------------------------------------------------------------------------------------------


def labelled(root: Path, labels: dict[str, str | None], names=("car", "boat"), **content) -> Path:
    """A YOLO set; both splits have the same pictures."""
    for name, rows in labels.items():
        picture(root / "images" / "train" / f"{name}.png", (W, H))
        if rows is not None:
            text(root / "labels" / "train" / f"{name}.txt", rows)
    content = {"train": "images/train", "val": "images/train", "names": dict(enumerate(names)), **content}
    return text(root / "d.yaml", yaml.safe_dump({"path": str(root), **content}))


def of_image(loaded, name):
    return next(s for s in loaded.scenes["train"] if s.image == f"{name}.png")


def test_boxes_become_scenes_and_uncertain_pictures_are_left_out(tmp_path):
    path = labelled(
        tmp_path,
        {
            "plain": "0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.5 0.5\n0 0.5 0.5 0.25 0.5\n",  # the third is the first again
            "edge": "0 1.05 0.5 0.2 0.5\n",  # a part of it is in the picture, its centre is not
            "bare": None,
            "empty": "",
            "broken": "0 0.5 0.5\n1 0.5 0.5 0.1 0.1\n",
            "unknown": "7 0.5 0.5 0.1 0.1\n",
            "region": "0 0.5 0.5 0.1 0.1\n",
            "hard": "0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.1\n",
            "dontcare": "0 0.5 0.5 0.1 0.1\n2 0.2 0.2 0.1 0.1\n",
        },
        names=("car", "boat", "DontCare"),
        ignore="ignore",
        difficult="difficult",
    )
    text(tmp_path / "ignore" / "train" / "region.txt", "0.1 0.1 0.1 0.1\n")
    text(tmp_path / "difficult" / "train" / "hard.txt", "1 0.2 0.2 0.1 0.1\n")
    text(tmp_path / "images" / "train" / "no.png", "no picture")
    loaded = load_scenes(path)
    assert {s.image for s in loaded.scenes["train"]} == {f"{n}.png" for n in ("plain", "edge", "bare", "empty", "hard")}
    assert loaded.left_out == Counter({
        "pictures with ignored regions": 4, "pictures with labels that cannot be read": 4,
        "pictures that cannot be read": 2,
    })  # fmt: skip
    assert loaded.folder == tmp_path / "images" / "train"
    plain = of_image(loaded, "plain")
    assert (plain.width, plain.height, plain.names, plain.outlined) == (W, H, ("car", "boat"), False)
    assert [(i.name, i.ring.tolist()) for i in plain.items] == [
        ("car", [[24, 12], [40, 12], [40, 36], [24, 36]]), ("boat", [[0, 0], [32, 0], [32, 24], [0, 24]]),
    ]  # fmt: skip
    assert of_image(loaded, "hard").unsure == {"boat"}
    asked_ = {
        n: {q.text: q.answer for q in object_questions(of_image(loaded, n))} for n in ("edge", "bare", "hard", "plain")
    }
    assert not any("car" in t for t in asked_["edge"])
    assert asked_["bare"]["Are there any cars in the picture?"] == "no"
    assert not any("boat" in t for t in asked_["hard"])
    assert asked_["plain"]["How many cars are in the picture?"] == "1"


@pytest.mark.parametrize(
    ("rows", "outlined"),
    [
        ("0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5\n", True),  # four corners
        ("0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5 0.3 0.3\n", True),  # an outline
        ("0 0.5 0.5 0.5 0.5\n", False),
    ],
)
def test_areas_are_asked_where_labels_fit_the_objects(tmp_path, rows, outlined):
    loaded = load_scenes(labelled(tmp_path, {"a": rows, "b": None}))
    assert {s.outlined for s in loaded.scenes["train"]} == {outlined}
    ring = of_image(loaded, "a").items[0].ring
    assert ring[0].tolist() == ([32, 12] if outlined else [16, 12])
    text_ = "How much of the picture do cars cover?"
    assert {q.text: q.answer for q in object_questions(of_image(loaded, "b"))}.get(text_) == (
        "0%" if outlined else None
    )


def test_maps_become_scenes(tmp_path):
    path = labelled(
        tmp_path,
        {n: None for n in ("a", "b", "c", "d", "e")},
        names=("road", "water"),
        masks_dir="masks",
        task="semantic",
    )
    mask = np.zeros((H, W), np.uint8)
    mask[:, 32:], mask[0, 0] = 1, 255
    for name, values in (("a", mask), ("b", mask[1:]), ("c", mask + 3)):
        (tmp_path / "masks" / "train").mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(tmp_path / "masks" / "train" / f"{name}.png")
    text(tmp_path / "masks" / "train" / "e.png", "no picture")
    loaded = load_scenes(path)
    (only,) = loaded.scenes["train"]
    assert (only.image, only.stuff, only.names) == ("a.png", ("road", "water"), ())
    assert (only.cover == mask).all()
    assert sorted(loaded.left_out.values()) == [2, 2, 4]  # no mask; none that can be read; size and values


@pytest.mark.parametrize(
    ("names", "more", "values", "cover"),
    [
        (["slide"], {}, [0, 1, 255], [1, 0, 255]),  # 0 is beside the only class, and no place for it
        (["a", "b"], {"label_mapping": {7: 1, "others": "ignore"}}, [7, 0, 9], [1, 0, 255]),
        (["a", "b"], {"palette": {"a": "#ff0000", "b": "others"}}, [[255, 0, 0], [0, 0, 9], [255, 0, 0]], [0, 1, 0]),
        (["a", "b"], {"ignore_masks": ["shadow"]}, [0, 1, 1], [0, 1, 255]),
    ],
)  # fmt: skip
def test_masks_mean_to_questions_what_they_mean_to_the_task(tmp_path, names, more, values, cover):
    path = labelled(tmp_path, {"a": None}, names=names, masks_dir="masks", task="semantic", **more)
    at = np.arange(W) // 8 % 3
    for folder, content in (("masks", np.array(values, np.uint8)), ("shadow", np.array([0, 0, 1], np.uint8))):
        (tmp_path / folder / "train").mkdir(parents=True)
        Image.fromarray(content[np.tile(at, (H, 1))]).save(tmp_path / folder / "train" / "a.png")
    (only,) = load_scenes(path).scenes["train"]
    assert (only.cover == np.array(cover)[at]).all()


def test_classes_that_are_called_alike_and_data_without_labels_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"'person' and 'people' are both 'people' in a question; rename one"):
        load_scenes(labelled(tmp_path / "a", {"a": "0 0.5 0.5 0.1 0.1\n"}, names=("person", "people")))
    with pytest.raises(DataError, match=r"none of the 2 pictures .*: left out 2 for pictures with labels that cannot"):
        load_scenes(labelled(tmp_path / "b", {"a": "0 0.5\n"}))
    with pytest.raises(ConfigError, match="names no classes"):
        load_scenes(text(tmp_path / "c.yaml", "task: restore\ntrain: a\nval: a\n"))


def test_folders_of_classes_become_questions_about_themes(tmp_path):
    for name, n in (("aGrass", 5), ("bRiverLake", 10), (".git", 3), ("empty", 0)):
        (tmp_path / name).mkdir()
        for i in range(n):
            picture(tmp_path / name / f"{name}-{i}.jpg")
    (tmp_path / "empty").rmdir()
    loaded = load_scenes(tmp_path)
    assert {s: len(some) for s, some in loaded.scenes.items()} == {"train": 12, "val": 3}  # a fifth of each class
    assert not {s.image for s in loaded.scenes["train"]} & {s.image for s in loaded.scenes["val"]}
    made = make_questions(loaded.scenes)
    by_text: dict[str, dict[str, str]] = {}
    for q in made["train"]:
        assert by_text.setdefault(q.text, {}).setdefault(q.image.partition("/")[0], q.answer) == q.answer
    assert by_text == {
        "What is the theme of the picture?": {"aGrass": "grass", "bRiverLake": "river lake"},
        "Is this a picture of grass?": {"aGrass": "yes", "bRiverLake": "no"},
        "Is this a picture of river lake?": {"aGrass": "no", "bRiverLake": "yes"},
    }
    for split in ("train", "val"):
        for name in ("one", "two"):
            picture(tmp_path / "split" / split / name / "a.jpg")
    assert {s: [x.image for x in some] for s, some in load_scenes(tmp_path / "split").scenes.items()} == {
        s: [f"{s}/one/a.jpg", f"{s}/two/a.jpg"] for s in ("train", "val")
    }
    with pytest.raises(DataError, match="has 1 folders with pictures, expected one for each of two classes"):
        load_scenes(picture(tmp_path / "only" / "one" / "a.jpg").parents[1])


def test_the_mode_writes_a_set_that_can_be_read(tmp_path, capsys):
    rows = {
        f"{i}": "".join(f"{k % 2} {0.1 + 0.2 * k} {0.2 + 0.2 * (i // 5)} 0.1 0.1\n" for k in range(i % 5))
        for i in range(20)
    }
    path = labelled(tmp_path / "set", rows, licence="CC BY 4.0")
    made = questions(data=path, out=tmp_path / "q", seed=2)
    said = capsys.readouterr().out
    assert "most frequent answer 50.0 %" in said
    assert f"Questions saved to {tmp_path / 'q'}" in said
    assert sorted(p.name for p in made.parent.iterdir()) == [
        "data.yaml",
        "distribution.csv",
        "train.jsonl",
        "val.jsonl",
    ]
    data = read_question_data(resolve_data(made, "vqa"))
    assert (data.directions, data.name, data.content["licence"]) == (True, "q", "CC BY 4.0")
    train = data.split("train")
    assert train.images["4.png"] == tmp_path / "set" / "images" / "train" / "4.png"
    for q in train.questions:
        if q.text == "How many cars are in the picture?":
            assert q.answer == str((int(Path(q.image).stem) % 5 + 1) // 2)
    table = (made.parent / "distribution.csv").read_text().splitlines()
    assert sum(int(row.rpartition(",")[2]) for row in table[1:] if row.startswith("train,")) == len(train.questions)
    again = questions(data=path, out=tmp_path / "again", seed=2)
    assert (again.parent / "train.jsonl").read_bytes() == (made.parent / "train.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"out=.* holds files; choose another folder"):
        questions(data=path, out=tmp_path / "q")
    with pytest.raises(ConfigError, match="next_to='far' must be"):
        questions(data=path, out=tmp_path / "z", next_to="far")
    assert not (tmp_path / "z").exists()
    only = questions(data=path, out=tmp_path / "p", kinds="presence,count")
    assert {q.kind for q in read_questions(only.parent / "train.jsonl")} == {"presence", "count"}
    assert "directions" not in yaml.safe_load(only.read_text())


# -- rendered -------------------------------------------------------------------------------------------------------


def test_rendered_scenes_are_asked_about_as_they_were_drawn(tmp_path):
    path = make_demo_vqa(tmp_path / "demo", n_train=12, n_val=4, size=96, seed=1, progress=False)
    data = read_question_data(path)
    train = data.split("train")
    assert {p.parent.name for p in train.images.values()} == {"train"}
    assert {q.kind for q in train.questions} >= {"presence", "count", "area", "comparison"}
    asked_ = 0
    for q in train.questions:
        scene = render_scene(int(Path(q.image).stem.rpartition("_")[2]), 96)
        cars = int((scene.classes == 0).sum())
        if q.text == "How many cars are in the picture?":
            assert q.answer == (str(cars) if cars <= 20 else "more than 20")
            asked_ += 1
        if q.text == "Are there any cars in the picture?":
            assert q.answer == ("yes" if cars else "no")
    assert asked_
    before = {p.name: p.read_bytes() for p in path.parent.glob("*.*")}
    assert make_demo_vqa(tmp_path / "demo", n_train=12, n_val=4, size=96, seed=1, progress=False) == path
    again = make_demo_vqa(tmp_path / "other", n_train=12, n_val=4, size=96, seed=1, progress=False)
    assert {p.name: p.read_bytes() for p in again.parent.glob("*.*")} == before
    with pytest.raises(ConfigError, match="demo-vqa can be drawn for vqa"):
        make_demo_vqa(tmp_path / "x", task="detect")


def test_what_covers_rendered_ground_keeps_its_names():
    scene = render_scene(3, 96)
    of = as_scene(scene, "a.jpg")
    for number, name in ((1, "road"), (4, "water"), (3, "building")):
        assert int((of.cover == of.stuff.index(name)).sum()) == int((scene.cover == number).sum())
    assert (of.cover == 255).sum() == (scene.cover == 255).sum()


def test_real_sets_give_questions(shared_data, tmp_path):
    cars = shared_data / "aerial-cars"
    names = (cars / "aerial.names").read_text().split()
    content = {"path": str(cars), "train": ".", "val": ".", "names": dict(enumerate(names))}
    loaded = load_scenes(text(tmp_path / "cars.yaml", yaml.safe_dump(content)))
    scenes = loaded.scenes["train"]
    assert len(scenes) == 43
    assert not loaded.left_out
    counts = Counter(i.name for s in scenes for i in s.items)
    assert counts == {"car": 822, "bus": 57, "minibus": 46, "truck": 3}
    themes = load_scenes(shared_data / "rsscn7").scenes
    assert {s: len(some) for s, some in themes.items()} == {"train": 49, "val": 14}
    assert {s.theme for s in themes["val"]} == {
        "Grass",
        "Field",
        "Industry",
        "RiverLake",
        "Forest",
        "Resident",
        "Parking",
    }
