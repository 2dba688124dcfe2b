"""Progress of what takes long, on the standard error: one line, written over on a terminal, now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from rsdet.names import printable

if TYPE_CHECKING:
    from typing_extensions import Self

_TERMINAL_S, _ELSEWHERE_S = 0.5, 30.0  # between two lines; a log is read afterwards
_HEAD = 30  # characters


class Line:
    """A line that says how far something is.

    Args:
        head: What it is about, such as the name of a file.
        verbose: Write anything at all.
    """

    def __init__(self, head: str, verbose: bool = True):
        head = printable(head)
        self.head, self.verbose = head if len(head) <= _HEAD else f"..{head[2 - _HEAD :]}", verbose
        self.on_terminal = verbose and sys.stderr.isatty()
        self._last = time.monotonic() - self.on_terminal * _TERMINAL_S  # what is done at once leaves no line in a log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.on_terminal:
            sys.stderr.write("\r\x1b[K")

    def now_and_then(self, text: Callable[[], str]) -> None:
        """Write the line where the one before is old enough."""
        if self.verbose and time.monotonic() - self._last >= (_TERMINAL_S if self.on_terminal else _ELSEWHERE_S):
            self.write(text())

    @property
    def room(self) -> int:
        """Characters of text that a line of the terminal has behind the head: what wraps cannot be written over."""
        wide = sum(unicodedata.east_asian_width(c) in "WF" for c in self.head)  # two columns each
        return max(shutil.get_terminal_size().columns - len(f"{self.head}: ") - wide - 1, 0)

    def write(self, text: str, end: str = "") -> None:
        """Write the line; on a terminal over the one before, and not broken unless by ``end``."""
        self._last = time.monotonic()
        if self.on_terminal:
            sys.stderr.write(f"\r{self.head}: {text[: self.room]}\x1b[K{end}")
        else:
            sys.stderr.write(f"{self.head}: {text}\n")
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """Such as ``2 min 5 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Tiles:
    """Progress of tiles on a line."""

    def __init__(self, line: Line):
        self.line, self.began, self.before = line, time.monotonic(), -1

    def __call__(self, done: int, total: int) -> None:
        """Say how many are done, and how long the rest will take."""
        self.before = done - 1 if self.before < 0 else self.before
        left = (time.monotonic() - self.began) / (done - self.before) * (total - done)
        self.line.now_and_then(lambda: f"{done}/{total} tiles, {duration(left)} left")
