"""Bands of finished rows that wait for their file, each whole or not there: what a stopped run goes on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from zipfile import is_zipfile

import numpy as np

from rsdet.errors import DataError, RSDetError
from rsdet.textfiles import read_json
from rsdet.writing import disk_errors, replacing, write_text

_FACTS = "run.json"


class Parts:
    """Parts of a file, in a hidden folder beside it.

    Args:
        out: The file.
        identity: Of all that decides its bytes.
        count: Number of parts.

    Attributes:
        folder: Where they lie.
        done: The first so many are there; all of them when the file itself is.

    Raises:
        DataError: The folder holds parts of another run.
    """

    def __init__(self, out: Path, identity: str, count: int):
        self.out, self.identity, self.count = out, identity, count
        self.folder = out.with_name(f".{out.name}.parts")
        stored, finished = self._stored()
        if stored not in (None, identity) and not finished:
            raise DataError(
                f"{out} is unfinished, of another model, another scene or other settings; finish that run, give this "
                f"one another name=, or remove {self.folder.name} there."
            )
        self.finished = finished and stored == identity and out.is_file()
        if stored != identity or (finished and not self.finished):
            with disk_errors(out):
                shutil.rmtree(self.folder, ignore_errors=True)
            self._note(finished=False)
        self.done = count if self.finished else next((i for i in range(count) if not is_zipfile(self._path(i))), count)

    def add(self, number: int, samples: np.ndarray, valid: np.ndarray | None) -> None:
        """Keep the next part.

        Args:
            number: Of the part, from 0.
            samples: (rows, W, B).
            valid: (rows, W) bool; None where all is.

        Raises:
            WriteError: The disk is full.
        """
        there = {} if valid is None or valid.all() else {"valid": valid}
        with replacing(self._path(number)) as made:
            np.savez(made, samples=samples, **there)
        self.done = number + 1

    @property
    def any_invalid(self) -> bool:
        """Whether any pixel is not valid."""
        return any(self._loaded(number, masks_only=True)[1] is not None for number in range(self.count))

    def rows(self, height: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """All rows again, in blocks of equal height but for the last.

        Args:
            height: Rows of a block.

        Yields:
            First row, samples (h, W, B), and (h, W) bool.
        """
        first, held = 0, []
        for number in range(self.count):
            samples, valid = self._loaded(number)
            held.append((samples, np.ones(samples.shape[:2], bool) if valid is None else valid))
            last = number + 1 == self.count
            while (have := sum(len(s) for s, _ in held)) >= height or (last and have):
                samples, valid = (np.concatenate(planes) for planes in zip(*held, strict=True))
                yield first, samples[:height], valid[:height]
                first += min(height, have)
                held = [(samples[height:], valid[height:])]

    def close(self) -> None:
        """Remove the parts of a file that stands, and remember that it does."""
        self._note(finished=True)
        self.finished = True
        for number in range(self.count):
            self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def _loaded(self, number: int, masks_only: bool = False) -> tuple[np.ndarray | None, np.ndarray | None]:
        path = self._path(number)
        try:
            with np.load(path, allow_pickle=False) as file:
                return None if masks_only else file["samples"], file["valid"] if "valid" in file.files else None
        except MemoryError:
            raise
        except Exception as e:  # whatever a damaged file makes NumPy raise
            path.unlink(missing_ok=True)
            raise DataError(f"a part of {self.out.name} is damaged ({e}) and was removed; run it again.") from e

    def _stored(self) -> tuple[str | None, bool]:
        if not (self.folder / _FACTS).is_file():
            return None, False
        try:
            facts = read_json(self.folder / _FACTS)
            return str(facts["identity"]), bool(facts["finished"])
        except (RSDetError, KeyError, TypeError):
            return None, False  # cut short when the machine went down

    def _note(self, finished: bool) -> None:
        write_text(self.folder / _FACTS, json.dumps({"identity": self.identity, "finished": finished}) + "\n")


def forget(folder: Path) -> None:
    """Remove what is remembered of finished files of a run, once all of it is done."""
    for parts in folder.glob(".*.parts"):
        if (parts / _FACTS).is_file():
            shutil.rmtree(parts, ignore_errors=True)
