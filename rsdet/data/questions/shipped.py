"""Sets of questions that rsdet knows by name: the owner's files, as they were unpacked.

Nothing is copied. A shipped YAML says which files hold the questions and in which folders the pictures are, and the
rest that every dataset YAML says. From that a plain data YAML is written to ``<datasets>/<name>``, whose paths lead to
``<datasets>/<name>-original``.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from rsdet.data.original import Original
from rsdet.errors import DataError

_SPLITS = ("train", "val", "test")


def prepare(path: Path, content: dict[str, Any], root: Path) -> Path:
    """Find the files of a shipped set.

    Where a split lists several files, those that are there are taken and the others told: their pictures come from
    several owners.

    Args:
        path: The shipped YAML.
        content: What it says.
        root: Folder of the data sets.

    Returns:
        The plain data YAML, in ``<root>/<name>``.

    Raises:
        DataError: The owner's files are not there; the message says where to put them.
    """
    known = Original.of(path, content, root)
    name, original, instruction = known
    known.check_there()
    data = known.plain(content)
    for split in _SPLITS:
        if content.get(split):
            data[split] = _there(content, split, original, name, instruction)
    return known.write(data)


def _there(content: dict[str, Any], split: str, original: Path, name: str, instruction: str) -> Any:
    """What a split names, as far as it is there.

    Raises:
        DataError: Nothing of it is.
    """
    given = content[split]
    shared = content.get("images")
    shared = shared.get(split) if isinstance(shared, dict) else shared
    kept, missing = [], []
    for item in given if isinstance(given, list) else [given]:
        one = item if isinstance(item, dict) else {"questions": item}
        gone = [str(p) for p in (one["questions"], one.get("images", shared)) if not (original / str(p)).exists()]
        missing += gone
        kept += [] if gone else [item]
    if not kept:
        raise DataError(f"{name}: {', '.join(missing)} of {split} is missing in {original}; {instruction}")
    if missing:
        logging.getLogger("rsdet").warning("%s: %s is missing in %s and left out.", name, ", ".join(missing), original)
    return kept if isinstance(given, list) else given
