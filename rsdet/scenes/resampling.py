"""Resampling by which a pixel depends on its place alone, not on the window that it is computed in.

Pixel edges lie on one grid for the whole scene. Each axis has, for each pixel out, the pixels in that it is made of and
their shares; a pixel is their sum in the order of places, so windows that overlap agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Taps:
    """What N pixels of one axis are made of.

    Attributes:
        places: (N, K) int64, pixels in.
        shares: (N, K) float32, summing to 1; all 0 for a pixel outside.
    """

    places: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, edges: np.ndarray, size: int) -> Taps:
        """The area that a pixel covers where pixels become larger, linear between centres where they become smaller.

        Args:
            edges: (N + 1,) float64 edges of the pixels out, in pixels in, evenly spaced.
            size: Pixels in.
        """
        step = (edges[-1] - edges[0]) / (len(edges) - 1)
        if step >= 1:
            low, high = np.clip(edges[:-1], 0, size), np.clip(edges[1:], 0, size)
            places = np.floor(low).astype(np.int64)[:, None] + np.arange(int(np.ceil(step - 1e-6)) + 1)
            shares = np.minimum(high[:, None], places + 1) - np.maximum(low[:, None], places)
            shares = np.maximum(shares, 0)
        else:
            centre = (edges[:-1] + edges[1:]) / 2
            first = np.floor(centre - 0.5)
            places = first.astype(np.int64)[:, None] + np.arange(2)
            after = centre - 0.5 - first
            shares = np.stack([1 - after, after], 1) * ((centre >= 0) & (centre <= size))[:, None]
        total = shares.sum(axis=1, keepdims=True)
        shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
        return cls(places.clip(0, size - 1), shares.astype(np.float32))

    @property
    def span(self) -> tuple[int, int]:
        """First pixel in, and how many there are up to the last."""
        first = int(self.places.min())
        return first, int(self.places.max()) + 1 - first

    @property
    def inside(self) -> np.ndarray:
        """(N,) bool: pixels out that are not outside."""
        return self.shares.any(axis=1)

    def part(self, start: int, stop: int) -> Taps:
        """Those of some of the pixels out."""
        return Taps(self.places[start:stop], self.shares[start:stop])

    def apply(self, x: np.ndarray, axis: int) -> np.ndarray:
        """Resample one axis of (H, W, C) floats that begins at ``span``."""
        first, _ = self.span
        shape = [1, 1, 1]
        shape[axis] = len(self.places)
        out = None
        for k in range(self.places.shape[1]):
            part = np.take(x, self.places[:, k] - first, axis=axis)
            part *= self.shares[:, k].reshape(shape)
            out = part if out is None else np.add(out, part, out=out)
        return out


def floats(raw: np.ndarray) -> np.ndarray:
    """Samples as a copy in floats that hold them; magnitudes of complex ones."""
    if raw.dtype.kind == "c":
        return np.abs(raw).astype(np.float32)
    exact = raw.dtype.itemsize <= 2 or raw.dtype == np.float32
    return raw.astype(np.float32 if exact else np.float64)


def resampled(raw: np.ndarray, valid: np.ndarray, rows: Taps, columns: Taps) -> tuple[np.ndarray, np.ndarray]:
    """Resample samples; those without data count for nothing.

    Args:
        raw: (H, W, C) floats that begin at the spans of ``rows`` and ``columns``.
        valid: (H, W) bool.
        rows: Of the pixels out.
        columns: Of the pixels out.

    Returns:
        (h, w, C) of the same type, 0 where nothing is valid, and (h, w) bool: where anything is.
    """
    inside = np.outer(rows.inside, columns.inside)
    if valid.all():
        return columns.apply(rows.apply(raw, 0), 1), inside
    weight = valid[..., None].astype(raw.dtype)
    out = columns.apply(rows.apply(np.where(valid[..., None], raw, raw.dtype.type(0)), 0), 1)
    share = columns.apply(rows.apply(weight, 0), 1)
    share[share > 1 - 1e-5] = 1  # the sum of float32 shares: where all is valid, as if all were
    there = share > 1e-6
    return np.divide(out, share, out=np.zeros_like(out), where=there), there[..., 0] & inside
