"""The ledger of a scene: which tiles are done and what was found in them, safe from whatever ends the process.

One transaction for each batch of tiles. Finished tiles are kept as ranges and what was found as bytes without code, so
that a ledger grows with the objects of a scene and not with its size.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from rsdet.errors import DataError, RSDetError, WriteError
from rsdet.scenes.found import Found
from rsdet.writing import disk_errors

SUFFIX = ".ledger"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS done (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS found (tile INTEGER PRIMARY KEY, objects BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS unread (tile INTEGER PRIMARY KEY, why TEXT NOT NULL);
"""


class Unfinished(RSDetError):
    """A run that cannot go on; what is done is kept, and the next run goes on from there."""


def fingerprint(facts: Mapping[str, Any]) -> str:
    """SHA-256 of plain values; two runs with the same would find the same."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def remove(path: Path) -> None:
    """Remove a ledger once its layers stand."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class Ledger:
    """What is done of a scene.

    Args:
        path: File; made where it is missing.
        identity: Fingerprint of model, scene and settings.

    Raises:
        DataError: The file belongs to another model, scene or setting, or is no ledger.
        WriteError: The disk is full or the folder cannot be written.
    """

    def __init__(self, path: Path, identity: str):
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=2, isolation_level=None)
        except sqlite3.DatabaseError as e:
            raise _not_kept(path, e) from e
        try:
            self._open(identity)
        except BaseException:
            self.close()
            raise

    def _open(self, identity: str) -> None:
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # one process for each part of a run
            self._db.execute("PRAGMA journal_mode=WAL")
            # A killed process loses nothing, a power cut the last seconds.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            with closing(sqlite3.connect(":memory:")) as ours:
                ours.executescript(_SCHEMA)
                if _tables(ours) != _tables(self._db):  # views and triggers among them
                    raise ValueError("it holds other tables")
            stored = self.fact("identity")
            if stored is None and self.count:
                raise ValueError("it does not say of which run")
        except sqlite3.OperationalError as e:
            raise _not_kept(self.path, e) from e
        except (sqlite3.DatabaseError, ValueError) as e:
            raise _refused(self.path, e) from e
        if stored is None:
            self.note(identity=identity)
        elif stored != identity:
            raise DataError(
                f"{self.path} holds an unfinished run of another model, another scene or other settings; give this one "
                "another name=, or remove that folder."
            )

    def close(self) -> None:
        """Close the file; nothing is lost without."""
        self._db.close()

    def fact(self, name: str) -> Any:
        """A value that was noted; None where it was not."""
        row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        try:
            return None if row is None else json.loads(row[0])
        except ValueError as e:
            raise _refused(self.path, e) from e

    def note(self, **facts: Any) -> None:
        """Keep plain values by name."""
        with _Transaction(self):
            rows = [(k, json.dumps(v)) for k, v in facts.items()]
            self._db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", rows)

    def add(
        self,
        first: int,
        last: int,
        found: Mapping[int, Found] | None = None,
        unread: Mapping[int, str] | None = None,
        **counts: int,
    ) -> None:
        """Note that all tiles from first to last are done.

        Args:
            first: Number of the first tile.
            last: Number of the last tile, itself included.
            found: What was found in those with objects.
            unread: Why those could not be read that were not.
            **counts: Facts about all that are done, such as how many had data.
        """
        with _Transaction(self):
            for fact in counts.items():
                self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", fact)
            rows = [(number, part.to_bytes()) for number, part in (found or {}).items() if len(part)]
            self._db.executemany("INSERT OR REPLACE INTO found VALUES (?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO unread VALUES (?, ?)", list((unread or {}).items()))
            row = self._db.execute("SELECT first FROM done WHERE last = ?", (first - 1,)).fetchone()
            after = self._db.execute("SELECT last FROM done WHERE first = ?", (last + 1,)).fetchone()
            if after is not None:
                self._db.execute("DELETE FROM done WHERE first = ?", (last + 1,))
            begin, end = (first if row is None else row[0]), (last if after is None else after[0])
            self._db.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (begin, end))

    def missing(self, first: int, last: int) -> list[range]:
        """Numbers from first up to last, itself excluded, that are not done, as ranges in order."""
        gaps, at = [], first
        rows = self._db.execute(
            "SELECT first, last FROM done WHERE last >= ? AND first < ? ORDER BY first", (first, last)
        )
        for begin, end in rows:
            if begin > at:
                gaps.append(range(at, begin))
            at = max(at, end + 1)
        return [*gaps, range(at, last)] if at < last else gaps

    @property
    def count(self) -> int:
        """Tiles that are done."""
        return self._db.execute("SELECT COALESCE(SUM(last - first + 1), 0) FROM done").fetchone()[0]

    def parts(self) -> Iterator[Found]:
        """What was found, tile by tile.

        Raises:
            DataError: The file is damaged.
        """
        try:
            for (data,) in self._db.execute("SELECT objects FROM found ORDER BY tile"):
                yield Found.of_bytes(data)
        except (sqlite3.DatabaseError, ValueError, TypeError, OSError, KeyError, EOFError) as e:
            raise _refused(self.path, e) from e

    def unread(self) -> dict[int, str]:
        """Tiles that could not be read, and why."""
        return {tile: str(why) for tile, why in self._db.execute("SELECT tile, why FROM unread ORDER BY tile")}

    def take(self, other: Ledger) -> None:
        """Take over all that another ledger of the same run holds."""
        with _Transaction(self):
            for table in ("found", "unread"):
                rows = other._db.execute(f"SELECT * FROM {table}")
                self._db.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", rows)
        for first, last in other._db.execute("SELECT first, last FROM done ORDER BY first"):
            for gap in self.missing(first, last + 1):
                self.add(gap.start, gap.stop - 1)


def _tables(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return set(db.execute("SELECT type, name, sql FROM sqlite_master"))


class _Transaction:
    """All of what is written inside, or nothing; a full disk is told in one line."""

    def __init__(self, ledger: Ledger):
        self.ledger = ledger

    def __enter__(self) -> None:
        self._run("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._run("COMMIT")
            return
        if self.ledger._db.in_transaction:
            self.ledger._db.execute("ROLLBACK")
        if isinstance(error, sqlite3.DatabaseError):
            raise _not_kept(self.ledger.path, error) from error

    def _run(self, statement: str) -> None:
        try:
            self.ledger._db.execute(statement)
        except sqlite3.DatabaseError as e:
            raise _not_kept(self.ledger.path, e) from e


def _not_kept(path: Path, e: sqlite3.DatabaseError) -> WriteError:
    if "locked" in str(e):
        return WriteError(
            f"{path} is in use by another process that does the same run; wait for it, or use another name=."
        )
    if "unable to open" in str(e):
        return WriteError(
            f"{path} cannot be opened ({e}); check the permissions of its folder, and that the whole name has fewer "
            "than 500 bytes, or choose another project=."
        )
    why = "no space is left" if "full" in str(e) else str(e)
    return WriteError(
        f"{path} cannot be written ({why}); free some space there and run the same command again: it goes on from the "
        "last finished tile."
    )


def _refused(path: Path, e: BaseException) -> DataError:
    return DataError(f"{path} is no ledger of a scene ({e}); remove it, or give this run another name=.")
