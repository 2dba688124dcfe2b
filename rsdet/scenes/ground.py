"""The area of every pixel of a scene on the ground, a band of rows at a time."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from rsdet.scenes.georef import Georef

_MEASURED = 2**16  # pixels of a scene that are measured; in between the area is taken to be linear
_FARTHEST_PX = 64


class PixelAreas:
    """Areas of pixels on the ground.

    Every pixel of a small scene is measured, of a large one every 64th along each side; once for all who ask.

    Args:
        georef: The place of the scene.
    """

    def __init__(self, georef: Georef):
        height, width = georef.size_hw
        self._step = min(_FARTHEST_PX, max(1, math.isqrt(height * width // _MEASURED)))
        self._rows, self._columns = _places(height, self._step), _places(width, self._step)
        self._known = _measured(georef, self._step)

    def rows(self, top: int, bottom: int, columns: slice = slice(None)) -> np.ndarray:
        """(bottom - top, W) float64 square metres, or some columns of these; NaN where they are not known."""
        if self._step == 1:
            return self._known[top:bottom, columns]
        near = slice(self._rows.searchsorted(top, "right") - 1, self._rows.searchsorted(bottom - 1) + 1)
        wanted = np.arange(self._columns[-1] + 1)[columns]
        across = _between(self._known[near].T, self._columns, wanted).T
        return _between(across, self._rows[near], np.arange(top, bottom))


@lru_cache(maxsize=1)
def _measured(georef: Georef, step: int) -> np.ndarray:
    """Areas at every so many pixels and in the last row and column, in square metres."""
    rows, columns = (_places(n, step) for n in georef.size_hw)
    known = np.empty((len(rows), len(columns)))
    some = max(1, _MEASURED // len(columns))
    for i in range(0, len(rows), some):
        places = np.stack(np.meshgrid(columns, rows[i : i + some]), -1).reshape(-1, 2) + 0.5
        known[i : i + some] = georef.areas_m2(places).reshape(-1, len(columns))
    known.flags.writeable = False
    return known


def _places(count: int, step: int) -> np.ndarray:
    return np.unique(np.append(np.arange(0, count, step), count - 1))


def _between(known: np.ndarray, at: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows between known ones, linear."""
    if len(at) == 1:
        return known[np.zeros(len(wanted), int)]
    after = np.clip(np.searchsorted(at, wanted, side="right"), 1, len(at) - 1)
    part = ((wanted - at[after - 1]) / (at[after] - at[after - 1]))[:, None]
    return known[after - 1] * (1 - part) + known[after] * part
