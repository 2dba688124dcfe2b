"""The ONE way results reach the disk: whole or not at all, in a folder of this run, with nothing left of a killed one.

A file is made in a hidden folder beside its place and renamed when it is complete: an interruption, a full disk or a
second run leaves what was there before. Renaming needs one file system, hence beside. The hidden folder's name
says who works in it, so that the next run may remove what a killed one left and nothing else.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import itertools
import json
import math
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsdet.errors import ConfigError, DataError, RSDetError, WriteError
from rsdet.names import csv_cell
from rsdet.paths import home

if TYPE_CHECKING:  # help and errors about words go through here, and need nothing heavy
    import numpy as np

_IN_THE_WAY = {errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SAYS_FULL = re.compile(
    r"no space left[\w ]*|disk quota exceeded|file too large|[\w ]*disk is full|[^(]*full disk|"
    r"\d+ requested and \d+ written",
    re.IGNORECASE,
)  # the last is NumPy's
_LITTLE = 4 << 20  # bytes that a disk has left of which a writer of others may have said no more than that it failed
_LEFTOVER = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-(\d+)\.[^.]+\.part")
_FOREIGN_S = 7 * 24 * 3600  # nobody here can tell whether a process of another machine lives: its work is left so long
_STEM_BYTES = 200  # names of files have 255 at most, and suffixes follow
_swept: set[Path] = set()


def not_written(where: str | Path, e: BaseException) -> WriteError:
    """The one line for a system error while something is written.

    Args:
        where: File or folder.
        e: What the system said.
    """
    outside_in = reversed([Path(where), *Path(where).parents])
    aside = next((p for p in outside_in if _LEFTOVER.fullmatch(p.name)), None)
    where = where if aside is None else aside.parent  # where a result is made is nobody's business
    if full := why_full(e) or _hardly_any_left(where, e):
        return WriteError(
            f"nothing could be written to {where}: no space is left ({full}); free some space there, or "
            f"{_elsewhere(where)}"
        )
    named = Path(str(getattr(e, "filename", None) or where))
    named = Path(where) if any(map(_LEFTOVER.fullmatch, named.parts)) else named
    said = (e.__cause__ or e.__context__ or e) if "previous exception" in str(e) else e  # rasterio's
    why = getattr(e, "strerror", None) or (str(said).strip().splitlines() or [type(e).__name__])[0][:200]
    look = "its permissions" if getattr(e, "errno", None) is not None else "its permissions and the room on its disk"
    return WriteError(f"{named} cannot be read or written ({why}); check {look}, or {_elsewhere(named)}")


def why_full(e: BaseException) -> str:
    """What says that a disk, or what a user may have of it, is full: a number, or the words of GDAL, SQLite or NumPy.

    Args:
        e: An error; those that led to it are asked as well.

    Returns:
        A few words; "" where nothing says it.
    """
    if getattr(e, "errno", None) in _FULL:
        return getattr(e, "strerror", None) or str(e)
    cause: BaseException | None = e
    while cause is not None:
        if found := _SAYS_FULL.search(str(cause)):
            return found[0].strip()
        cause = cause.__cause__ or cause.__context__
    return ""


def _hardly_any_left(where: str | Path, e: BaseException) -> str:
    """How little a disk has left, where an error without a number says no more than that writing failed."""
    if getattr(e, "errno", None) is not None:
        return ""
    there = next((p for p in (Path(where), *Path(where).parents) if p.is_dir()), Path())
    free = shutil.disk_usage(there).free
    return f"{free:,} bytes are free" if free < _LITTLE else ""


def _elsewhere(where: str | Path) -> str:
    """How another folder is chosen: what is rendered or fetched for all runs has one that no key names."""
    place = Path(os.path.abspath(where))
    if home().absolute() in (place, *place.parents):
        return "set RSDET_HOME to another folder"
    stock = sys.modules.get("ultralytics.utils")  # whoever fetches a data set has imported it
    if stock is not None and Path(os.path.abspath(stock.DATASETS_DIR)) in (place, *place.parents):
        return "where no out= chose it, set another folder for data sets: yolo settings datasets_dir=FOLDER"
    return "choose another folder with project= or out="


@contextmanager
def disk_errors(folder: str | Path) -> Iterator[None]:
    """Turn a full disk, a missing permission and the like into one line.

    Raises:
        WriteError: In place of any OSError.
    """
    try:
        yield
    except OSError as e:
        raise not_written(folder, e) from e


@contextmanager
def full_disk(folder: str | Path) -> Iterator[None]:
    """Say which disk is full where a writer of others is at work: the system does not name what is being written.

    Raises:
        WriteError: In place of an OSError without a file name that says so.
    """
    try:
        yield
    except OSError as e:
        if e.errno not in _FULL or e.filename:
            raise
        raise not_written(folder, e) from e


@contextmanager
def workplace(folder: Path, name: str, need_mb: float = 0.0) -> Iterator[Path]:
    """A new folder inside ``folder``, removed at the end with all that was not put in place.

    Args:
        folder: Where the result shall lie; made where it is missing.
        name: Of what is made, for those who find the folder after a power cut.
        need_mb: Room that is needed in MB (10^6 bytes), asked for beforehand: not every writer survives a full disk.

    Raises:
        WriteError: In place of any system error in between: a full disk, a folder that cannot be written.
    """
    place = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder not in _swept:  # once, not for each of a thousand pictures
            _swept.add(folder)
            sweep(folder)
        free_mb = shutil.disk_usage(folder).free / 1e6 if need_mb else 0.0
        if free_mb < need_mb:
            raise WriteError(
                f"{free_mb:.0f} MB are free in {folder}; expected {need_mb:.0f} MB for the export and its check; free "
                "some space there, or choose another folder with out="
            )
        place = Path(tempfile.mkdtemp(prefix=f".{_shown(name)}.{_owner()}.", suffix=".part", dir=folder))
        yield place
    except OSError as e:
        raise not_written(folder, e) from e
    except Exception as e:
        if isinstance(e, RSDetError) or not why_full(e):
            raise
        raise not_written(folder, e) from e  # safetensors has errors of its own
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)  # what cannot be removed must not hide what went wrong


def _shown(name: str) -> str:
    return name.encode("utf-8", "surrogateescape")[:80].decode("utf-8", "ignore")  # names have 255 bytes at most


@contextmanager
def alone(folder: Path, name: str, otherwise: str = "choose another out=") -> Iterator[None]:
    """Keep others that ask for the same out of a folder to which many files are going to be written.

    Args:
        folder: The folder; made where it is missing.
        name: What is done there.
        otherwise: What to do who does not want to wait.

    Raises:
        WriteError: Another process does it right now; in place of any system error, too.
    """
    with workplace(folder, name) as mine:
        sweep(folder)
        start = f".{_shown(name)}."
        if any(p.name.startswith(start) and _LEFTOVER.fullmatch(p.name) and p != mine for p in folder.iterdir()):
            raise WriteError(f"another {name} is writing to {folder}; wait for it, or {otherwise}")
        yield


def put(made: Path, target: Path) -> Path:
    """Rename a file or folder to its place, over what lies there.

    Args:
        made: In a :func:`workplace` of the same file system.
        target: Its place.

    Returns:
        The place.
    """
    for _ in range(100):  # a folder cannot be replaced in one step, and another run may be as fast as this one
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
    raise WriteError(f"{target} is being written by another program all the time; choose another place with out=")


def with_ending(path: str | Path, suffix: str, instead: Sequence[str] = ()) -> Path:
    """A path that ends in a suffix, which is added to names such as ``v1.5``, whose dot begins none.

    Args:
        path: Of a file.
        suffix: With its dot.
        instead: Suffixes that it takes the place of.

    Raises:
        WriteError: A folder is there.
    """
    path = Path(path)
    if path.is_dir():
        raise WriteError(f"{path} is a folder; name a file in it, such as {path / 'name'}{suffix}.")
    return path.with_suffix(suffix) if path.suffix in (suffix, *instead) else path.parent / f"{path.name}{suffix}"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Make a file under another path of the same name; it takes the place of ``path`` once it is complete.

    Args:
        path: The file; its folder is made where it is missing.

    Raises:
        WriteError: It could not be written; what was there before is still there.
    """
    path = Path(path)
    with workplace(path.parent, path.name) as place:
        yield place / path.name
        os.replace(place / path.name, path)


