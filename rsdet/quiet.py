"""What Ultralytics would do on the network without being asked: switched off in our processes.

Cheap to import (no torch): ``rsdet/__init__.py`` calls :func:`before_ultralytics` first thing, and
:func:`import_offline` and :func:`online_again` run right before and after the import of ``ultralytics.utils``. What
variables cannot say is replaced: rows of ``integration.py``, whose functions are here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from importlib import metadata
from pathlib import Path
from typing import Any

from rsdet.names import printable

_COLOURS = re.compile(r"(\x1b\[[0-9;]*m)")
_ASKED_OFFLINE = "YOLO_OFFLINE" in os.environ
_OPENCV_SILENT = 0
_WORK: ContextVar[str] = ContextVar("rsdet_work", default="")  # what must not fetch anything, in the words of a message


class Level:
    """A setting of the process: the first thread that comes in changes it, the last that leaves restores it."""

    def __init__(self) -> None:
        self._lock, self._before = threading.Lock(), list[Any]()

    @contextlib.contextmanager
    def within(self, get: Callable[[], Any], put: Callable[[Any], Any], wanted: Any) -> Iterator[None]:
        """Set it for a while."""
        with self._lock:
            self._before.append(get())
            put(wanted)
        try:
            yield
        finally:
            with self._lock:
                before = self._before.pop()
                if not self._before:
                    put(before)


_OPENCV, _LOG = Level(), Level()


def _as_text(record: logging.LogRecord) -> bool:
    """Let names in a line of the log do nothing to the terminal; the colours that Ultralytics puts there stay."""
    if not (text := record.getMessage()).isprintable():
        theirs = f"{os.sep}ultralytics{os.sep}" in record.pathname
        parts = _COLOURS.split(text) if theirs else [text]  # every other one is a colour
        record.msg = "".join(p if i % 2 else printable(p, keep="\n\t") for i, p in enumerate(parts))
        record.args = None
    return True


def before_ultralytics() -> None:
    """Switch off run-time pip, unrestricted unpickling and update checks, unless the user has set the variables."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "true")
    for name in ("ultralytics", "rsdet"):
        logging.getLogger(name).addFilter(_as_text)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for a newer version on import


def import_offline() -> None:
    """Declare the import, and only it, offline: Ultralytics looks a name server up to see whether it may report.

    Called right before the import, so that no process started in between takes the user for offline.
    """
    if not _ASKED_OFFLINE:
        os.environ["YOLO_OFFLINE"] = "true"


def online_again() -> None:
    """Let downloads that the user asks for work."""
    if not _ASKED_OFFLINE:
        os.environ.pop("YOLO_OFFLINE", None)


def never(stock: bool) -> bool:
    """Whatever Ultralytics has found out."""
    return False


def only_if_asked(stock: bool) -> bool:
    """Whether the user has said that packages may be installed."""
    from ultralytics.utils import env_bool

    return env_bool("YOLO_AUTOINSTALL", False)


@contextlib.contextmanager
def nothing_fetched(work: str) -> Iterator[None]:
    """Refuse what Ultralytics would install or fetch in between, by the name of what is missing.

    Args:
        work: What needs it, for the message, such as ``"format=ncnn"``.
    """
    token = _WORK.set(work)
    try:
        yield
    finally:
        _WORK.reset(token)


def named_packages(stock: Callable[..., bool]) -> Callable[..., bool]:
    """Ultralytics' look at what is installed, which names what is missing where nothing may be fetched.

    It would install it, or, told not to, warn and fail at the import. Another version than it wants it warns about.
    """

    @functools.wraps(stock)
    def check_requirements(*args: Any, **kwargs: Any) -> bool:
        wanted = args[0] if args else kwargs.get("requirements")
        if _WORK.get() and isinstance(wanted, (str, list, tuple)) and not only_if_asked(False):
            groups = [
                (g,) if isinstance(g, str) else tuple(g) for g in ([wanted] if isinstance(wanted, str) else wanted)
            ]
            if absent := [group[0] for group in groups if not any(map(_is_installed, group))]:
                from rsdet.errors import MissingDependencyError

                packages = " ".join(f'"{name}"' for name in absent)
                command = " ".join(filter(None, ("pip install", kwargs.get("cmds"), packages)))
                raise MissingDependencyError(f"{_WORK.get()} needs packages that are not installed; {command}")
        return stock(*args, **kwargs)

    return check_requirements


