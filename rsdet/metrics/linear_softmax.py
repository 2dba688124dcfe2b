"""Softmax regression in NumPy: the linear classifier of the baselines, fitted to its one minimum.

Source: Nocedal and Wright 2006, Numerical Optimization, algorithms 7.4 and 7.5 (L-BFGS).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from rsdet.errors import DataError

_STEPS = 300
_MEMORY = 10  # pairs of steps that the curvature is known by
_LEVEL = 1e-6  # largest slope at which the minimum is reached


def fit_linear_softmax(features: np.ndarray, counts: np.ndarray, l2: float) -> np.ndarray:
    """Weights W that minimise the mean of -log softmax(x W) over all answers, plus l2 / 2 times their sum of squares.

    The bias is left out of the sum. The loss is convex and the weights begin at zero: nothing is drawn, and the same
    answers give the same weights.

    Args:
        features: (N, F).
        counts: (N, A) how often each answer was given for each row.
        l2: Above 0.

    Returns:
        (F + 1, A) float64, the bias last.

    Raises:
        DataError: Features that are not finite.
    """
    x, given = np.asarray(features, np.float64), np.asarray(counts, np.float64)
    if not np.isfinite(x).all():
        raise DataError("features of a baseline are NaN or infinite; look at the encodings of the images")
    answers, total = given.sum(1, keepdims=True), given.sum()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(x.shape[1] + 1, -1)
        z = x @ w[:-1] + w[-1]
        z -= z.max(1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        value = -(given * log_p).sum() / total + l2 / 2 * (w[:-1] ** 2).sum()
        slope = (answers * np.exp(log_p) - given) / total
        return float(value), np.vstack([x.T @ slope + l2 * w[:-1], slope.sum(0)]).ravel()

    return _minimum(loss, np.zeros((x.shape[1] + 1) * given.shape[1])).reshape(x.shape[1] + 1, -1)


def _minimum(f: Callable[[np.ndarray], tuple[float, np.ndarray]], x: np.ndarray) -> np.ndarray:
    """Where a convex function with its gradient is least, by L-BFGS with steps halved until they lead down."""
    value, slope = f(x)
    pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_MEMORY)
    for _ in range(_STEPS):
        if np.abs(slope).max() <= _LEVEL:
            break
        way = -_scaled(slope, pairs)
        length = 1.0
        while True:
            new = x + length * way
            new_value, new_slope = f(new)
            if new_value <= value + 1e-4 * length * (slope @ way):
                break
            length /= 2
            if length < 1e-10:  # as far down as float64 can tell
                return x
        pairs.append((new - x, new_slope - slope))
        x, value, slope = new, new_value, new_slope
    return x


def _scaled(slope: np.ndarray, pairs: deque[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The slope times the inverse of the curvature, as far as the last steps tell it (two-loop recursion)."""
    pairs = deque((s, y) for s, y in pairs if s @ y > 0)
    parts = []
    for s, y in reversed(pairs):
        parts.append((s @ slope) / (s @ y))
        slope = slope - parts[-1] * y
    if pairs:
        s, y = pairs[-1]
        slope = slope * (s @ y) / (y @ y)
    for (s, y), part in zip(pairs, reversed(parts), strict=True):
        slope = slope + (part - (y @ slope) / (s @ y)) * s
    return slope
