"""The one error family a user ever meets.

Every message is a single line of the form "what was received; what was expected; what to do". The command line prints
it without a traceback and exits with status 2; the Python API raises it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from rsdet.names import printable

_AS_GOOD = 0.2  # a word that is that much less like what was written was not meant


class RSDetError(Exception):
    """A problem with the input that the user can mend. The message is one line and ends with the remedy.

    Names of files stand in it, so it is made printable here, once for all messages.
    """

    exit_code = 2

    def __init__(self, *args: object):
        super().__init__(*(_one_line(a) if isinstance(a, str) else a for a in args))


def _one_line(text: str) -> str:
    """The text on one line, whatever is called so; but that of a worker process is told apart by its lines."""
    return printable(text, keep="\n" if text.startswith("Caught ") else "")


class ConfigError(RSDetError):
    """An unknown key, an unknown module or a wrong value in a YAML or on the command line."""


class DataError(RSDetError):
    """A dataset, an image or a label file that cannot be used as it is."""


class CheckpointError(RSDetError):
    """A weights file that is missing, unsafe or does not fit."""


class MissingDependencyError(RSDetError):
    """An optional package is needed and not installed; the message names the extra to install."""


class WriteError(RSDetError):
    """A result that could not be written: a full disk, a missing permission. What was there before is still there."""


class ExportError(RSDetError):
    """An exported artifact could not be made or does not agree with the model it came from."""


def install(extra: str) -> str:
    """The command that installs what an extra of rsdet needs, for messages.

    It names the packages themselves: that works anywhere, also while rsdet is on no index.

    Args:
        extra: Name of the extra, such as ``geo``.
    """
    try:
        lines = metadata.requires("rsdet") or []
    except metadata.PackageNotFoundError:  # run from a folder, never installed
        lines = []
    needs = [f'"{line.partition(";")[0].strip()}"' for line in lines if re.search(f"extra == .{extra}\\b", line)]
    return f"pip install {' '.join(needs)}" if needs else f'pip install ".[{extra}]" in a checkout of rsdet'


def nearest(word: str, known: Iterable[str], n: int = 3, written: Mapping[str, str] | None = None) -> str:
    """Return a hint such as `` Did you mean 'imgsz'?``, or an empty string when nothing is close.

    Args:
        word: What the user wrote.
        known: The words that would have been accepted.
        n: Largest number of suggestions.
        written: How words are to be written that are compared by a part of theirs, such as files by their name.
    """
    # Compare case-insensitively, suggest the true spelling.
    by_lower = {str(k).lower(): str(k) for k in known}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=n, cutoff=0.5)
    likeness = [difflib.SequenceMatcher(None, h, str(word).lower()).ratio() for h in close]
    hits = [by_lower[h] for h, r in zip(close, likeness, strict=True) if r > likeness[0] - _AS_GOOD]
    return f" Did you mean {' or '.join(repr((written or {}).get(h, h)) for h in hits)}?" if hits else ""


def nearest_file(path: Path, pattern: str = "*") -> str:
    """Return a hint with the files in the folder of a path that does not exist, as :func:`nearest` does with words."""
    there = {p.name: str(p) for p in path.parent.glob(pattern)} if path.parent.is_dir() else {}
    return nearest(path.name, there, written=there)
