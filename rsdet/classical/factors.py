"""Threshold factors of CFAR: by how much a pixel must exceed its background for a given false-alarm rate.

Clutter of L looks has gamma distributed intensity of shape L. For independent cells, with a test cell X and N
background cells of the same mean:

- CA-CFAR (cell averaging): X / mean(background) is F distributed with (2L, 2NL) degrees of freedom, so that
  ``pfa = P(F > factor) = I_x(NL, L)`` with ``x = N / (N + factor)`` (Finn and Johnson 1968 for L = 1, where it is
  ``factor = N (pfa^(-1/N) - 1)``).
- OS-CFAR (order statistic; Rohling, "Radar CFAR Thresholding in Clutter and Multiple Target Situations", IEEE T-AES
  19(4), 1983): ``pfa = P(X > factor * b_(k))``, b_(k) the k-th smallest background cell; for L = 1
  ``pfa = prod_{i=0}^{k-1} (N - i) / (N - i + factor)`` (his eq. 37), else the integral of the gamma survival function
  over the density of b_(k).

Neighbouring pixels of a real SAR image are correlated (oversampling, weighting), so that N cells are worth fewer and
the rate that is met is somewhat higher than the one asked for. Texture (sea that is no gamma clutter) does the same.

Solved here with NumPy and PyTorch; SciPy is not needed. All functions take arrays of cell counts, because windows are
cut at borders and at missing data.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from rsdet.errors import ConfigError


def ca_factor(pfa: float, cells: np.ndarray | int, looks: float = 1.0) -> np.ndarray:
    """Factor of cell averaging: a pixel is detected above ``factor * mean(background)``.

    Args:
        pfa: False-alarm rate per pixel, in (0, 1).
        cells: Number N of background cells, 1 or more; any shape.
        looks: Number of looks L, above 0; need not be whole.

    Returns:
        float64 of the shape of ``cells``, for intensity (not amplitude).

    Raises:
        ConfigError: A value out of its range.
    """
    check_parameters(pfa, looks)
    return _for_each(cells, lambda n: _solve(lambda log_f, at: _log_f_sf(log_f, n[at], looks), np.log(pfa), len(n)))


def os_factor(pfa: float, cells: np.ndarray | int, rank: np.ndarray | int, looks: float = 1.0) -> np.ndarray:
    """Factor of the order statistic: a pixel is detected above ``factor * b_(rank)``.

    Args:
        pfa: False-alarm rate per pixel, in (0, 1).
        cells: Number N of background cells, 1 or more; any shape.
        rank: k of the k-th smallest, 1 to N; of the shape of ``cells`` or one number.
        looks: Number of looks L, above 0.

    Returns:
        float64 of the shape of ``cells``, for intensity (not amplitude).

    Raises:
        ConfigError: A value out of its range.
    """
    check_parameters(pfa, looks)
    cells, rank = np.broadcast_arrays(np.asarray(cells, np.int64), np.asarray(rank, np.int64))
    if rank.size and (rank.min() < 1 or (rank > cells).any()):
        raise ConfigError(f"rank={rank.min()}..{rank.max()} must be 1 or more and no more than the background cells.")
    pairs, where = np.unique(np.stack([cells.ravel(), rank.ravel()]), axis=1, return_inverse=True)
    found = np.array([_os_factor_of(pfa, int(n), int(k), float(looks)) for n, k in pairs.T])
    return found[where.ravel()].reshape(cells.shape)


def check_parameters(pfa: float, looks: float, rank: float = 1.0) -> None:
    """Check the parameters of a CFAR.

    Args:
        pfa: False-alarm rate, in (0, 1).
        looks: Number of looks, above 0.
        rank: Share of the background cells, in (0, 1].

    Raises:
        ConfigError: A value out of its range.
    """
    if not 0 < pfa < 1:
        raise ConfigError(f"pfa={pfa!r} must lie between 0 and 1, both excluded; it is a rate per pixel, e.g. 1e-6.")
    if not 0 < looks < np.inf:
        raise ConfigError(f"looks={looks!r} must be a number above 0, such as 1 for single-look or 4 for 4-look data.")
    if not 0 < rank <= 1:
        raise ConfigError(f"rank={rank!r} must lie above 0 and be at most 1; 0.75 is the usual choice.")


def _for_each(cells: np.ndarray | int, solve: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    cells = np.asarray(cells)
    counts, where = np.unique(cells, return_inverse=True)
    if counts.size and counts[0] < 1:
        raise ConfigError(f"cells={counts[0]} must be 1 or more: without background there is no threshold.")
    return solve(counts.astype(np.float64))[where.ravel()].reshape(cells.shape)


def _solve(log_pfa_of: Callable[[np.ndarray, np.ndarray], np.ndarray], wanted: float, n: int) -> np.ndarray:
    """Find the factor whose log false-alarm rate is ``wanted``, for ``n`` problems side by side.

    ``log_pfa_of(log_factor, at)`` falls monotonically. Regula falsi with the Illinois rule: bracketed, no derivative.
    """
    everyone = np.arange(n)
    low, high = np.full(n, -1.0), np.full(n, 1.0)
    f_low, f_high = log_pfa_of(low, everyone) - wanted, log_pfa_of(high, everyone) - wanted
    for _ in range(600):  # widen until the answer is inside; each step moves by two, far beyond any float at the end
        at = np.flatnonzero(f_low < 0)
        if at.size == 0:
            break
        low[at] -= 2
        f_low[at] = log_pfa_of(low[at], at) - wanted
    for _ in range(600):
        at = np.flatnonzero(f_high > 0)
        if at.size == 0:
            break
        low[at], f_low[at] = high[at], f_high[at]
        high[at] += 2
        f_high[at] = log_pfa_of(high[at], at) - wanted
    at, moved = everyone, np.zeros(n)  # which end moved last: -1 the lower one, 1 the upper one
    for _ in range(200):
        fall = f_low[at] - f_high[at]
        middle = low[at] + f_low[at] * (high[at] - low[at]) / np.where(fall == 0, 1, fall)
        f = log_pfa_of(middle, at) - wanted
        above = f > 0
        up, down = at[above], at[~above]
        # Illinois: an end that stays a second time is halved in weight, or it would stay for good.
        f_high[up] *= np.where(moved[up] == -1, 0.5, 1)
        f_low[down] *= np.where(moved[down] == 1, 0.5, 1)
        low[up], f_low[up], moved[up] = middle[above], f[above], -1
        high[down], f_high[down], moved[down] = middle[~above], f[~above], 1
        done = (np.abs(f) < 1e-11) | (high[at] - low[at] < 1e-13)
        low[at[done]] = high[at[done]] = middle[done]
        at = at[~done]
        if at.size == 0:
            break
    return np.exp(0.5 * (low + high))


# --- cell averaging ---------------------------------------------------------------------------------------------------


def _log_f_sf(log_factor: np.ndarray, cells: np.ndarray, looks: float) -> np.ndarray:
    """Log of P(F > factor), F with (2L, 2NL) degrees of freedom."""
    # x = N / (N + factor); x, 1 - x and their logs each by itself: where one is near 1, the other would lose digits.
    log_ratio = log_factor - np.log(cells)
    log_1p = np.logaddexp(0, log_ratio)
    return _log_betainc(cells * looks, np.full_like(cells, looks), -log_1p, log_ratio - log_1p)


def _log_betainc(a: np.ndarray, b: np.ndarray, log_x: np.ndarray, log_y: np.ndarray) -> np.ndarray:
    """Log of the regularised incomplete beta function I_x(a, b), y = 1 - x; continued fraction of DLMF 8.17(v)."""
    log_front = a * log_x + b * log_y - (_lgamma(a) + _lgamma(b) - _lgamma(a + b))
    swap = np.exp(log_x) > (a + 1) / (a + b + 2)  # the fraction converges fast on one side only
    a2, b2, x2 = np.where(swap, b, a), np.where(swap, a, b), np.exp(np.where(swap, log_y, log_x))
    log_part = log_front - np.log(a2) + np.log(_beta_fraction(a2, b2, x2))
    return np.where(swap, np.log1p(-np.minimum(np.exp(np.minimum(log_part, 0)), 1 - 1e-16)), log_part)


def _beta_fraction(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Value of the continued fraction 1/(1 + d1/(1 + d2/(1 + ...))) by Lentz's method."""
    tiny = 1e-300
    c = np.ones_like(a)
    d = 1 - (a + b) * x / (a + 1)
    d = 1 / np.where(np.abs(d) < tiny, tiny, d)
    value = d.copy()
    for m in range(1, 2000):
        before = value
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + step * d
            d = 1 / np.where(np.abs(d) < tiny, tiny, d)
            c = 1 + step / c
            c = np.where(np.abs(c) < tiny, tiny, c)
            value = value * d * c
        if np.all(np.abs(value - before) <= 1e-15 * np.abs(value)):
            break
    return value


