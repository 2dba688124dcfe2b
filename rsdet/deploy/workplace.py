"""Results appear whole or not at all: made in a folder of their own, put in place by renaming.

An export that is interrupted, fills the disk or runs beside another one of the same model leaves no half file and
touches no other's. Renaming needs one file system, so the folder lies, hidden, where the result shall lie.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsdet.errors import ExportError

_IN_THE_WAY = {errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def workplace(folder: Path, name: str, need_mb: float = 0.0) -> Iterator[Path]:
    """A new folder inside ``folder``, removed at the end with all that was not put in place.

    Args:
        folder: Where the result shall lie; made where it is missing.
        name: Of what is made, for those who find the folder after a power cut.
        need_mb: Room that is needed in MB (10^6 bytes), asked for beforehand: not every writer survives a full disk.

    Raises:
        ExportError: In place of any system error in between: a full disk, a folder that cannot be written.
    """
    place = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free_mb = shutil.disk_usage(folder).free / 1e6
        if free_mb < need_mb:
            raise ExportError(
                f"{free_mb:.0f} MB are free in {folder}; expected {need_mb:.0f} MB for the export and its check; free "
                "some space there, or choose another folder with out="
            )
        place = Path(tempfile.mkdtemp(prefix=f".{name[:80]}.", suffix=".part", dir=folder))
        yield place
    except OSError as e:
        raise not_written(folder, e) from e
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)  # what cannot be removed must not hide what went wrong


def put(made: Path, target: Path) -> Path:
    """Rename a file or folder to its place, over what lies there.

    Args:
        made: In a :func:`workplace` of the same file system.
        target: Its place.

    Returns:
        The place.
    """
    for _ in range(100):  # a folder cannot be replaced in one step, and another export may be as fast as this one
        try:
            os.replace(made, target)
            return target
        except OSError as e:
            if e.errno not in _IN_THE_WAY:
                raise
        aside = Path(tempfile.mkdtemp(dir=made.parent)) / target.name
        try:
            os.replace(target, aside)
        except FileNotFoundError:
            continue  # the other one has moved it already
    raise ExportError(f"{target} is being written by another program all the time; export to another place with out=")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under another name; it takes the place of ``path`` once it is complete.

    Args:
        path: The file.

    Raises:
        ExportError: It could not be written; what was there before is still there.
    """
    with workplace(path.parent, path.name) as place:
        yield place / path.name
        put(place / path.name, path)


def not_written(folder: Path, e: BaseException) -> ExportError:
    """The one line for a system error while something is written."""
    number = getattr(e, "errno", None)
    why = getattr(e, "strerror", None) or (str(e).strip().splitlines() or [type(e).__name__])[0][:200]
    if number not in _FULL:  # in the words that all modes use
        return ExportError(
            f"{folder} cannot be read or written ({why}); check its permissions, or choose another folder with "
            "project= or out="
        )
    return ExportError(
        f"nothing could be written to {folder} ({why}); expected a folder with room; free some space there, or choose "
        "another one with out="
    )


def size_mb(path: Path) -> float:
    """Size on disk in MB (10^6 bytes) of a file or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.stat().st_size for f in files if f.is_file()) / 1e6