def write_bytes(path: str | Path, *parts: bytes) -> Path:
    """Write a file whole or not at all; see :func:`replacing`."""
    with replacing(path) as new:
        new.write_bytes(parts[0] if len(parts) == 1 else b"".join(parts))
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write text as UTF-8, whole or not at all, with the line ends that it has."""
    return write_bytes(path, text.encode("utf-8"))


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a table with a head, whole or not at all; what a row does not have is empty, and no text is a formula."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="")
    table.writeheader()
    table.writerows({k: csv_cell(v) for k, v in row.items()} for row in rows)
    return write_text(path, text.getvalue())


def json_text(content: Any) -> str:
    """JSON of plain values; it knows no NaN, so what could not be measured becomes null."""
    return json.dumps(_without_nan(content), indent=1, allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_if_changed(path: Path, text: str) -> bool:
    """Write text as UTF-8 unless the file holds it already; True when it was written."""
    with suppress(OSError):
        if not path.is_symlink() and path.read_bytes() == text.encode("utf-8"):
            return False
    write_text(path, text)
    return True


def write_picture(path: str | Path, picture: np.ndarray, settings: Sequence[int] = ()) -> Path:
    """Write a picture in the format of its suffix, whole or not at all.

    OpenCV's own writer answers a full disk with False or not at all.

    Args:
        path: The file.
        picture: (H, W) or (H, W, 3) uint8, BGR.
        settings: As ``cv2.imwrite`` takes them.

    Raises:
        DataError: No such format.
        WriteError: See :func:`replacing`.
    """
    import cv2
    import numpy as np

    try:
        done, data = cv2.imencode(Path(path).suffix or ".", np.ascontiguousarray(picture), list(settings))
    except cv2.error:
        done = False
    if not done:
        raise DataError(f"{path} does not end as a picture does; give a file name such as .jpg, .png or .tif")
    return write_bytes(path, data.tobytes())


def new_folder(wanted: str | Path, exist_ok: bool = False) -> Path:
    """Make the folder of a run: one that no other run has, however many begin at once.

    Args:
        wanted: The folder; where it exists, ``-2``, ``-3``, … are tried.
        exist_ok: Take the folder itself whether it exists or not.

    Returns:
        The folder that was made, absolute.
    """
    wanted, last = Path(wanted), None
    with disk_errors(wanted):
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for k in itertools.count(1):
            folder = wanted if k == 1 else wanted.with_name(f"{wanted.name}-{k}")
            try:
                folder.mkdir(exist_ok=exist_ok)  # to look first and make then would give two runs one folder
                break
            except FileExistsError:
                if exist_ok:
                    raise
                last = folder
        for there, _, _ in os.walk(last or folder):  # the run before may have been killed
            sweep(Path(there))
    return folder.resolve()


def check_apart(folder: str | Path, sources: Iterable[str | Path], labels: bool = False) -> None:
    """Refuse a run in the folder of the files that it reads: results have their names.

    Args:
        folder: Of the run.
        sources: The files.
        labels: Text files will go into ``labels/`` as well, which is where a data set has its own.

    Raises:
        ConfigError: One of the files lies in it, with ``labels`` also where it lies below.
    """
    folder = Path(folder).resolve()
    for place in {Path(os.path.abspath(source)).parent for source in sources}:
        theirs = place.resolve()
        if folder == theirs or (labels and folder in theirs.parents):
            raise ConfigError(f"{folder} is where the pictures come from; choose another project= or name=.")


def free_name(stem: str, taken: set[str], suffix: str = "") -> str:
    """A name that no other result of a run has, for files of one name come from several folders.

    Args:
        stem: The name that is wanted; where it is taken, ``-2``, ``-3``, … are tried.
        taken: Names with their suffixes that others have; this one is added.
        suffix: Of the file.
    """
    name = next(name for name in free_names(stem) if name + suffix not in taken)
    taken.add(name + suffix)
    return name


def file_stem(name: str) -> str:
    """A name, cut so that what is made of a file may be called so, with whatever is put behind it."""
    return os.fsdecode(os.fsencode(name)[:_STEM_BYTES]).encode(errors="ignore").decode()


def free_names(stem: str) -> Iterator[str]:
    """The name that is wanted, and those that are tried where it is taken."""
    yield stem
    for k in itertools.count(2):
        yield f"{stem}-{k}"


def sweep(folder: Path) -> None:
    """Remove what killed runs left in a folder; work of those who live is left alone."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _LEFTOVER.fullmatch(entry.name)
            with suppress(OSError):  # of one; the others are looked at all the same
                if found and entry.is_dir(follow_symlinks=False) and _is_gone(entry, *found.groups()):
                    shutil.rmtree(entry.path, ignore_errors=True)


def _is_gone(entry: os.DirEntry[str], machine: str, pid: str, started: str) -> bool:
    if machine == _machine():
        return _started(int(pid)) != int(started)
    touched = max(p.lstat().st_mtime for p in (Path(entry.path), *Path(entry.path).rglob("*")))
    return time.time() - touched > _FOREIGN_S


def _owner() -> str:
    """Machine, process and when that began: numbers of processes are given again."""
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}"


@cache
def _machine() -> str:
    space = ""  # containers share a name at times, and each counts its processes anew
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


def _started(pid: int) -> int | None:
    """When a process began, in whatever unit the system counts; None for one that does not live."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else int(fields[19])  # Z, X: killed, and not yet taken notice of
    import psutil

    try:
        return int(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def size_mb(path: Path) -> float:
    """Size on disk in MB (10^6 bytes) of a file or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.stat().st_size for f in files if f.is_file()) / 1e6
