"""Is a pixel above a multiple of the k-th smallest value of its ring? Exact, without sorting each ring.

Sorting hundreds of cells for every pixel is what makes OS-CFAR slow. Comparing with a fixed level e is cheap: how many
cells of a ring are below e is a box filter of a bit map. It settles every pixel with e between x / factor and b_(k):

- ``factor * e < x`` and at least k cells below e: b_(k) < e, so the pixel is detected;
- ``factor * e >= x`` and fewer than k cells below e: b_(k) >= e, so it is not.

Nearly all pixels of a scene are settled by a few levels, chosen where they settle most of a sample; the rings of the
few left are sorted. Multiplication is monotone in floating point too: the answer is exactly that of sorting.
"""

from __future__ import annotations

import cv2
import numpy as np

from rsdet.classical.windows import Ring

_SAMPLE = 512
_CHUNK_CELLS = 2**22  # values of rings held at a time
_LEVEL_COST = 1.0  # cells that can be sorted in the time that one level takes per pixel; from 0.5 to 5 is all the same


def exceeds_rank(
    values: np.ndarray, band: slice, factors: np.ndarray, k: np.ndarray, wanted: np.ndarray, ring: Ring
) -> np.ndarray:
    """Tell for each pixel whether it is above ``factor`` times the k-th smallest value in its ring.

    Args:
        values: (R, W) float64, rows of a band and all that its rings reach; inf where there are no data.
        band: Rows of ``values`` that are asked for, H of them.
        factors: (H, W) float64, above 0 where wanted.
        k: (H, W) whole numbers, from 1 to the number of finite cells in the ring.
        wanted: (H, W) bool, pixels to decide; False elsewhere.
        ring: The ring.

    Returns:
        (H, W) bool.
    """
    x = values[band]
    found, open_ = np.zeros(x.shape, bool), wanted.copy()
    random = np.random.default_rng(0)
    while (left := np.count_nonzero(open_)) * ring.cells > _LEVEL_COST * values.size:
        y, c = np.unravel_index(random.choice(np.flatnonzero(open_), min(_SAMPLE, left), replace=False), x.shape)
        level, share = _best_level(x[y, c] / factors[y, c], kth_of(values, y + band.start, c, k[y, c], ring))
        if share * left * ring.cells < _LEVEL_COST * values.size:
            break
        enough = ring.counts(values < level)[band] >= k
        below = factors * level < x
        found |= open_ & enough & below
        open_ &= enough ^ below
        if np.count_nonzero(open_) == left:  # the sample misled; never go round in circles
            break
    y, c = np.nonzero(open_)
    found[y, c] = x[y, c] > factors[y, c] * kth_of(values, y + band.start, c, k[y, c], ring)
    return found


def _best_level(t: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Level that lies between t and b for most of a sample, and the share for which it does."""
    t = t * (1 - 1e-12)  # a level equal to x / factor itself would not show that x is above it
    low, high = np.sort(np.minimum(t, b)), np.sort(np.maximum(t, b))
    inside = np.searchsorted(low, high, side="right") - np.searchsorted(high, high, side="left")
    best = int(inside.argmax())
    return float(high[best]), float(inside[best]) / len(high)


def kth_of(values: np.ndarray, y: np.ndarray, x: np.ndarray, k: np.ndarray, ring: Ring) -> np.ndarray:
    """Return the k-th smallest value in the ring of single pixels, by selection.

    Args:
        values: (H, W) float64, inf where there are no data.
        y: (M,) rows.
        x: (M,) columns.
        k: (M,) ranks, counted from 1.
        ring: The ring.

    Returns:
        (M,) float64.
    """
    out = np.empty(len(y))
    if not len(y):
        return out
    r = ring.reach_px
    padded = cv2.copyMakeBorder(values, r, r, r, r, cv2.BORDER_CONSTANT, value=np.inf)
    step = max(_CHUNK_CELLS // ring.cells, 1)
    for rank in np.unique(k):
        at = np.flatnonzero(k == rank)
        for i in range(0, len(at), step):
            some = at[i : i + step]
            out[some] = np.partition(ring.take(padded, y[some], x[some]), rank - 1, axis=1)[:, rank - 1]
    return out
