r"""Names are text: what a file calls its classes and itself is made harmless once, where it enters.

Names come from strangers (weights, exported files, data YAMLs, records, the files of a folder) and go to terminals,
tables, folders and pages. What moves a cursor, recolours a screen or turns the writing direction is shown as its
escape (``\x1b``), so that no two names become one in silence.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import PureWindowsPath
from typing import Any

MOST = 100  # characters of a class name; more is no name
_PART_BYTES = 120  # of a folder's name: file systems take 255, and some add to it
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format, half of a pair, line and paragraph separator
_JOINERS = "\u200c\u200d"  # format characters that Persian, Indian scripts and emoji are written with
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # devices of Windows
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str, keep: str = "") -> str:
    """Text that any terminal and any file takes as text: control characters and halves of pairs as their escapes.

    Args:
        text: Anything, such as the name of a file.
        keep: Characters to leave as they are, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNSEEN and c not in _JOINERS + keep else c
        for c in text
    )


def printable_all(value: Any) -> Any:
    """The same content, as JSON holds it, with every text in it :func:`printable`."""
    if isinstance(value, str):
        return printable(value, keep="\n")
    if isinstance(value, dict):
        return {printable_all(k): printable_all(v) for k, v in value.items()}
    return [printable_all(v) for v in value] if isinstance(value, list) else value


def class_names(names: Mapping[Any, Any] | Sequence[Any], twins: bool = False) -> dict[int, str]:
    """Class number -> name: printable, on one line, of at most :data:`MOST` characters, none empty, no two alike.

    What is changed beyond spaces is told. Names that are fine stay as they are, so that a second time changes nothing.

    Args:
        names: Mapping of numbers or a list, as they stand in a file.
        twins: Leave names that are alike in the file so, as those of ImageNet's two cranes.

    Raises:
        TypeError: It is neither.
        ValueError: A number is none.
    """
    given = {int(k): str(v) for k, v in (names.items() if isinstance(names, Mapping) else enumerate(names))}
    clean = {i: _shortened(printable(" ".join(name.split()))) or f"class_{i}" for i, name in given.items()}
    found = _apart(given, clean, lambda name, n: f"{name[: MOST - 8]} ({n})", str, twins)
    changed = [i for i in given if found[i] != " ".join(given[i].split())]
    if changed:
        told = ", ".join(f"class {i} is called {found[i]!r}" for i in changed[:3]) + (", ..." if changed[3:] else "")
        logging.getLogger("rsdet").warning(
            "%d of %d class names are empty, too long, not unique or no plain text: %s.", len(changed), len(given), told
        )
    return found


class Numbered(dict[int, str]):
    """Class names of an exported file, which says fewer than it has classes: those without one are their numbers."""

    def __missing__(self, number: int) -> str:
        return str(int(number))


def cleaned(stock: Callable[[Any], dict[int, str]]) -> Callable[[Any], dict[int, str]]:
    """Ultralytics' ``check_class_names``, which the names of weights, exported files and data YAMLs go through."""

    @wraps(stock)
    def check_class_names(names: Any) -> dict[int, str]:
        checked = stock(names)  # it takes numbers below 0, and of two that are one the last
        if len(checked) < len(names) or min(checked, default=0) < 0:
            from rsdet.errors import DataError  # which makes its messages printable here

            said = ", ".join(map(repr, names))[:80]
            raise DataError(f"{len(names)} classes are numbered {said}, not 0 to {len(names) - 1}; mend names:.")
        return class_names(checked, twins=True)

    return check_class_names


def folder_names(names: Mapping[int, str]) -> dict[int, str]:
    """Class number -> name of a folder for it, on any system and below wherever it is put; no two alike."""
    parts = {}
    for i, name in names.items():
        part = re.sub(r'[\\/:*?"<>|]', "_", printable(str(name)).replace("\\", "_")).strip(" .")
        part = part.encode()[:_PART_BYTES].decode(errors="ignore").strip(" .")
        parts[i] = f"_{part}" if not part or _RESERVED.match(part) else part
    return _apart(
        names, parts, lambda part, n: f"{part}-{n}", str.casefold
    )  # Car and car are one folder on Windows and macOS


def lies_below(name: str) -> bool:
    """Whether a path that a file names stays below the folder it is put behind, on any system."""
    path = PureWindowsPath(name)  # takes both strokes, and knows drives
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name


def csv_cell(value: Any) -> Any:
    """A cell that a spreadsheet does not take for a formula; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _shortened(text: str) -> str:
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


def _apart(
    given: Mapping[int, str],
    wanted: Mapping[int, str],
    numbered: Callable[[str, int], str],
    key: Callable[[str], str],
    twins: bool = False,
) -> dict[int, str]:
    """The wanted names, with a number behind those that another has; who has its own name already comes first."""
    found, taken = {}, set()
    for i in sorted(wanted, key=lambda i: (wanted[i] != given[i], i)):
        name, n = wanted[i], 2
        while key(name) in taken and not (twins and name == given[i]):
            name, n = numbered(wanted[i], n), n + 1
        taken.add(key(name))
        found[i] = name
    return {i: found[i] for i in wanted}
