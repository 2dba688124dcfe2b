"""The ring of pixels around each pixel of a cube, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsdet.classical.windows import Ring

_BATCH_BYTES = 2**25


def around(x: np.ndarray, ring: Ring) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Neighbours of all pixels that have a value.

    Args:
        x: (h, w, B) float64, NaN where there is none.
        ring: Which pixels these are.

    Yields:
        (M,) places in reading order; (M, N, B) values of their neighbours, 0 where there are none; (M, N) bool, whether
        there is one.
    """
    _, width, bands = x.shape
    reach = ring.reach_px
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), constant_values=np.nan)
    there = np.isfinite(padded).all(-1)
    padded = np.where(there[..., None], padded, 0).reshape(-1, bands)
    stride = width + 2 * reach
    offsets = (ring.dy + reach) * stride + ring.dx + reach
    places = np.flatnonzero(np.isfinite(x).all(-1))
    step = max(_BATCH_BYTES // (8 * ring.cells * max(bands, ring.cells)), 1)  # Gram matrices are made of them
    for first in range(0, len(places), step):
        some = places[first : first + step]
        cells = (some // width * stride + some % width)[:, None] + offsets
        yield some, padded[cells], there.reshape(-1)[cells]
