"""Objects that the source marks as difficult (DOTA, Pascal VOC): detections of them count neither way in evaluation.

YOLO labels have no place for the mark. So the rows of difficult objects stand once more in the folder that the data
YAML calls ``difficult:``, under the name of the label file, and only for pictures that have some.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsdet.data.importers._labels import numbers, read_lines
from rsdet.errors import DataError

FOLDER = "difficult"
_EQUAL = 1e-6  # of the picture: what is left of a number after single precision


def difficult_flags(file: Path | None, classes: Sequence[int], places: Sequence[Sequence[float]]) -> np.ndarray:
    """Which labels of a picture are difficult.

    Args:
        file: Its file in the folder ``difficult``; a missing one, or None, has none.
        classes: (N) class numbers of the labels, as they were read.
        places: (N) numbers behind them, in fractions of the picture: ``xc yc w h`` or corners ``x1 y1 …``.

    Returns:
        (N,) bool.

    Raises:
        DataError: A row of the file is no label.
    """
    flags = np.zeros(len(classes), bool)
    lengths = np.array([1 + len(place) for place in places], int)
    whole = {n: np.flatnonzero(lengths == n) for n in set(lengths.tolist())}
    rows = {n: np.array([[classes[i], *places[i]] for i in some], np.float64) for n, some in whole.items()}
    for line, text in read_lines(file) if file is not None and file.is_file() else ():
        row = numbers(text.split())
        if row is None or len(row) < 5:
            raise DataError(
                f"{file} line {line}: expected a row of the label file, received {text[:60]!r}; convert again"
            )
        if len(row) in rows:
            flags[whole[len(row)]] |= np.abs(rows[len(row)] - row).max(1) < _EQUAL
    return flags
