"""Files that a source stands for, whoever reads them: a path, a folder, a glob, a list, several with commas."""

from __future__ import annotations

import csv
import glob
import logging
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from rsdet.data.images import SUFFIXES
from rsdet.errors import DataError, nearest_file
from rsdet.names import printable
from rsdet.quiet import say

# What Ultralytics opens besides: videos, and images that need one more package. Its own lists would bring PyTorch.
VIDEOS = {
    ".asf", ".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv",
}  # fmt: skip
OTHER_SUFFIXES = VIDEOS | {".dng", ".heic", ".heif"}
LISTS = (".txt", ".csv")
_BEGIN = 1000  # names of a list by which it is known for another kind of file
_TICKS = 300  # a rate above is none of frames


def files_of(source: str | Path, suffixes: Collection[str] = SUFFIXES) -> list[Path] | None:
    """Image files that a path or glob stands for; ``None`` where it is no such file (video, URL, camera).

    Args:
        source: Path, folder, glob, list of paths in a file, or several of them with commas.
        suffixes: How the files end that are looked for.

    Raises:
        DataError: It does not exist.
    """
    text = str(source)
    if "://" in text or text.isnumeric() or text.partition(" ")[0] == "screen":
        return None
    path, is_file = Path(text), os.path.isfile(text)  # Path.is_file() fails on many with commas between them
    if is_file and path.suffix.lower() in LISTS:
        return _listed(path, suffixes)
    if is_file:
        return [path] if path.suffix.lower() in suffixes else None
    known = {*suffixes, *OTHER_SUFFIXES}
    if os.path.isdir(text):
        return sorted(p for p in path.iterdir() if p.suffix.lower() in known)
    found = glob.glob(text, recursive=True) if glob.has_magic(text) else []
    parts = [part.strip() for part in text.split(",")]
    if not found and len(parts) > 1 and all(os.path.lexists(part) or glob.has_magic(part) for part in parts):
        return together(parts, [files_of(part, suffixes) for part in parts])
    if glob.has_magic(text):
        return sorted(p for p in map(Path, found) if p.suffix.lower() in known)
    if os.path.islink(text):
        raise DataError(f"source {text[:300]!r} is a link that leads nowhere; mend it, or pass the file itself.")
    raise DataError(f"source {text[:300]!r} does not exist.{nearest_file(path)} Pass an image, a folder or a glob.")


def together(sources: Sequence[str | Path], groups: Iterable[list[Path] | None]) -> list[Path]:
    """The files of several sources, each once; of one that holds none its name, to be told as what is missing."""
    several = len(sources) > 1
    pairs = zip(sources, groups, strict=True)
    return list(dict.fromkeys(p for s, group in pairs for p in group or ([Path(s)] if several else [])))


def _listed(file: Path, suffixes: Collection[str]) -> list[Path]:
    """Files that a list names: one a line, or in a CSV one a cell, as Ultralytics reads it.

    A name is looked for in the working folder, then beside the list; folders and globs stand for what is in them. What
    does not exist is kept, to be named. A line that starts with ``#`` is a comment.

    Raises:
        DataError: The list is no text, or of names that are no files at all, such as those of classes.
    """
    try:
        lines = file.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise DataError(f"{file} is no list of images (no text in UTF-8); pass a file with one path a line.") from e
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    if file.suffix.lower() == ".csv":
        rows = list(csv.reader(lines))
        lines = [cell for row in rows[rows[:1] == [["source"]] :] for cell in row]  # the header is optional
    names = [name for name in map(str.strip, lines) if name]
    known = tuple({*suffixes, *OTHER_SUFFIXES, *LISTS})
    begin = [n for n in names[:_BEGIN] if n.lower().endswith(known) or _may_be(n) or _may_be(str(file.parent / n))]
    if len(names) > _BEGIN and not begin:  # nobody wants to wait for the end of a table of numbers
        raise _no_list(file, names[0])
    found: list[Path] = []
    for name in names:
        here = Path(name), file.parent / name
        if not glob.has_magic(name) and not any(map(os.path.exists, here)):
            found.append(here[0])  # known with two questions to the disk
            continue
        found += (
            _there(here[0], suffixes) or _there(here[1], suffixes) or [next((p for p in here if p.exists()), here[0])]
        )
    if found and not any(p.suffix or _may_be(str(p)) for p in found):
        raise _no_list(file, str(found[0]))
    return found


def _may_be(name: str) -> bool:
    """Whether something is there by this name, or may be elsewhere: an address, a pattern."""
    return os.path.lexists(name) or ":/" in name or glob.has_magic(name)


def _no_list(file: Path, first: str) -> DataError:
    return DataError(
        f"{file} is read as a list of images, one a line, and none of them exists, such as "
        f"{printable(first)[:300]!r}; pass the images, their folder, or a list of their paths."
    )


def _there(path: Path, suffixes: Collection[str]) -> list[Path]:
    """What a line of a list stands for; nothing where nothing is there."""
    if path.is_dir() or (glob.has_magic(str(path)) and not path.exists()):
        return files_of(path, suffixes) or []
    return [path] if path.exists() else []


def name_problem(path: Path) -> str:
    """Why a path cannot be an image that is here, in words; empty where it can."""
    if path.suffix.lower() in OTHER_SUFFIXES:
        return "is a video or needs an extra package; pass it by itself"
    if glob.has_magic(str(path)) and not os.path.lexists(path):
        return "matches no image; check the folder and the pattern"
    name = str(path.absolute())
    if len(name.splitlines()) > 1 or name != name.strip() or any(c == "*" or "\ud800" <= c <= "\udfff" for c in name):
        return "has a name that cannot be listed (a line break, a star or no UTF-8); rename it"
    return ""


def tell_left_out(skipped: Sequence[str], done: int) -> None:
    """Name all that was left out of a run in which so much was done.

    Raises:
        DataError: Nothing was.
    """
    if not done:
        raise DataError(first_of(skipped))
    for line in skipped:
        say(f"left out: {line}", logging.WARNING)


def first_of(skipped: Sequence[str]) -> str:
    """A message about all that was left out, where nothing else is left: the first line and how many follow."""
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"{printable(skipped[0])}{more}."


def frames_lost(path: str | Path, read: int, stated: int, fps: float) -> str:
    """One line where fewer frames of a video could be read than its header states; empty where it says nothing.

    Some headers state a length and a rate of ticks, of which OpenCV makes a count: a few frames less prove nothing.

    Args:
        path: The video.
        read: Frames that were read.
        stated: Frames by its header, below 1 where it does not say.
        fps: Frames a second by its header.
    """
    if fps > _TICKS or (read + 1 >= 0.98 * stated and 2 * read > stated) or stated < 1:
        return ""
    return f"{path}: {read} of the {stated} frames that its header states can be read; copy it again, or convert it"
