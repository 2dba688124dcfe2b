"""Which pictures keep their labels: the same on every machine, and what a list cannot be is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsdet.data.semi.labelled import divide
from rsdet.errors import ConfigError, DataError

PICTURES = [Path(f"/data/images/sol_{i:03d}.jpg") for i in range(150)]


def test_a_share_is_seeded_nested_and_stated():
    fifth, half = divide(PICTURES, 0.2), divide(PICTURES, "0.5")
    assert len(fifth.labelled) == 30
    assert set(fifth.labelled) < set(half.labelled)
    assert fifth.unlabelled == tuple(PICTURES)
    elsewhere = divide([Path("/elsewhere") / p.with_suffix(".png").name for p in PICTURES], 0.2)
    assert [p.stem for p in elsewhere.labelled] == [p.stem for p in fifth.labelled]
    assert fifth.labelled != divide(PICTURES, 0.2, seed=1).labelled
    assert fifth.describe() == "30 pictures with labels (0.2 of 150, seed 0), 120 without"
    assert [p.name for p in divide(PICTURES, 0.02).labelled] == ["sol_011.jpg", "sol_037.jpg", "sol_092.jpg"]


def test_all_and_the_least():
    everything = divide(PICTURES)
    assert everything.labelled == everything.unlabelled == tuple(PICTURES)
    assert len(divide(PICTURES[:3], 0.01).labelled) == 1


def test_lists_of_names_and_of_places(tmp_path):
    (tmp_path / "list.txt").write_text("# chosen\nsol_004\nimages/sol_002.jpg\n\nsol_004.jpg\n")
    assert divide(PICTURES, tmp_path / "list.txt").labelled == (PICTURES[2], PICTURES[4])
    (tmp_path / "places.txt").write_text("7\n0\n")
    found = divide(PICTURES, str(tmp_path / "places.txt"))
    assert found.labelled == (PICTURES[0], PICTURES[7])
    assert "listed in places.txt" in found.describe()


def test_names_that_are_numbers_are_names(tmp_path):
    numbers = [Path(f"{i}.png") for i in (30, 7, 1)]
    (tmp_path / "list.txt").write_text("1\n")
    assert divide(numbers, tmp_path / "list.txt").labelled == (numbers[2],)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sol_004\nsol_999\nsol_998\n", "2 of 3 that are not among the 150 training pictures, such as 'sol_999'"),
        ("150\n", "1 of 1"),
        ("\n# nothing\n", "names no picture"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_wrong_lists(tmp_path, text, says):
    file = tmp_path / "labelled.txt"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=says) as e:
        divide(PICTURES, file)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("share", [0, -0.2, 1.5, "nan"])
def test_wrong_shares(share):
    with pytest.raises(ConfigError, match="above 0 to 1"):
        divide(PICTURES, share)


def test_folders_besides(tmp_path):
    for name in ("a.jpg", "b.tif", "notes.txt"):
        (tmp_path / name).touch()
    found = divide(PICTURES, 0.2, folders=[tmp_path])
    assert found.unlabelled[150:] == (tmp_path / "a.jpg", tmp_path / "b.tif")
    with pytest.raises(DataError, match="does not exist"):
        divide(PICTURES, 0.2, folders=[tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        divide(PICTURES, 0.2, folders=[tmp_path / "empty"])


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path):
    pictures = [Path("/d/a/x.png"), Path("/d/b/x.png"), Path("/d/b/x.jpg"), Path("/d/b/y.png")]
    file = tmp_path / "list.txt"
    for line, meant in (("a/x", 0), ("/elsewhere/b/x.png", 1), ("b\\x.jpg", 2), ("x.jpg", 2), ("c/y", 3)):
        file.write_text(f"{line}\n")
        assert divide(pictures, file).labelled == (pictures[meant],)
    for line in ("x", "c/x.png", "b/x"):
        file.write_text(f"{line}\n")
        with pytest.raises(DataError, match=r"may be /d/./x\.png or .*tells them apart"):
            divide(pictures, file)


def test_a_picture_of_the_set_is_learnt_from_once_however_its_folder_is_written(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert divide([tmp_path / "a.png"], folders=["."]).unlabelled == (tmp_path / "a.png", Path("b.png"))


def test_pictures_that_are_both_learnt_from_and_measured_are_counted(tmp_path):
    (tmp_path / "a").mkdir()
    for name in "pqr":
        (tmp_path / "a" / f"{name}.jpg").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    share = divide([tmp_path / "a" / "p.jpg"], folders=[tmp_path / "b"])
    assert share.among([tmp_path / "a" / ".." / "a" / "q.jpg", tmp_path / "b" / "r.jpg", tmp_path / "c.jpg"]) == 2
    assert share.among([]) == 0
