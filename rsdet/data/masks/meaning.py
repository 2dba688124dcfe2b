"""What values and colours of masks mean: ``label_mapping`` and ``palette`` of a data YAML as tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from rsdet.errors import ConfigError, nearest
from rsdet.metrics.confusion import IGNORE
from rsdet.names import printable

OTHERS = "others"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class Table(NamedTuple):
    """Values of a mask and their classes.

    Attributes:
        keys: (N,) int64 values, ascending; colours are ``0xRRGGBB``.
        classes: (N,) uint8.
        others: Class of all other values; None refuses them.
    """

    keys: np.ndarray
    classes: np.ndarray
    others: int | None = None

    @classmethod
    def of(cls, classes: Mapping[int, int], others: int | None = None) -> Table:
        """A table of single values."""
        keys = sorted(classes)
        return cls(np.array(keys, np.int64), np.array([classes[k] for k in keys], np.uint8), others)

    def apply(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classes of values, uint8, and which of them are known."""
        if values.dtype == np.uint8 and values.size > 256:
            found, known = self.apply(np.arange(256))
            return found[values], known[values]
        if not len(self.keys):
            place, known = np.zeros(values.shape, np.int64), np.zeros(values.shape, bool)
        else:
            place = np.minimum(np.searchsorted(self.keys, values), len(self.keys) - 1)
            known = self.keys[place] == values
        found = self.classes[place] if len(self.keys) else np.zeros(values.shape, np.uint8)
        if self.others is not None:
            return np.where(known, found, np.uint8(self.others)), np.ones_like(known)
        return found, known


def mapping_of(given: Any, highest: int) -> tuple[dict[int, int], int | None]:
    """``label_mapping`` of a data YAML, and the class of all other values.

    Raises:
        ConfigError: It is no mapping of whole numbers to classes.
    """
    if given is None:
        return {}, None
    if not isinstance(given, Mapping):
        raise ConfigError(f"label_mapping must map values of masks to classes, such as {{0: 255, 1: 0}}: {given!r}.")
    found: dict[int, int] = {}
    others = None
    for value, target in given.items():
        goal = IGNORE if target in (None, "ignore", "ignore_label") else _whole(target)
        if goal is None or not (0 <= goal < highest or goal == IGNORE):
            raise ConfigError(
                f"label_mapping: {value}: {target!r} is no class; there are 0 to {highest - 1}, and {IGNORE} for none; "
                "mend the data YAML."
            )
        if value == OTHERS:
            others = goal
        elif (key := _whole(value)) is None:
            raise ConfigError(f"label_mapping: {value!r} is no whole number; give values of masks, or {OTHERS}.")
        else:
            found[key] = goal
    return found, others


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,9}\s*", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def palette_of(given: Any, names: list[str]) -> Table:
    """``palette`` of a data YAML.

    Raises:
        ConfigError: An unknown class, what is no colour, or one colour for two classes.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f'palette must map classes to colours, such as {{landslide: "#ffff00"}}; received {given!r}.')
    goals = {"ignore": IGNORE, **({"background": 0} if len(names) == 1 else {})}
    goals |= {name: i + (len(names) == 1) for i, name in enumerate(names)}
    found: dict[int, int] = {}
    others = None
    for name, colours in given.items():
        if (goal := goals.get(str(name))) is None:
            raise ConfigError(
                f"palette: {name!r} is no class; there are {printable(', '.join(goals))}.{nearest(str(name), goals)}"
            )
        for colour in _several(colours):
            if colour == OTHERS:
                others = goal
                continue
            key = _colour(colour, str(name))
            if found.get(key, goal) != goal:
                raise ConfigError(f"palette: #{key:06x} is given to two classes; give each colour one.")
            found[key] = goal
    return Table.of(found, others)


def _several(colours: Any) -> Iterable[Any]:
    one = not isinstance(colours, list) or (len(colours) == 3 and all(isinstance(c, int) for c in colours))
    return [colours] if one else colours


def _colour(given: Any, name: str) -> int:
    """A colour as ``0xRRGGBB``.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(given, str) and _COLOUR.fullmatch(given):
        return int(given[1:], 16)
    if isinstance(given, list) and len(given) == 3 and all(_whole(c) is not None and 0 <= c < 256 for c in given):
        return (given[0] << 16) | (given[1] << 8) | given[2]
    raise ConfigError(f'palette: {name}: {given!r} is no colour; write "#ffff00", [255, 255, 0] or {OTHERS}.')
