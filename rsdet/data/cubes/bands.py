"""Which bands of a cube are taken: by number, by wavelength, all that are good, or all that vary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from rsdet.data.cubes.cube import CubeFile
from rsdet.errors import ConfigError, DataError
from rsdet.quiet import say

_RANGE_NM = re.compile(r"(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)\s*(nm|um|µm|μm)")
_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
_MOST_SHOWN = 8
USABLE = "usable"  # all, or those named beside it, without those that are constant or hold no number


def parts_of(spec: Any) -> list[Any]:
    """The parts of a request for bands; see :func:`bands_of`."""
    parts: Sequence[Any] = (
        spec.split(",") if isinstance(spec, str) else spec if isinstance(spec, (list, tuple)) else [spec]
    )
    return list(parts)


def asks_usable(spec: Any) -> bool:
    """Whether a request leaves it to us to drop bands that are constant or hold no number."""
    return any(str(part).strip().lower() == USABLE for part in parts_of(spec))


def bands_of(spec: Any, cube: CubeFile) -> list[int]:
    """Places of the bands that are meant; bad ones are dropped, which is said, unless they are named one by one.

    Args:
        spec: ``all`` (or None), numbers counted from 1, ranges of them (``10-50``), ranges of wavelengths
            (``450-900nm``, ``2.0-2.4um``); or several of these in a list, or with commas between them. ``usable``,
            alone or beside others, is for :func:`rsdet.data.cubes.usable.usable_bands` and names no band.
        cube: The cube.

    Returns:
        Places from 0, in the order of the request, each once.

    Raises:
        ConfigError: There are no such bands, or wavelengths are not known.
        DataError: None is left.
    """
    parts = [part for part in parts_of(spec) if not asks_usable(part)] or [None]
    found: list[int] = []
    dropped: list[int] = []
    for part in parts:
        places, one = _places(part, cube)
        found += [b for b in places if one or cube.good[b]]
        dropped += [b for b in places if not (one or cube.good[b])]
    found = list(dict.fromkeys(found))
    if dropped := sorted(set(dropped) - set(found)):
        say(f"{cube.path}: {len(dropped)} bad bands are left out, as its header says: {shown(dropped)}.")
    if not found:
        raise DataError(f"{cube.path}: bands={spec} leaves no band, all of them are bad; name some by number.")
    return found


def shown(places: Sequence[int], most: int | None = _MOST_SHOWN) -> str:
    """Numbers of bands, counted from 1, for messages; neighbours as ranges, no more of these than ``most``."""
    runs: list[list[int]] = []
    for b in sorted(places):
        if runs and b == runs[-1][1] + 1:
            runs[-1][1] = b
        else:
            runs.append([b, b])
    text = [f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in runs[:most]]
    return ", ".join(text) + (" and more" if len(runs) > len(text) else "")


def _places(part: Any, cube: CubeFile) -> tuple[list[int], bool]:
    """Places that one part of a request means, and whether it names a band by itself."""
    count = cube.shape[2]
    text = str(part).strip().lower()
    if part is None or text == "all":
        return list(range(count)), False
    if isinstance(part, bool) or (isinstance(part, (float, np.floating)) and not float(part).is_integer()):
        raise ConfigError(f"bands={part} must be numbers from 1 to {count}, ranges such as 450-900nm, all or usable.")
    if text.removesuffix(".0").isdigit():
        number = int(text.removesuffix(".0"))
        if not 1 <= number <= count:
            raise ConfigError(f"bands={part}: {cube.path} has the bands 1 to {count}; name some of these.")
        return [number - 1], True
    if (found := _RANGE.fullmatch(text)) is not None:
        first, last = int(found[1]), int(found[2])
        if not 1 <= first <= last <= count:
            raise ConfigError(f"bands={part}: {cube.path} has the bands 1 to {count}; name a range of these.")
        return list(range(first - 1, last)), False
    if (found := _RANGE_NM.fullmatch(text)) is None:
        raise ConfigError(
            f"bands={part} must be numbers from 1 to {count}, ranges such as 10-50 or 450-900nm, all or usable."
        )
    x = cube.wavelengths_nm
    if x is None:
        raise ConfigError(
            f"bands={part}: {cube.path} does not say its wavelengths; name bands by number, 1 to {count}."
        )
    low, high = (float(v) * (1 if found[3] == "nm" else 1000) for v in (found[1], found[2]))
    places = [int(b) for b in np.flatnonzero((x >= low) & (x <= high))]
    if not places:
        raise ConfigError(f"bands={part}: {cube.path} has bands from {x.min():.0f} to {x.max():.0f} nm, none of these.")
    return places, False
