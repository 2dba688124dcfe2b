"""Sets of two dates that rsdet knows by name: the owner's files, as they were unpacked.

Nothing is copied. A shipped YAML says which folder or list is which split, and the rest that every dataset YAML says.
From that a plain data YAML is written to ``<datasets>/<name>``, whose paths lead to ``<datasets>/<name>-original``.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from rsdet.data.dates.pairs import REMEDY, date_pairs
from rsdet.data.original import Original
from rsdet.data.pairs.matching import Problems
from rsdet.errors import DataError

_SPLITS = ("train", "val", "test")


def prepare(path: Path, content: dict[str, Any], root: Path) -> Path:
    """Find the files of a shipped set, which may lie some folders deep in what was unpacked.

    Args:
        path: The shipped YAML.
        content: What it says.
        root: Folder of the data sets.

    Returns:
        The plain data YAML, in ``<root>/<name>``.

    Raises:
        DataError: The owner's files are not there, or do not match; the message says where to put them.
    """
    known = Original.of(path, content, root)
    name, original, instruction = known
    entries = [str(content[split]) for split in _SPLITS if content.get(split)]
    base = next((f for f in _folders(original) if all((f / entry).exists() for entry in entries)), None)
    if base is None:
        missing = f"no {', '.join(entries)} below" if original.is_dir() else "no files in"
        raise DataError(f"{name}: {missing} {original}; {instruction}")
    data = known.plain({k: v for k, v in content.items() if k != "splits"}, base)
    problems = Problems()
    found = {s: date_pairs(data, s, problems=problems) for s in _SPLITS if data.get(s)}
    problems.raise_any(name, REMEDY)
    for split, facts in (content.get("splits") or {}).items():
        if facts["images"] != (have := len(found.get(split, ()))):
            logging.getLogger("rsdet").warning(
                "%s: %s has %d pairs, its owner states %d", name, split, have, facts["images"]
            )
    return known.write(data)


def _folders(original: Path) -> list[Path]:
    """The folder and all below it, the upper ones first."""
    every = [Path(folder) for folder, _, _ in os.walk(original)]
    return sorted(every, key=lambda f: (len(f.parts), f))
