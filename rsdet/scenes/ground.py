"""The area of every pixel of a scene on the ground, a band of rows at a time."""

from __future__ import annotations

import math

import numpy as np

from rsdet.scenes.georef import Georef

_MEASURED = 2**16  # pixels of a scene that are measured; in between the area is taken to be linear
_FARTHEST_PX = 64


class PixelAreas:
    """Areas of pixels on the ground.

    Every pixel of a small scene is measured, of a large one every 64th along each side.

    Args:
        georef: The place of the scene.
    """

    def __init__(self, georef: Georef):
        self.georef = georef
        height, width = georef.size_hw
        self._step = min(_FARTHEST_PX, max(1, math.isqrt(height * width // _MEASURED)))
        self._columns = _places(0, width, self._step)

    def rows(self, top: int, bottom: int, columns: slice = slice(None)) -> np.ndarray:
        """(bottom - top, W) float64 square metres, or some columns of these; NaN where they are not known."""
        rows = _places(top, bottom, self._step)
        places = np.stack(np.meshgrid(self._columns, rows), -1).reshape(-1, 2) + 0.5
        known = self.georef.areas_m2(places).reshape(len(rows), len(self._columns))
        if self._step == 1:
            return known[:, columns]
        across = _between(known.T, self._columns, np.arange(self.georef.size_hw[1])[columns]).T
        return _between(across, rows, np.arange(top, bottom))


def _places(first: int, past: int, step: int) -> np.ndarray:
    return np.unique(np.append(np.arange(first, past, step), past - 1))


def _between(known: np.ndarray, at: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows between known ones, linear."""
    if len(at) == 1:
        return known[np.zeros(len(wanted), int)]
    after = np.clip(np.searchsorted(at, wanted, side="right"), 1, len(at) - 1)
    part = ((wanted - at[after - 1]) / (at[after] - at[after - 1]))[:, None]
    return known[after - 1] * (1 - part) + known[after] * part
