"""Maps of classes: numbers of the file to classes from 1, with 0 for what is not labelled; faults told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rsdet.errors import DataError

MAPS = ("train", "test", "labels")  # keys of a data YAML that name a map
_MOST_SHOWN = 6


def classes_of(values: np.ndarray, names: Mapping[int, str], unlabelled: Sequence[int], path: Path) -> np.ndarray:
    """Classes of a map of stored values.

    Args:
        values: (H, W) int, as stored.
        names: Name of each class by its value in the file.
        unlabelled: Values that stand for no label.
        path: The file, for messages.

    Returns:
        (H, W) int64: 0 where nothing is labelled, else 1 for the class of the lowest value, 2 for the next, ...

    Raises:
        DataError: Values that are neither, or no labelled pixel.
    """
    found, counts = np.unique(values, return_counts=True)
    strange = [(int(v), int(n)) for v, n in zip(found, counts, strict=True) if v not in names and v not in unlabelled]
    if strange:
        shown = ", ".join(f"{v} ({n} px)" for v, n in strange[:_MOST_SHOWN]) + (", ..." * (len(strange) > _MOST_SHOWN))
        raise DataError(
            f"{path} holds values outside of the classes {min(names)} to {max(names)}: {shown}; name them in names: or "
            "in unlabelled: of the data YAML."
        )
    out = np.zeros(values.shape, np.int64)
    for number, value in enumerate(sorted(names), 1):
        out[values == value] = number
    if not out.any():
        raise DataError(f"{path} has no labelled pixel; pass the map of labels.")
    return out


def check_apart(train: np.ndarray, test: np.ndarray, where: str) -> None:
    """Refuse maps of which one pixel would be learnt from and measured.

    Raises:
        DataError: They share pixels.
    """
    both = (train > 0) & (test > 0)
    if both.any():
        row, column = np.argwhere(both)[0]
        raise DataError(
            f"{where}: train and test share {int(both.sum())} of {int((test > 0).sum())} labelled pixels, the first at "
            f"row {row}, column {column}; give maps that do not intersect, or one map as labels: and split_by=random."
        )


def counts_of(labels: np.ndarray, classes: int) -> list[int]:
    """Labelled pixels of each class."""
    return np.bincount(labels.ravel(), minlength=classes + 1)[1 : classes + 1].tolist()
