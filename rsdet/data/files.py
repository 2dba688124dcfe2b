"""Writing files so that an interrupted run leaves whole ones, and a repeated run leaves them alone."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rsdet.errors import DataError


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk, a missing permission and the like into one line.

    Raises:
        DataError: In place of any OSError.
    """
    try:
        yield
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"no space left on the disk of {folder}; free some space and run it again") from e
        where = e.filename or folder
        raise DataError(f"cannot write {where}: {e.strerror or e}; expected a writable folder; choose another") from e


def _replace(target: Path, make: Callable[[Path], object]) -> None:
    """Make a file under a temporary name, then put it in place at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name[:80]}.{os.getpid()}.tmp")
    try:
        make(temporary)
        temporary.replace(target)
    finally:
        with suppress(OSError):  # already moved, or never made
            temporary.unlink(missing_ok=True)


def write_if_changed(target: Path, text: str) -> bool:
    """Write text as UTF-8 unless the file holds it already; True when it was written."""
    data = text.encode("utf-8")
    with suppress(OSError):
        if not target.is_symlink() and target.read_bytes() == data:
            return False
    _replace(target, lambda temporary: temporary.write_bytes(data))
    return True


def place_image(source: Path, target: Path, link: str) -> bool:
    """Bring an image to its place; True when something had to be done.

    Args:
        source: The original; it is never altered.
        target: Where the picture shall be.
        link: ``copy``, ``symlink`` or ``hardlink``.

    Raises:
        DataError: The file system cannot link.
    """
    original = source.resolve()
    if os.path.lexists(target) and _up_to_date(original, target, link):
        return False
    make = {"copy": _copy, "symlink": os.symlink, "hardlink": os.link}[link]
    try:
        _replace(target, lambda temporary: make(original, temporary))
    except OSError as e:
        if link == "copy" or e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        reason = e.strerror or e
        raise DataError(f"link={link} is not possible from {original} to {target}: {reason}; use link=copy") from e
    return True


def _up_to_date(original: Path, target: Path, link: str) -> bool:
    """Whether ``target`` is what an earlier run made of ``original``."""
    if link == "symlink":
        return target.is_symlink() and Path(os.readlink(target)) == original
    if target.is_symlink():
        return False
    a, b = original.stat(), target.stat()
    same_file = (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
    return same_file if link == "hardlink" else not same_file and _looks(a) == _looks(b)


def _looks(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


def _copy(original: Path, target: Path) -> None:
    # The time is kept to recognise the copy, the permissions are not: a copy of a read-only file can be deleted.
    shutil.copyfile(original, target)
    stat = original.stat()
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
