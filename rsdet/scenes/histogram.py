"""One picture given the brightness of another: histogram matching by tables, measured once and used on every window.

Gonzalez and Woods, Digital Image Processing, 3.3.2: a value becomes the one that as large a part of the other picture
does not exceed. Tables are measured on whole pictures, never on a tile, so that a pixel depends on its value alone.
"""

from __future__ import annotations

import numpy as np

_VALUES = 256


def counts_of(pixels: np.ndarray) -> np.ndarray:
    """(C, 256) how often each value occurs in each channel of (N, C) uint8."""
    return np.stack([np.bincount(values, minlength=_VALUES) for values in pixels.T])


def matching_tables(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Measure how the values of one picture become those of another.

    Args:
        source: (C, 256) how often each value occurs in the picture that is changed, see :func:`counts_of`.
        target: (C, 256) the same of the other one.

    Returns:
        (C, 256) uint8: what each value of a channel becomes. It never falls; values between those that occur lie
        between what these become. Without pixels every value stays.
    """
    values, tables = np.arange(_VALUES), []
    for counts, wanted in zip(source, target, strict=True):
        there, known = counts > 0, wanted > 0
        if not (there.any() and known.any()):
            tables.append(values)
            continue
        # The middle of a step stands for its value: what is equal in both then stays what it is.
        share, reached = ((np.cumsum(n) - n / 2) / n.sum() for n in (counts, wanted))
        becomes = np.interp(share[there], reached[known], values[known])
        tables.append(np.interp(values, values[there], becomes))
    return np.rint(np.stack(tables)).astype(np.uint8)


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
