"""Reads the masks of a data set as class numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.masks.meaning import Table, mapping_of, palette_of
from rsdet.data.masks.values import GREY, read_values
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.confusion import IGNORE

_SHOWN = 5  # values that are named


@dataclass(frozen=True, eq=False)
class MaskReader:
    """Reads the masks of a data set.

    Attributes:
        names: The classes.
        values: Of masks of one channel.
        colours: Of masks of colours; None where the data YAML has no ``palette``.
        mapping: Value to class as the data YAML has it, without ``others``.
    """

    names: tuple[str, ...]
    values: Table
    colours: Table | None
    mapping: Mapping[int, int]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> MaskReader:
        """The reader of a data YAML.

        Raises:
            ConfigError: ``label_mapping`` or ``palette`` cannot be understood, or there are too many classes.
        """
        names = data["names"]
        names = [names[k] for k in sorted(names)] if isinstance(names, Mapping) else list(names)
        if len(names) > IGNORE:
            raise ConfigError(
                f"names: has {len(names)} classes, and masks hold {IGNORE} at most, 0 to {IGNORE - 1}, beside "
                f"{IGNORE} for none; make several one by label_mapping:."
            )
        highest = max(len(names), 2)  # one class: it and what is beside it
        mapping, others = mapping_of(data.get("label_mapping"), highest)
        colours = palette_of(data["palette"], list(map(str, names))) if data.get("palette") else None
        values = Table.of({**{k: k for k in range(highest)}, IGNORE: IGNORE, **mapping}, others)
        if colours is not None and not data.get("label_mapping"):
            grey = {int(k) % 256: int(c) for k, c in zip(colours.keys, colours.classes, strict=True) if k % GREY == 0}
            values = Table.of(grey, colours.others)
        return cls(tuple(map(str, names)), values, colours, mapping)

    @property
    def _rest(self) -> str:
        return "background" if len(self.names) == 1 else "ignore"

    def __call__(self, path: str | Path) -> np.ndarray:
        """Classes of a mask, (H, W) uint8.

        Raises:
            DataError: It is none, or has values without a meaning; the message says which, where and how many.
        """
        found, wrong = self.read(Path(path))
        if wrong:
            raise DataError(f"{path} {wrong}")
        return found

    def read(self, path: Path, see: Callable[[np.ndarray, bool], None] | None = None) -> tuple[np.ndarray, str]:
        """The same, with what is wrong with its values; they are of no class then.

        Args:
            path: The mask.
            see: Is shown the values, and whether they are colours.

        Raises:
            DataError: It is no mask.
        """
        values, coloured, nodata = read_values(path, expand=self.colours is not None)
        if coloured and self.colours is None and not (coloured := bool((values % GREY).any())):
            values = values % 256  # grey, saved as colours
        table = self.colours if coloured else self.values
        if table is None:
            found = ", ".join(f"#{v:06x}" for v in np.unique(values)[:_SHOWN])
            raise DataError(
                f"{path} holds colours ({found}), which have no meaning yet; say in the data YAML with palette: which "
                f'class each is, such as palette: {{{self.names[0]}: "#ffff00", {self._rest}: others}}, or to convert '
                f"with names={self.names[0]}=#ffff00."
            )
        if see is not None:
            see(values, coloured)
        found, known = table.apply(values)
        empty = np.isnan(values) if nodata is not None and nodata != nodata else values == nodata
        if empty.any():  # `others` are values, too, and these are none
            empty &= ~table._replace(others=None).apply(values)[1]
            found, known = np.where(empty, np.uint8(IGNORE), found), known | empty
        if known.all():
            return found, ""
        return np.where(known, found, np.uint8(IGNORE)), self._unknown(values, known, coloured)

    def _unknown(self, values: np.ndarray, known: np.ndarray, coloured: bool) -> str:
        strange, counts = np.unique(values[~known], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:_SHOWN]
        said = ", ".join(
            f"{f'#{int(v):06x}' if coloured else f'{v:g}'} ({n} px)"
            for v, n in zip(strange[order], counts[order], strict=True)
        )
        y, x = np.argwhere(~known)[0]
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        where = f"{said}{more}, the first at x={x} y={y}"
        if coloured:
            return (
                f"holds colours that palette: does not name: {where}; name them there, or say what all others are: "
                f"{self._rest}: others."
            )
        return (
            f"holds values that are no class: {where}; the data have {len(self.names)} classes (0 to "
            f"{max(len(self.names), 2) - 1}) and {IGNORE} for none; mend names: of the data YAML, or say there with "
            "label_mapping: or palette: what each value means."
        )
