"""Labels of change as 0, 1 and 255: what the values of a file mean is declared once, for the whole set.

Without a word in the data YAML, 0 is no change, and 255 or 1 is change. ``label_mapping: {128: ignore}`` adds what
belongs to neither; ``label_threshold: 128`` says that larger values are change, for labels that a lossy format has
blurred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.dates.pairs import DatePair
from rsdet.data.masks.meaning import Table, mapping_of
from rsdet.data.masks.values import GREY, read_values
from rsdet.data.raster_io import check_header, read_samples, take_bands
from rsdet.errors import ConfigError, DataError

_SHOWN = 5  # values that are named


@dataclass(frozen=True, eq=False)
class LabelReader:
    """Reads the labels of a data set.

    Attributes:
        table: Values and what they are: 0, 1, or 255 for neither.
        threshold: Smallest value of a change; None takes the table.
        doubtful: Values that all mean change unless something is declared, and that no set uses together.
    """

    table: Table = field(default_factory=lambda: Table.of({0: 0, 1: 1, 255: 1}))
    threshold: float | None = None
    doubtful: tuple[int, ...] = (1, 255)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> LabelReader:
        """The reader of a data YAML.

        Raises:
            ConfigError: ``label_mapping`` or ``label_threshold`` cannot be understood.
        """
        mapping, others = mapping_of(data.get("label_mapping"), 2)
        threshold = data.get("label_threshold")
        if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, (int, float))):
            raise ConfigError(f"label_threshold={threshold!r} must be the smallest value of a change; e.g. 128")
        if threshold is not None and data.get("label_mapping"):
            raise ConfigError("label_threshold and label_mapping both say what labels mean; leave one of them out")
        table = Table.of({0: 0, 1: 1, 255: 1, **mapping}, others)
        return cls(table, threshold, () if {1, 255} & mapping.keys() else (1, 255))

    def __call__(self, path: str | Path) -> np.ndarray:
        """A label, (H, W) uint8: 0 no change, 1 change, 255 neither.

        Raises:
            DataError: It cannot be read, or has values that are not declared; the message says which and where.
        """
        found, wrong, present = self.read(Path(path))
        wrong = wrong or self.contradiction(present)
        if wrong:
            raise DataError(f"{path} {wrong}")
        return found

    def read(self, path: Path) -> tuple[np.ndarray, str, set[int]]:
        """The same, with what is wrong with its values and which of the doubtful ones occur.

        Raises:
            DataError: It is no label at all.
        """
        if self.threshold is not None:
            raw, _, _ = take_bands(read_samples(check_header(path)), None, path)
            return (raw.max(axis=2) >= self.threshold).astype(np.uint8), "", set()
        values, coloured, nodata = read_values(path)
        if coloured:
            if (values % GREY).any():
                said = ", ".join(f"#{v:06x}" for v in np.unique(values)[:_SHOWN])
                return np.full(values.shape, 255, np.uint8), f"holds colours ({said}); save it as gray", set()
            values = values % 256
        found, known = self.table.apply(values)
        if nodata is not None and (empty := np.isnan(values) if nodata != nodata else values == nodata).any():
            empty &= ~self.table._replace(others=None).apply(values)[1]
            found, known = np.where(empty, np.uint8(255), found), known | empty
        present = {v for v in self.doubtful if (values == v).any()}
        if known.all():
            return found, "", present
        return np.where(known, found, np.uint8(255)), self._unknown(values, known), present

    def contradiction(self, present: set[int]) -> str:
        """Why values that mean the same by default cannot stand together; empty where they do not."""
        if len(present) < 2:
            return ""
        return "holds both 1 and 255; say which is what, such as label_mapping: {1: 1, 255: ignore}"

    def _unknown(self, values: np.ndarray, known: np.ndarray) -> str:
        strange, counts = np.unique(values[~known], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_SHOWN]
        said = ", ".join(f"{v:g} ({n} px)" for v, n in zip(strange[order], counts[order], strict=True))
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        y, x = np.argwhere(~known)[0]
        return (
            f"holds values that are not declared: {said}{more}, the first at x={x} y={y}; declared are "
            f"{', '.join(map(str, self.table.keys))}; say what they are, as label_mapping: {{{strange[0]:g}: 1}} for "
            "change, or ignore"
        )


def read_label(pair: DatePair, values: LabelReader | None = None) -> np.ndarray:
    """The label of a pair, (H, W) uint8: 0 no change, 1 change, 255 neither.

    Args:
        pair: With a label.
        values: What the values mean; None for 0, and 1 or 255.

    Raises:
        DataError: There is none, or see :class:`LabelReader`.
    """
    if pair.label is None:
        raise DataError(f"{pair.before} has no label; name the folder of labels by label: in the data YAML")
    return (values or LabelReader())(pair.label)