def _lgamma(x: np.ndarray | float) -> np.ndarray:
    return torch.lgamma(torch.as_tensor(np.asarray(x, np.float64))).numpy()


# --- order statistic --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def _os_factor_of(pfa: float, n: int, k: int, looks: float) -> float:
    if looks == 1:
        left = n - np.arange(k, dtype=np.float64)

        def log_pfa_of(log_factor: np.ndarray, _: np.ndarray) -> np.ndarray:
            return -np.log1p(np.exp(log_factor)[:, None] / left).sum(1)
    else:
        log_y, log_weight = _order_density(pfa, n, k, looks)
        shape = torch.tensor(looks, dtype=torch.float64)

        def log_pfa_of(log_factor: np.ndarray, _: np.ndarray) -> np.ndarray:
            z = torch.from_numpy(np.exp(np.minimum(log_factor[:, None] + log_y, 700)))
            return np.log(torch.special.gammaincc(shape, z).numpy() @ np.exp(log_weight))

    return float(_solve(log_pfa_of, float(np.log(pfa)), 1)[0])


def _order_density(pfa: float, n: int, k: int, looks: float) -> tuple[np.ndarray, np.ndarray]:
    """Grid over log y and log weights of the density of the k-th of n gamma(L) cells; weights sum to 1.

    The trapezoid rule is exact to machine precision here: the integrand is smooth and vanishes at both ends. These
    are chosen by union bounds, so that what is cut off is below 1e-12 of ``pfa``.
    """
    log_choose = _lgamma(n + 1.0) - _lgamma(k + 1.0) - _lgamma(n - k + 1.0)
    lost = np.log(pfa) - 28
    # P(b_(k) < y) <= C(n, k) G(y)^k and G(y) <= y^L / Gamma(L + 1)
    log_low = ((lost - log_choose) / k + _lgamma(looks + 1.0)) / looks
    high = looks + 12 * np.sqrt(looks) + 60 + 2 * np.log(n)
    low, high = min(float(log_low), np.log(high) - 1), float(np.log(high))
    # log b_(k) has a standard deviation of some 0.7 / sqrt(nL) where it is narrowest: two points for each are plenty.
    step = min(0.35 / np.sqrt(n * looks), 0.1)
    log_y = np.linspace(low, high, int(min((high - low) / step, 2**17)) + 2)
    y = torch.from_numpy(np.exp(log_y))
    shape = torch.tensor(looks, dtype=torch.float64)
    tiny = 1e-320
    log_cdf = np.log(np.maximum(torch.special.gammainc(shape, y).numpy(), tiny))
    log_sf = np.log(np.maximum(torch.special.gammaincc(shape, y).numpy(), tiny))
    log_gamma_density = looks * log_y - y.numpy() - _lgamma(looks)  # of log y, hence L and not L - 1
    log_w = (k - 1) * log_cdf + (n - k) * log_sf + log_gamma_density
    log_w -= log_w.max()
    return log_y, log_w - np.log(np.exp(log_w).sum())
