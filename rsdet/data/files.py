"""Images brought to their place in a data set, so that a repeated run leaves them alone."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from rsdet.errors import DataError
from rsdet.writing import replacing


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
    with replacing(target) as temporary:
        try:
            make(original, temporary)
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
    if link == "hardlink":
        return same_file
    if same_file or (a.st_size, a.st_mtime_ns) != (b.st_size, b.st_mtime_ns):
        return False
    return not put_there_after(a, b)


def put_there_after(original: os.stat_result, made: os.stat_result) -> bool:
    """Whether an original may have been replaced since something was made of it, by another file of the same time."""
    return original.st_ctime_ns > made.st_ctime_ns


def _copy(original: Path, target: Path) -> None:
    # The time is kept to recognise the copy, the permissions are not: a copy of a read-only file can be deleted.
    shutil.copyfile(original, target)
    stat = original.stat()
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
