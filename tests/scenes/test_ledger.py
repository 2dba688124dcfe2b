"""The ledger: nothing that was noted is lost, and no other run's ledger is taken."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rsdet.errors import DataError, WriteError
from rsdet.scenes.found import Found
from rsdet.scenes.ledger import Ledger


def objects(n: int, tile: int, rng: np.random.Generator) -> Found:
    """Random objects of a tile."""
    boxes = rng.uniform(0, 50, (n, 4))
    return Found(boxes, rng.random(n), rng.integers(0, 3, n), np.full(n, tile), np.zeros(n), np.zeros(n), np.zeros(n))


def test_what_is_noted_in_any_order_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = {i: objects(int(rng.integers(0, 4)), i, rng) for i in range(40)}
    ledger = Ledger(tmp_path / "a.ledger", "me")
    for first in rng.permutation(np.arange(0, 40, 4)).tolist():
        ledger.add(first, first + 3, {i: parts[i] for i in range(first, first + 4)})
        assert ledger.count == sum(1 for i in range(40) if not any(i in gap for gap in ledger.missing(0, 40)))
    ledger.close()
    again = Ledger(tmp_path / "a.ledger", "me")
    assert again.missing(0, 40) == []
    assert again.missing(38, 45) == [range(40, 45)]
    assert [f.to_bytes() for f in again.parts()] == [parts[i].to_bytes() for i in range(40) if len(parts[i])]
    (rows,) = again._db.execute("SELECT COUNT(*) FROM done").fetchone()
    assert rows == 1  # neighbours are one range: a ledger does not grow with the scene


def test_gaps_are_what_is_missing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "me")
    assert ledger.missing(0, 5) == [range(0, 5)]
    ledger.add(2, 3)
    ledger.add(7, 9, unread={8: "block 3 cannot be read"})
    assert ledger.missing(0, 12) == [range(0, 2), range(4, 7), range(10, 12)]
    assert ledger.missing(3, 8) == [range(4, 7)]
    assert ledger.unread() == {8: "block 3 cannot be read"}


def test_the_ledger_of_another_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "me")
    ledger.add(0, 3)
    ledger.close()
    with pytest.raises(DataError, match="another model, another scene or other settings"):
        Ledger(tmp_path / "a.ledger", "you")
    assert Ledger(tmp_path / "a.ledger", "me").count == 4


def test_no_ledger_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.ledger").write_text("not a database at all, " * 100)
    with pytest.raises(DataError, match="no ledger"):
        Ledger(tmp_path / "a.ledger", "me")


def test_bytes_with_code_in_a_ledger_run_nothing(tmp_path: Path) -> None:
    import io
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'pwned'}",)

    ledger = Ledger(tmp_path / "a.ledger", "me")
    out = io.BytesIO()
    np.savez(out, boxes_xyxy=np.array([Evil()], dtype=object))
    for data in (out.getvalue(), pickle.dumps(Evil())):
        ledger._db.execute("INSERT OR REPLACE INTO found VALUES (1, ?)", (data,))
        with pytest.raises(DataError, match="no ledger"):
            list(ledger.parts())
    assert not (tmp_path / "pwned").exists()


def test_a_second_process_with_the_same_run_is_told_to_wait(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "me")
    ledger.add(0, 3)
    with pytest.raises(WriteError, match="in use"):
        Ledger(tmp_path / "a.ledger", "me")


def test_a_full_disk_leaves_what_was_noted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "me")
    ledger.add(0, 3)
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count={pages}")

    def fill() -> None:
        for i in range(4, 400):
            ledger.add(i, i, {i: objects(100, i, np.random.default_rng(i))})

    with pytest.raises(WriteError, match="no space"):
        fill()
    ledger.close()
    assert Ledger(tmp_path / "a.ledger", "me").count >= 4


def test_a_killed_process_loses_nothing_that_it_had_noted(tmp_path: Path) -> None:
    code = textwrap.dedent(
        f"""
        from pathlib import Path
        from rsdet.scenes.ledger import Ledger
        ledger = Ledger(Path({str(tmp_path / "a.ledger")!r}), "me")
        for i in range(10**9):
            ledger.add(i, i)
            print(i, flush=True)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(25)]
    os.kill(process.pid, signal.SIGKILL)
    said += [int(line) for line in process.stdout.read().split()]
    process.wait()
    assert Ledger(tmp_path / "a.ledger", "me").count in (len(said), len(said) + 1)


def test_a_ledger_takes_over_the_parts_of_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    parts = {i: objects(2, i, rng) for i in range(9)}
    whole = Ledger(tmp_path / "whole.ledger", "me")
    for k in range(3):
        part = Ledger(tmp_path / f"{k}.ledger", "me")
        part.add(3 * k, 3 * k + 2, {i: parts[i] for i in range(3 * k, 3 * k + 3)}, {3 * k: "no"} if k == 1 else None)
        whole.take(part)
    assert whole.missing(0, 9) == []
    assert whole.unread() == {3: "no"}
    assert len(list(whole.parts())) == 9


def test_sqlite_is_what_it_is_kept_in(tmp_path: Path) -> None:
    """So that anybody can look into it."""
    Ledger(tmp_path / "a.ledger", "me").close()
    tables = sqlite3.connect(tmp_path / "a.ledger").execute("SELECT name FROM sqlite_master WHERE type='table'")
    assert {"done", "fact", "found", "unread"} <= {name for (name,) in tables}


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER t AFTER INSERT ON done BEGIN DELETE FROM found; END",
        "DROP TABLE found; CREATE VIEW found AS SELECT 1 AS tile, x'00' AS objects",
        "DROP TABLE done; CREATE TABLE done (x)",
        "DELETE FROM fact",
        "UPDATE fact SET value = '{'",
    ],
)
def test_a_ledger_of_another_make_is_refused(tmp_path: Path, change: str) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "me")
    ledger.add(0, 3, {0: objects(2, 0, np.random.default_rng(0))})
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "a.ledger")) as db:
        db.executescript(change)
    with pytest.raises(DataError, match="no ledger"):
        Ledger(tmp_path / "a.ledger", "me")


def test_objects_of_another_make_are_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a.ledger", "me")
    for content in ("'abc'", "x''", "x'504b0304'"):
        ledger._db.execute(f"INSERT OR REPLACE INTO found VALUES (0, {content})")
        with pytest.raises(DataError, match="no ledger"):
            list(ledger.parts())
