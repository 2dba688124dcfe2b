"""Where tiles begin along an axis, and with what weight each counts at each pixel.

Tiles form a grid, so the weight of a tile is the product of one along the rows and one along the columns. Where the
weights along each axis sum to one, so do the products: no picture of summed weights has to be kept and divided by.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RIM = 0.25  # share of an overlap at the rim of each tile that does not count: there a network has seen padding


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """First pixels of the tiles along an axis.

    Args:
        length: Pixels of the axis.
        tile: Pixels of a tile, no more than ``length``.
        overlap: Pixels that neighbours share at least, fewer than ``tile``.

    Returns:
        Ascending, from 0 to ``length - tile``; the last step is shorter where the axis does not divide.
    """
    return [*range(0, length - tile, tile - overlap), length - tile]


def axis_weights(length: int, begins: Sequence[int], tile: int) -> list[np.ndarray]:
    """Weight of each tile along an axis.

    Between two neighbours the weight passes linearly from one to the other over the middle half of what they share;
    the outer quarters belong to one of them alone. At the ends of the axis there is no ramp.

    Args:
        length: Pixels of the axis.
        begins: First pixel of each tile, as :func:`starts` gives them.
        tile: Pixels of a tile.

    Returns:
        One (tile,) float64 array per tile; at every pixel of the axis they sum to one.
    """
    at = np.arange(tile) + 0.5
    raw = [np.ones(tile) for _ in begins]
    for i in range(len(begins) - 1):
        shared = begins[i] + tile - begins[i + 1]
        if shared > 0:
            ramp = np.clip((at / shared - RIM) / (1 - 2 * RIM), 0, 1)
            raw[i + 1] *= ramp
            raw[i] *= ramp[::-1]
    total = np.zeros(length)
    for begin, w in zip(begins, raw, strict=True):
        total[begin : begin + tile] += w
    return [w / total[begin : begin + tile] for begin, w in zip(begins, raw, strict=True)]
