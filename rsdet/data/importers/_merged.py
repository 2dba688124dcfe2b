"""Which values of masks became one class because one name stands for all of them."""

from __future__ import annotations

import numpy as np

from rsdet.data.annotations import ImportLog
from rsdet.data.masks.values import GREY
from rsdet.metrics.confusion import IGNORE

_SHOWN = 8  # values that a note lists


class MergedValues:
    """Values by split: where masks number their classes, or mark pixels of none, one class was not meant."""

    def __init__(self) -> None:
        self._found: dict[str, set[float | str]] = {}

    def see(self, split: str, values: np.ndarray, coloured: bool) -> None:
        """Note what a mask holds: numbers, or colours as ``0xRRGGBB``; grey ones are numbers."""
        if coloured:
            there = np.zeros(1 << 24, bool)  # many times as fast as sorting the pixels
            there[values] = True
            colours = np.flatnonzero(there).tolist()
            found = [c // GREY if c % GREY == 0 else f"#{c:06x}" for c in colours]
        else:
            found = np.unique(values).tolist()
        self._found.setdefault(split, set()).update(v for v in found if v and v == v)

    def tell(self, log: ImportLog, name: str) -> None:
        """Put a note into the log for each split in which several values became the class of this name."""
        for split, found in self._found.items():
            if len(found) < 2:
                continue
            order = sorted(found, key=lambda v: (isinstance(v, str), v))
            shown = [IGNORE, *order[: _SHOWN - 1]] if IGNORE in order[_SHOWN:] else order[:_SHOWN]
            more = f" and {len(order) - len(shown)} more" if len(order) > len(shown) else ""
            listed = ", ".join(v if isinstance(v, str) else f"{v:g}" for v in shown)
            alone = order[-1] if isinstance(order[-1], str) else order[0]
            often = ", also 255, which often marks what is not judged" if IGNORE in found else ""
            log.note(
                split, "masks", f"values {listed}{more}",
                f"several values are one class{often}: a value beside the name is taken alone, names={name}={alone}",
            )  # fmt: skip
