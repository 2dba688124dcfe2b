"""What changes when a file does: results that were begun with a file are not gone on with on another in its place.

Size and time alone are not enough: archives, and programs that copy times along, give other pixels the same of both.
What the file system knows beyond that differs from machine to machine, which shares of one run must not. So parts of
the content decide as well, spread over the file; all of it where it is small.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

_BLOCK = 1 << 16  # bytes
_BLOCKS = 64  # of all files together


def file_state(files: Sequence[Path]) -> list[tuple[str, int, int, str]]:
    """Name, size, time and digest of the content of each file, as plain values.

    Args:
        files: Such as a scene and what lies beside it.

    Raises:
        OSError: One of them cannot be read.
    """
    each = max(2, _BLOCKS // max(1, len(files)))
    found = []
    for path in files:
        stat = path.stat()
        found.append((path.name, stat.st_size, stat.st_mtime_ns, _digest(path, stat.st_size, each)))
    return found


def last_put(files: Iterable[str | Path]) -> int:
    """Nanoseconds at which the last of some files was written, renamed or put in the place of another on this machine.

    Args:
        files: Those that are not there count for nothing.
    """
    newest = 0
    for path in files:
        with suppress(OSError):
            newest = max(newest, os.stat(path).st_ctime_ns)
    return newest


def _digest(path: Path, size: int, blocks: int) -> str:
    digest = hashlib.sha256()
    far = max(0, size - _BLOCK)  # where the last block begins
    starts = range(0, size, _BLOCK) if size <= blocks * _BLOCK else [far * i // (blocks - 1) for i in range(blocks)]
    with open(path, "rb") as f:
        for start in starts:
            f.seek(start)
            digest.update(f.read(_BLOCK))
    return digest.hexdigest()
