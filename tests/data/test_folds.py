"""``rsdet split``: every picture is validated on once, what belongs together is on one side, whatever the order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml
from fakes import contents, picture, text
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet import cli
from rsdet.data.folds import _folds, _groups, split
from rsdet.data.resolve import resolve_data, split_files
from rsdet.errors import ConfigError, DataError

TILES = [f"{scene}__x{x}_y0" for scene, n in {"P01": 5, "P02": 1, "harbour 3": 3, "Ж": 2, "P03": 1}.items()
         for x in range(n)]  # fmt: skip


def data_set(root: Path, stems=TILES, parts=("train", "val")) -> Path:
    """Pictures dealt to the parts in turn, so that tiles of a scene lie in both, each with a label."""
    for i, stem in enumerate(stems):
        part = parts[i % len(parts)]
        picture(root / "images" / part / f"{stem}.png", (8, 8))
        text(root / "labels" / part / f"{stem}.txt", "0 0.5 0.5 0.5 0.5\n")
    spec = {"path": str(root), **{part: f"images/{part}" for part in parts}, "names": {0: "ship"}, "gsd": 0.5}
    return text(root / "set.yaml", yaml.safe_dump(spec))


def listed(made: list[Path], part: str) -> list[list[Path]]:
    return [[Path(f) for f in Path(yaml.safe_load(y.read_text())[part]).read_text("utf-8").splitlines()] for y in made]


def scene(path: Path) -> str:
    return path.stem.split("__")[0]


def test_every_picture_is_validated_on_once_and_no_scene_is_on_both_sides(tmp_path):
    data = data_set(tmp_path / "set", parts=("train", "val", "test"))
    before = contents(tmp_path / "set")
    made = split(str(data), k=3, out=str(tmp_path / "folds"))
    train, val = listed(made, "train"), listed(made, "val")
    every = {p for part in ("train", "val") for p in (tmp_path / "set" / "images" / part).iterdir()}
    assert Counter(p for fold in val for p in fold) == Counter(every)
    for t, v in zip(train, val, strict=True):
        assert {*t} | {*v} == every
        assert not {map(scene, t)} & {map(scene, v)}
        assert not {scene(p) for p in t} & {scene(p) for p in v}
    assert max(map(len, val)) - min(map(len, val)) <= 2
    assert contents(tmp_path / "set") == before  # nothing copied, nothing moved
    content = yaml.safe_load(made[0].read_text())
    assert (content["names"], content["gsd"], content["test"]) == ({0: "ship"}, 0.5, "images/test")


def test_the_folds_are_the_same_wherever_the_pictures_lie_and_in_whatever_part(tmp_path):
    def drawn(root: Path, stems, parts=("train", "val"), seed=0) -> list[set[str]]:
        made = split(str(data_set(root / "set", stems, parts)), k=3, seed=seed, out=str(root / "folds"))
        return [{p.stem for p in fold} for fold in listed(made, "val")]

    first = drawn(tmp_path / "a", TILES)
    assert drawn(tmp_path / "b", TILES[::-1], ("val", "train")) == first
    assert drawn(tmp_path / "c", TILES, seed=1) != first
    assert drawn(tmp_path / "a", TILES) == first  # over itself


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=30), st.integers(2, 6), st.integers(0, 9))
def test_folds_are_whole_and_as_equal_as_whole_groups_allow(sizes, k, seed):
    groups = {f"g{i}": [f"g{i}-{j}" for j in range(n)] for i, n in enumerate(sizes)}
    if len(groups) < k:
        with pytest.raises(DataError, match="lower k="):
            _folds(groups, k, seed)
        return
    folds = _folds(groups, k, seed)
    assert sorted(g for fold in folds for g in fold) == sorted(groups)
    counts = [sum(len(groups[g]) for g in fold) for fold in folds]
    assert max(counts) - min(counts) <= max(sizes)
    assert _folds(dict(reversed(groups.items())), k, seed) == folds


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("scene", {"a_1", "a_2", "b_10"}),
        ("sequence", {"a", "b"}),
        ("image", {"images/a_1.png", "images/a_2.png", "images/b_10.png"}),
        ("^[ab]", {"a", "b"}),
        (r"_(\d)", {"1", "2"}),
    ],
)
def test_what_a_rule_or_a_pattern_keeps_together(by, expected):
    files = [f"/set/images/{name}.png" for name in ("a_1", "a_2", "b_10")]
    assert {*_groups(files, Path("/set"), by)} == expected


def test_a_fold_is_read_like_any_data(tmp_path, capsys):
    """From the command line; pictures and labels are found through the lists."""
    data = data_set(tmp_path / "set")
    assert cli.run(["split", f"data={data}", "k=2", "by=^[^_]+", f"out={tmp_path / 'folds'}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"2 folds saved to {tmp_path / 'folds'}"
    fold = tmp_path / "folds" / "fold1.yaml"
    files, _ = split_files(fold, "val", 10**9, "detect")
    assert sorted(files) == sorted(listed([fold], "val")[0])
    with pytest.raises(ConfigError, match="has labels for task=detect"):
        resolve_data(fold, "obb")


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ({"k": 1}, ConfigError, "k=1 must be 2 or more"),
        ({"k": 6}, DataError, "5 groups .* cannot make k=6"),
        ({"by": "("}, ConfigError, "no regular expression"),
        ({"by": "^(x_)?"}, DataError, "does not fit the name"),  # it fits nothing, and nothing is no name of a group
        ({"by": "scnee"}, DataError, "does not fit the name .*Did you mean 'scene'"),
    ],
)
def test_what_cannot_be_folded_is_one_line_and_writes_nothing(tmp_path, keys, error, message):
    data = data_set(tmp_path / "set")
    with pytest.raises(error, match=message) as e:
        split(str(data), out=str(tmp_path / "folds"), **keys)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "folds").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [("k=1", "k=1 must be"), ("k=x", "k='x' must"), ("task=vqa", "task='vqa' must"), ("k=3", "data=;")],
)
def test_what_is_wrong_is_told_before_what_is_missing(capsys, word, said):
    assert cli.run(["split", word]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("other", [{"k": 2}, {"k": 4}, {"k": 3, "seed": 1}])
def test_folds_that_are_there_are_never_others_afterwards(tmp_path, other):
    """Something may have been trained on them, and would be measured on what it has seen."""
    data = data_set(tmp_path / "set")
    split(str(data), k=3, out=str(tmp_path / "folds"))
    before = contents(tmp_path / "folds")
    with pytest.raises(DataError, match=r"holds fold\d.* of another split; choose another out="):
        split(str(data), **other, out=str(tmp_path / "folds"))
    assert contents(tmp_path / "folds") == before
    split(str(data), k=3, out=str(tmp_path / "folds"))
    assert contents(tmp_path / "folds") == before


def test_a_set_for_another_task_is_refused_before_it_is_drawn(monkeypatch):
    monkeypatch.setattr("rsdet.data.folds.resolve_data", lambda *args: pytest.fail("drawn"))
    with pytest.raises(ConfigError, match="data=demo-vqa is for task=vqa"):
        split("demo-vqa")


@pytest.mark.parametrize(
    ("data", "task", "fit"), [("demo", "nope", "detect, obb, segment, semantic"), ("visdrone", "segmnt", "detect")]
)
def test_a_task_that_data_are_not_made_for_names_those_that_they_are(monkeypatch, data, task, fit):
    monkeypatch.setattr("rsdet.data.folds.resolve_data", lambda *args: pytest.fail("drawn"))
    with pytest.raises(ConfigError, match=f"task='{task}' must be a task that data={data} are for: {fit}\\.") as e:
        split(data, task=task)
    assert "model" not in str(e.value)  # there is none


def test_data_whose_pictures_come_in_pairs_are_refused(tmp_path):
    for part in ("train", "val"):
        picture(tmp_path / part / "A" / "a.png", (8, 8))
    spec = {"task": "change", "path": str(tmp_path), "train": "train", "val": "val", "names": {0: "changed"}}
    with pytest.raises(ConfigError, match="task=change, whose pictures do not stand in lists"):
        split(str(text(tmp_path / "c.yaml", yaml.safe_dump(spec))), k=2)