def _is_installed(requirement: str) -> bool:
    """Whether there is a package of that name, of whatever version."""
    name = re.match(r"[\w.-]+", requirement.rpartition("/")[-1].removesuffix(".git"))
    try:
        return name is not None and metadata.distribution(name[0]) is not None
    except metadata.PackageNotFoundError:
        return False


def exact_name(stock: Callable[..., str]) -> Callable[..., str]:
    """Find the weights that were named; where nothing may be fetched, refuse what is not here."""

    @functools.wraps(stock)
    def find(file: str | Path, *args: Any, **kwargs: Any) -> str:
        if Path(file).is_file():
            return str(file)
        if _WORK.get():
            from rsdet.errors import DataError

            raise DataError(
                f"{_WORK.get()} needs the file {Path(file).name}, which Ultralytics would fetch unasked from its "
                "releases; put it, unpacked, into the working folder"
            )
        return stock(file, *args, **kwargs)

    return find


def pillow_open(stock: Callable[..., Any]) -> Callable[..., Any]:
    """Pillow's own ``Image.open``, unless Ultralytics' finds the HEIF reader that it would install."""
    from ultralytics.utils.patches import _image_open

    return _image_open if importlib.util.find_spec("pi_heif") is None else stock


def font_at_hand(stock: Callable[..., Any]) -> Callable[..., Path]:
    """A font that matplotlib ships, in place of the one that Ultralytics would download for its plots."""

    @functools.wraps(stock)
    def check_font(font: str = "Arial.ttf") -> Path:
        import matplotlib

        return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"

    return check_font


@contextlib.contextmanager
def hushed(level: int = logging.WARNING) -> Iterator[None]:
    """Let Ultralytics' log say only what matters; its progress bars stay."""
    logger = logging.getLogger("ultralytics")
    with _LOG.within(lambda: logger.level, logger.setLevel, max(level, logger.level)):
        yield


@contextlib.contextmanager
def log_filter(keep: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """Pass on of the log of Ultralytics what ``keep`` says, which may change it."""
    logger = logging.getLogger("ultralytics")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


@contextlib.contextmanager
def silent_about(place: Path) -> Iterator[None]:
    """Keep back what Ultralytics says of the folder in which a result is made, where nothing stays, and of failures.

    Those are raised, too, and told in one line.
    """

    def keep(record: logging.LogRecord) -> bool:
        said = record.getMessage()
        return place.name not in said and " export failure " not in said

    with log_filter(keep):
        yield


def say(text: str, level: int = logging.INFO) -> None:
    """Write a line to the log of Ultralytics, or to the standard output where nobody has loaded Ultralytics."""
    text = printable(text, keep="\n")
    if "ultralytics.utils" in sys.modules:
        logging.getLogger("ultralytics").log(level, text)
    else:
        print(text if level < logging.WARNING else f"WARNING {text}")


@contextlib.contextmanager
def silent_opencv() -> Iterator[None]:
    """Keep OpenCV's many lines about an unreadable picture, video or camera back; rsdet reports each in one."""
    import cv2

    log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # OpenCV 4 has it at the top, 5 in its own module
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with _OPENCV.within(log.getLogLevel, log.setLogLevel, _OPENCV_SILENT):
        yield


@contextlib.contextmanager
def plain_labels() -> Iterator[None]:
    """Let matplotlib draw what stands in a name, and not take ``$`` for the beginning of a formula."""
    import matplotlib

    with matplotlib.rc_context({k: False for k in ("text.parse_math",) if k in matplotlib.rcParams}):
        yield
