"""Whether there is anything to learn from the masks of a training: what is missing is refused, or told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ultralytics.utils import LOCAL_RANK, LOGGER

from rsdet.errors import DataError
from rsdet.metrics.confusion import IGNORE
from rsdet.tasks.semantic.dataset import MaskedPictures


def check_any_labelled(dataset: Any, place: str) -> None:
    """Refuse training pictures of which no pixel has a class; name the classes that no pixel has.

    Raises:
        DataError: There is none, or of data with one class none of it.
    """
    if not isinstance(dataset, MaskedPictures):
        return
    names = [str(dataset.data["names"][k]) for k in sorted(dataset.data["names"])]
    kept = dataset.seen[: max(len(names), 2)].copy()
    if dataset.include_class is not None:
        kept[~np.isin(np.arange(len(kept)), dataset.include_class)] = 0
    masks = len(dataset.labels)
    if not kept.any():
        raise DataError(
            f"no pixel of the {masks} masks of {place} has a class (all are {IGNORE}); check what the masks hold, and "
            "label_mapping: and classes= if they are given."
        )
    if len(names) == 1 and not kept[1]:
        raise DataError(
            f"no pixel of the {masks} masks of {place} is {names[0]} (1): {kept[0]} are background (0) and "
            f"{dataset.seen[IGNORE]} have no class ({IGNORE}); check palette: of the data YAML, or for masks of 0 and "
            "255 write label_mapping: {255: 1}."
        )
    absent = _absent(names, kept) if dataset.include_class is None else []
    if absent and LOCAL_RANK in {-1, 0}:
        n, meant = dataset.seen[IGNORE], f"{{{IGNORE}: {names.index(absent[0])}}}"
        LOGGER.warning(
            f"no pixel of the {masks} masks of {place} is {', '.join(absent)}: nothing is learnt of it"
            + (f"; {n} are {IGNORE}, which is no class unless label_mapping: {meant} makes it {absent[0]}" if n else "")
        )


def _absent(names: Sequence[str], counts: np.ndarray) -> list[str]:
    return [name for name, n in zip(names, counts, strict=False) if not n] if len(names) > 1 else []
