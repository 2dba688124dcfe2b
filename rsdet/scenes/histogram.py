"""One picture given the brightness of another: histogram matching by tables, measured once and used on every window.

Gonzalez and Woods, Digital Image Processing, 3.3.2: a value becomes the one that as large a part of the other picture
does not exceed. Tables are measured on whole pictures, never on a tile, so that a pixel depends on its value alone.
"""

from __future__ import annotations

import numpy as np

_VALUES = 256


def matching_tables(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Measure how the values of one picture become those of another.

    Args:
        source: (N, C) uint8 pixels of the picture that is changed.
        target: (M, C) uint8 pixels of the other one.

    Returns:
        (C, 256) uint8: what each value of a channel becomes. It never falls; values between those that occur lie
        between what these become. Without pixels every value stays.
    """
    values = np.arange(_VALUES)
    if not len(source) or not len(target):
        return np.repeat(values[None].astype(np.uint8), source.shape[1], 0)
    tables = []
    for ours, theirs in zip(source.T, target.T, strict=True):
        counts, wanted = (np.bincount(v, minlength=_VALUES).astype(np.float64) for v in (ours, theirs))
        # The middle of a step stands for its value: what is equal in both then stays what it is.
        share, reached = ((np.cumsum(n) - n / 2) / n.sum() for n in (counts, wanted))
        there, known = counts > 0, wanted > 0
        becomes = np.interp(share[there], reached[known], values[known])
        tables.append(np.interp(values, values[there], becomes))
    return np.rint(tables).astype(np.uint8)


def matched(picture: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """A picture by its tables.

    Args:
        picture: (H, W, C) uint8.
        tables: (C, 256) uint8, see :func:`matching_tables`.
    """
    out = np.empty_like(picture)
    for channel, table in enumerate(tables):
        out[..., channel] = table[picture[..., channel]]
    return out
