"""Detection at a constant false-alarm rate (CFAR): each pixel against the clutter in a ring around it.

CA-CFAR takes the mean of the ring as the clutter level; it is the better one in homogeneous sea. OS-CFAR takes an order
statistic of it, which other ships, a wake or a bit of coast inside the ring hardly move. The factors between level and
threshold are in :mod:`rsdet.classical.factors`, with the papers and with what they assume.

The ring is cut at borders and where data are missing; the factor follows the number of cells that are left. Pixels
without any background are never detected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from rsdet.classical.factors import ca_factor, check_parameters, os_factor
from rsdet.classical.order import exceeds_rank, kth_of
from rsdet.classical.windows import Ring
from rsdet.errors import ConfigError, DataError, nearest

METHODS = ("ca", "os")
QUANTITIES = ("amplitude", "intensity")


@dataclass(frozen=True)
class Detections:
    """Pixels above their threshold.

    Attributes:
        mask: (H, W) bool.
        ratio: (H, W) float32, intensity over threshold where detected (1 or more; inf over a background of zeros),
            else 0.
    """

    mask: np.ndarray
    ratio: np.ndarray


def ca_cfar(
    values: np.ndarray,
    *,
    pfa: float,
    guard_px: int,
    background_px: int,
    looks: float = 1.0,
    quantity: str = "amplitude",
    valid: np.ndarray | None = None,
    least_level: float = 0.0,
) -> Detections:
    """Cell-averaging CFAR.

    Args:
        values: (H, W) integer or float, linear, 0 or more; NaN is no data.
        pfa: False-alarm rate per pixel, in (0, 1).
        guard_px: Odd side of the guard window in pixels.
        background_px: Odd side of the background window in pixels.
        looks: Number of looks, see :func:`rsdet.classical.looks.estimate_looks`.
        quantity: ``"amplitude"`` or ``"intensity"`` (amplitude squared).
        valid: (H, W) bool, False where there are no data.
        least_level: Intensity below which the clutter level of a pixel is not believed, such as what is lost in
            rounding: in a dark 8-bit file whole rings are 0, and the threshold would be, too.

    Returns:
        What is detected.

    Raises:
        ConfigError: A parameter out of its range.
        DataError: Values that are no amplitude or intensity.
    """
    ring = Ring(guard_px, background_px)
    check_parameters(pfa, looks)
    values, valid = checked(values, valid, quantity)
    mask, ratio = np.zeros(values.shape, bool), np.zeros(values.shape, np.float32)
    for rows, reach, band in ring.strips(*values.shape):
        x, ok = _intensity(values[reach], quantity), valid[reach]
        x = np.where(ok, x, 0)
        cells = ring.counts(ok)[band]
        # The difference of two running sums can fall a rounding error below zero, which this catches, too.
        threshold = np.maximum(ring.sums(x)[band], least_level * cells)
        threshold *= _ca_shares(pfa, ring.cells, looks)[cells]
        found = (x[band] > threshold) & (cells > 0)  # missing data are 0 here, never above a threshold
        mask[rows] = found
        ratio[rows][found] = _ratio(x[band][found], threshold[found])
    return Detections(mask, ratio)


def os_cfar(
    values: np.ndarray,
    *,
    pfa: float,
    guard_px: int,
    background_px: int,
    looks: float = 1.0,
    rank: float = 0.75,
    quantity: str = "amplitude",
    valid: np.ndarray | None = None,
    least_level: float = 0.0,
) -> Detections:
    """Order-statistic CFAR.

    Args:
        values: See :func:`ca_cfar`, as for all others.
        pfa: False-alarm rate per pixel.
        guard_px: Odd side of the guard window in pixels.
        background_px: Odd side of the background window in pixels.
        looks: Number of looks.
        rank: Which order statistic: the ``ceil(rank N)``-th smallest of N background cells, in (0, 1].
        quantity: ``"amplitude"`` or ``"intensity"``.
        valid: (H, W) bool, False where there are no data.
        least_level: Intensity below which the clutter level is not believed.

    Returns:
        What is detected.
    """
    ring = Ring(guard_px, background_px)
    check_parameters(pfa, looks, rank)

    def factor(n: np.ndarray) -> np.ndarray:
        return os_factor(pfa, n, _rank_of(rank, n), looks)

    values, valid = checked(values, valid, quantity)
    mask, ratio = np.zeros(values.shape, bool), np.zeros(values.shape, np.float32)
    for rows, reach, band in ring.strips(*values.shape):
        x = _intensity(values[reach], quantity)
        x[~valid[reach]] = np.inf  # sorts behind all data
        cells = ring.counts(valid[reach])[band]
        factors, k = _per_count(cells, factor), _per_count(cells, lambda n: _rank_of(rank, n)).astype(np.int32)
        possible = valid[rows] & (cells > 0) & (x[band] > factors * least_level)
        found = exceeds_rank(x, band, factors, k, possible, ring)
        mask[rows] = found
        y, c = np.nonzero(found)
        level = np.maximum(kth_of(x, y + band.start, c, k[found], ring), least_level)
        ratio[rows][found] = _ratio(x[band][found], factors[found] * level)
    return Detections(mask, ratio)


def cfar(values: np.ndarray, method: str = "ca", *, rank: float = 0.75, **kwargs: Any) -> Detections:
    """:func:`ca_cfar` or :func:`os_cfar` by name (``"ca"``, ``"os"``); ``rank`` is for the latter."""
    if method not in METHODS:
        raise ConfigError(f"method={method!r} must be one of {list(METHODS)}.{nearest(str(method), METHODS)}")
    return ca_cfar(values, **kwargs) if method == "ca" else os_cfar(values, rank=rank, **kwargs)


def checked(values: np.ndarray, valid: np.ndarray | None, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """Make sure that an array is amplitude or intensity, and find where it has data.

    Args:
        values: (H, W) array.
        valid: (H, W) bool or None.
        quantity: What the values are.

    Returns:
        The values and (H, W) bool, False also where a value is NaN.

    Raises:
        ConfigError: Unknown quantity.
        DataError: Wrong shape or type, negative or infinite values.
    """
    if quantity not in QUANTITIES:
        hint = nearest(str(quantity), QUANTITIES)
        raise ConfigError(f"quantity={quantity!r} must be one of {list(QUANTITIES)}.{hint}")
    values = np.asarray(values)
    if values.ndim != 2 or not values.size:
        raise DataError(f"CFAR takes one channel, (H, W), received the shape {values.shape}; pass a single band.")
    if values.dtype.kind not in "uif":
        raise DataError(f"CFAR takes real numbers, received {values.dtype}; pass the magnitude of complex data.")
    if valid is None:
        valid = np.ones(values.shape, bool)
    valid = np.asarray(valid, bool)
    if valid.shape != values.shape:
        raise DataError(f"the mask of valid pixels has the shape {valid.shape}, not {values.shape} as the values.")
    if values.dtype.kind == "f":
        valid = valid & ~np.isnan(values)
    lowest = values.min(where=valid, initial=0)
    if lowest < 0:
        raise DataError(f"{quantity} cannot be negative, received {lowest:g}; values in dB must be made linear first.")
    if values.dtype.kind == "f" and np.isinf(values).any(where=valid):
        raise DataError(f"the {quantity} holds infinite values; mark those pixels as missing (NaN or nodata).")
    return values, valid


def _rank_of(rank: float, n: np.ndarray) -> np.ndarray:
    # 0.7 * 10 is a little above 7 in floating point: not a reason for the 8th.
    return np.clip(np.ceil(rank * n - 1e-9), 1, n).astype(np.int64)


def _intensity(values: np.ndarray, quantity: str) -> np.ndarray:
    x = values.astype(np.float64)
    return np.square(x, out=x) if quantity == "amplitude" else x


def _per_count(cells: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Evaluate a function of the cell count once per count that occurs; 0 where there are no cells."""
    table = np.zeros(int(cells.max(initial=0)) + 1)
    counts = np.flatnonzero(np.bincount(cells.ravel(), minlength=1))
    counts = counts[counts > 0]
    table[counts] = function(counts)
    return table[cells]


@lru_cache(maxsize=64)
def _ca_shares(pfa: float, most: int, looks: float) -> np.ndarray:
    """Factor over count, by which the sum of so many cells becomes a threshold; index 0 is 0."""
    n = np.arange(1, most + 1)
    shares = np.concatenate([[0.0], ca_factor(pfa, n, looks) / n])
    shares.setflags(write=False)
    return shares


def _ratio(x: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", over="ignore"):
        return np.maximum(x / threshold, 1)
