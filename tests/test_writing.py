"""Results appear whole or not at all, each run has a folder of its own, and what a killed run left is removed."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rsdet import writing
from rsdet.errors import DataError, WriteError
from rsdet.paths import home
from rsdet.writing import (
    full_disk,
    new_folder,
    put,
    replacing,
    sweep,
    workplace,
    write_bytes,
    write_csv,
    write_if_changed,
    write_picture,
    write_text,
)

WORKS = """
import sys, time
from pathlib import Path
from rsdet.writing import workplace
with workplace(Path(sys.argv[1]), "export") as place:
    (place / "half").write_text("half")
    print("here", flush=True)
    time.sleep(600)
"""
MAKES = """
import sys
from rsdet.writing import new_folder
sys.stdin.readline()
print(new_folder(sys.argv[1]))
"""


def at_work(folder: Path) -> subprocess.Popen:
    child = subprocess.Popen([sys.executable, "-c", WORKS, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline().strip() == "here"
    return child


@pytest.fixture
def full(monkeypatch):
    """Every file takes ten bytes and no more."""
    write = Path.write_bytes

    def write_some(self, data):
        write(self, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_bytes", write_some)


WRITERS = {
    "text.json": lambda p: write_text(p, "{}" * 100),
    "table.csv": lambda p: write_csv(p, ["a"], [{"a": 1}] * 100),
    "data.bin": lambda p: write_bytes(p, b"x" * 50, b"y" * 50),
    "labels.txt": lambda p: write_if_changed(p, "0 .5 .5 .1 .1\n" * 20),
    "picture.jpg": lambda p: write_picture(p, np.zeros((40, 50, 3), np.uint8)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_earlier_file_and_says_so(name, tmp_path, full):
    (tmp_path / name).write_text("earlier")
    with pytest.raises(WriteError, match=r"no space is left.*free some space there, or choose another folder") as e:
        WRITERS[name](tmp_path / name)
    assert str(tmp_path) in str(e.value)
    assert "\n" not in str(e.value)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, "earlier")]


def test_the_folder_that_is_named_is_the_one_asked_for(tmp_path, full):
    def record():
        with workplace(tmp_path, "record") as place:
            write_text(place / "a.json", "{}" * 100)

    with pytest.raises(WriteError, match=f"written to {re.escape(str(tmp_path))}: no space"):
        record()


def test_a_writer_of_others_on_a_full_disk(tmp_path):
    def call(number, *more):
        with full_disk(tmp_path):
            raise OSError(number, os.strerror(number), *more)

    with pytest.raises(WriteError, match=f"{re.escape(str(tmp_path))}: no space"):
        call(errno.ENOSPC)
    with pytest.raises(OSError, match="/elsewhere"):
        call(errno.ENOSPC, "/elsewhere")
    with pytest.raises(PermissionError):
        call(errno.EACCES)


class _OfOthers(Exception):
    """As safetensors raises."""


@pytest.mark.parametrize(
    ("error", "free", "said"),
    [
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), 1 << 40, "is left (Disk quota exceeded);"),
        (OSError("100 requested and 8 written"), 1 << 40, "is left (100 requested and 8 written);"),  # NumPy
        (OSError("sqlite3_exec(INSERT) failed: database or disk is full"), 1 << 40, "(database or disk is full);"),
        (_OfOthers("I/O error: No space left on device (os error 28)"), 1 << 40, "(No space left on device);"),
        (OSError("Write failed. See previous exception for details."), 4096, "is left (4,096 bytes are free);"),
        (OSError("Write failed. See previous exception for details."), 1 << 40, "(scanline 0); check its permissions"),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), 4096, "(Permission denied); check its permissions, or"),
    ],
)  # fmt: skip
def test_writers_of_others_say_in_their_ways_that_a_disk_is_full(tmp_path, monkeypatch, error, free, said):
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    with pytest.raises(WriteError, match=re.escape(said)), replacing(tmp_path / "a.tif"):
        raise error from RuntimeError("scanline 0")


def test_an_error_of_a_writer_that_is_no_full_disk_passes(tmp_path):
    with pytest.raises(_OfOthers), replacing(tmp_path / "a.tif"):
        raise _OfOthers("a bug")


def test_what_is_written_can_be_read(tmp_path):
    assert write_text(tmp_path / "new" / "a.txt", "é\n").read_bytes() == "é\n".encode()
    assert write_bytes(tmp_path / "b", b"x", b"yz").read_bytes() == b"xyz"
    assert (
        write_csv(tmp_path / "t.csv", ["a", "b"], [{"a": 1}, {"b": "x,y"}]).read_bytes() == b'a,b\r\n1,\r\n,"x,y"\r\n'
    )
    assert [write_if_changed(tmp_path / "c", text) for text in ("1", "1", "2")] == [True, False, True]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "c", "new", "t.csv"]


def test_a_name_as_long_as_names_may_be(tmp_path):
    name = "片" * 80 + ".txt"
    assert write_text(tmp_path / name, "x").name == name


def test_a_format_that_no_picture_has(tmp_path):
    with pytest.raises(DataError, match="does not end as a picture does"):
        write_picture(tmp_path / "a.xyz", np.zeros((4, 4), np.uint8))


def test_no_permission_is_no_full_disk(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"cannot be read or written.*permissions"):
        write_text(tmp_path / "file" / "below.txt", "x")


def test_of_what_is_kept_for_all_runs_the_folder_is_chosen_by_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("RSDET_HOME", str(tmp_path / "kept"))
    (tmp_path / "kept").write_text("a file")
    for folder, remedy in (("kept/demo", "set RSDET_HOME to another folder"), ("kept2", "with project= or out=")):
        (tmp_path / "kept2").write_text("another")
        with pytest.raises(WriteError, match=remedy):
            write_text(tmp_path / folder / "a.txt", "a")


def test_of_data_sets_the_folder_is_chosen_in_the_settings(tmp_path, monkeypatch):
    monkeypatch.setattr("ultralytics.utils.DATASETS_DIR", tmp_path / "sets")
    (tmp_path / "sets").write_text("a file")
    with pytest.raises(WriteError, match="yolo settings datasets_dir=FOLDER") as e:
        write_text(tmp_path / "sets" / "hit-uav-original" / "a.txt", "a")
    assert "project=" not in str(e.value)


def test_a_home_of_nothing_is_none_and_a_tilde_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for said, place in (("", ".cache/rsdet"), ("~/kept", "kept")):
        monkeypatch.setenv("RSDET_HOME", said)
        assert home() == tmp_path / place


def test_two_records_of_one_name_are_never_mixed(tmp_path):
    def write(k):
        with workplace(tmp_path, "record") as place:
            (place / "folder").mkdir()
            for name in ("a", "b"):
                (place / "folder" / name).write_text(str(k))
            put(place / "folder", tmp_path / "folder")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert len({(tmp_path / "folder" / name).read_text() for name in ("a", "b")}) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


# ------------------------------------------------------------------------------------------------- folders of runs


def test_processes_that_begin_at_once_have_a_folder_each(tmp_path):
    command = [sys.executable, "-c", MAKES, str(tmp_path / "runs" / "predict")]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    made = [child.communicate(timeout=600)[0].strip() for child in children]
    folder = (tmp_path / "runs").resolve()
    assert set(made) == {str(folder / n) for n in ("predict", "predict-2", "predict-3", "predict-4")}


def test_threads_that_begin_at_once_have_a_folder_each(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_folder(tmp_path / "run"), range(24)))
    assert len(set(made)) == 24


def test_a_folder_that_may_exist_is_taken(tmp_path):
    assert new_folder(tmp_path / "run", exist_ok=True) == new_folder(tmp_path / "run", exist_ok=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        new_folder(tmp_path / "file", exist_ok=True)
    assert new_folder(tmp_path / "file").name == "file-2"


# --------------------------------------------------------------------------------------------- what a killed one left


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_next_run_removes_what_a_killed_one_left(tmp_path):
    killed, lives = at_work(tmp_path), at_work(tmp_path)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    try:
        write_text(tmp_path / "new.txt", "x")
        (left,) = (p for p in tmp_path.iterdir() if p.name != "new.txt")
        assert f"-{lives.pid}-" in left.name
        assert (left / "half").read_text() == "half"
    finally:
        lives.kill()
        lives.wait()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_new_folder_removes_what_the_run_before_left_in_its_own(tmp_path):
    first = new_folder(tmp_path / "predict")
    child = at_work(first / "crops")
    child.kill()
    child.wait()
    new_folder(tmp_path / "predict")
    assert list((first / "crops").iterdir()) == []


def test_a_number_that_was_given_again_is_another_process(tmp_path):
    machine, pid, started = writing._owner().split("-")
    (tmp_path / f".x.{machine}-{pid}-{int(started) - 5}.abc.part").mkdir()
    mine = tmp_path / f".x.{machine}-{pid}-{started}.abc.part"
    mine.mkdir()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]


def test_another_machine_on_the_same_disk_is_left_its_work(tmp_path):
    foreign, old = tmp_path / ".x.00000000-1-1.abc.part", tmp_path / ".x.00000000-1-1.abd.part"
    for folder, age_s in ((foreign, 24 * 3600), (old, 30 * 24 * 3600)):
        folder.mkdir()
        (folder / "half").write_text("")
        then = time.time() - age_s
        os.utime(folder / "half", (then, then))
        os.utime(folder, (then, then))
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [foreign]


def test_links_among_the_leftovers_lose_nothing_elsewhere(tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("x")
    gone = f".a.{writing._machine()}-999999999-1.x.part"
    for name in (gone, gone.replace("a", "m", 1), ".z.00000000-1-1.x.part"):
        (run / name).mkdir()
        (run / name / "link").symlink_to(elsewhere)
        (run / name / "nowhere").symlink_to(tmp_path / "nowhere")
    (run / gone.replace(".a", ".b", 1)).symlink_to(elsewhere)
    sweep(run)
    assert sorted(p.name[:2] for p in run.iterdir()) == [".b", ".z"]
    assert (elsewhere / "mine.txt").read_text() == "x"


def test_files_of_others_are_no_leftovers(tmp_path):
    names = [".x.part", "x.part", "download.zip.part", ".git", ".x.1234-1-1.part"]
    for name in names:
        (tmp_path / name).write_text("")
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


def test_an_interruption_leaves_nothing(tmp_path):
    def interrupted():
        with replacing(tmp_path / "a") as new:
            new.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
