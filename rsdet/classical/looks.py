"""How many looks does an image have? Estimated from its calmest blocks."""

from __future__ import annotations

import numpy as np

from rsdet.classical.cfar import checked
from rsdet.errors import DataError

_BLOCK = 16


def estimate_looks(values: np.ndarray, quantity: str = "amplitude", valid: np.ndarray | None = None) -> float:
    """Equivalent number of looks, mean^2 / variance of the intensity, as the median over blocks of 16 x 16 pixels.

    Targets, edges and texture only lower the figure of a block, so that the estimate is rather too low than too high:
    thresholds become higher and false alarms fewer. Needs most of the image to be one kind of clutter. Blocks at the
    lower and right border may be smaller; those with data in fewer than half of their pixels do not count.

    Args:
        values: (H, W) linear amplitude or intensity; NaN is no data.
        quantity: ``"amplitude"`` or ``"intensity"``.
        valid: (H, W) bool, False where there are no data.

    Returns:
        Looks, above 0.

    Raises:
        DataError: No block of the image varies.
    """
    values, valid = checked(values, valid, quantity)
    x = np.where(valid, values, 0).astype(np.float64)
    x = x**2 if quantity == "amplitude" else x
    scale = x.max()
    x = x / scale if scale > 0 else x  # squares of squares of 32-bit values would leave few digits
    n, mean, square = (_block_sums(a) for a in (valid.astype(np.float64), x, x * x))
    enough = n >= max(2, min(x.size, _BLOCK**2) / 2)
    n, mean, square = n[enough], mean[enough] / n[enough], square[enough] / n[enough]
    variance = (square - mean**2) * n / (n - 1)
    varies = variance > 1e-12 * square
    if not varies.any():
        raise DataError("the number of looks cannot be estimated: no block of 16 x 16 pixels varies; pass looks=.")
    return float(np.median(mean[varies] ** 2 / variance[varies]))


def _block_sums(a: np.ndarray) -> np.ndarray:
    rows, columns = (np.arange(0, n, _BLOCK) for n in a.shape)
    return np.add.reduceat(np.add.reduceat(a, rows, axis=0), columns, axis=1).ravel()
