"""The one seam by which Ultralytics gets pixels from us.

Ultralytics reads every training picture with one function, ``imread`` in ``ultralytics.data.base``, which shifts
16-bit values to 8 bits, and looks at every file with ``check_image`` in ``ultralytics.data.utils``, which takes what
Pillow cannot name for damaged, and writes a JPEG with bytes behind its end mark (thermal cameras, drones) anew, without
its EXIF. Both names are replaced (``integration.py``) once this module has been imported, as it has in a worker process
that unpickles one of our datasets. Ours ask who is reading: inside ``with reading(reader):`` it is the reader, for this
thread only; everybody else gets the stock ``imread``, and a look that never writes. What is done with a picture once it
has been read (``then``) is asked for in the same way.
``tests/test_sar_training.py`` fails by name when a release moves them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np
from PIL import Image
from ultralytics.data.utils import FORMATS_HELP_MSG, IMG_FORMATS, exif_size

from rsdet.data.pictures import PictureReader
from rsdet.data.sar.header import read_sar_header
from rsdet.data.sar.picture import SarReader

_SMALLEST_PX = 10  # Ultralytics leaves smaller images out
_here = threading.local()

Then = Callable[[np.ndarray, str], np.ndarray]
"""Picture (H, W, C) uint8 in BGR and the name of its file -> another picture of that kind, of any size."""


@contextmanager
def reading(reader: SarReader | PictureReader | None, then: Then | None = None) -> Iterator[None]:
    """Let this thread's reads inside Ultralytics go to ``reader``; ``None`` stands for Ultralytics' own.

    Args:
        reader: Path -> (H, W, C) uint8.
        then: What to do with each picture that has been read, with whichever reader; ``None`` for nothing.
    """
    before = getattr(_here, "reader", None), getattr(_here, "then", None)
    _here.reader, _here.then = reader, then
    try:
        yield
    finally:
        _here.reader, _here.then = before


def imread(stock: Callable[..., Any]) -> Callable[..., Any]:
    """The asking ``imread``."""

    @wraps(stock)
    def read(filename: Any, *args: Any, **kwargs: Any) -> np.ndarray | None:
        reader, then = getattr(_here, "reader", None), getattr(_here, "then", None)
        picture = stock(filename, *args, **kwargs) if reader is None else reader(filename)
        return picture if then is None or picture is None else then(picture, str(filename))

    return read


def check_image(stock: Callable[..., Any]) -> Callable[..., Any]:
    """The asking ``check_image``."""

    @wraps(stock)
    def look(im_file: str) -> tuple[str, tuple[int, int]]:
        reader = getattr(_here, "reader", None)
        header = None if reader is None else read_sar_header(im_file)
        if header is None or not (header.tiff or reader.of_values):
            return "", _looked_at(im_file)
        # The caller counts what is raised here as a damaged image and goes on; files that are whole but do not fit the
        # model are left to our own check, which stops.
        if problem := header.problem if reader.of_values else header.pages == 1 and header.damage:
            raise ValueError(problem)
        height, width = header.height, header.width
        if header.problem and header.pages == 1:  # such as turned: what is seen is what is read
            height, width = reader(im_file).shape[:2]
        if min(height, width) < _SMALLEST_PX:
            raise ValueError(f"image size {(height, width)} <{_SMALLEST_PX} pixels")
        return "", (height, width)

    return look


def _looked_at(im_file: str) -> tuple[int, int]:
    """(height, width) of a whole picture, upright; what is raised counts as a damaged one. Nothing is written."""
    with Image.open(im_file) as im:
        im.verify()
        height, width = exif_size(im)[::-1]
        kind = im.format.lower()
    if min(height, width) < _SMALLEST_PX:
        raise ValueError(f"image size {(height, width)} <{_SMALLEST_PX} pixels")
    if kind not in IMG_FORMATS | {"jpeg2000"}:
        raise ValueError(f"Invalid image format {kind}. {FORMATS_HELP_MSG}")
    if kind in {"jpg", "jpeg"}:
        with open(im_file, "rb") as f:
            f.seek(-2, os.SEEK_END)
            ends = f.read() == b"\xff\xd9"
        if not ends:  # cut, or with something behind the picture: only decoding tells which
            with Image.open(im_file) as im:
                im.load()
    return height, width
