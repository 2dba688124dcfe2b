"""Mean and covariance of a scene that is read block by block, and its principal components."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rsdet.errors import ConfigError, DataError


@dataclass(frozen=True)
class Background:
    """What the pixels of a scene are like.

    Attributes:
        count: Pixels with a value in every band.
        mean: (B,) float64.
        covariance: (B, B) float64, of count - 1 degrees of freedom.
        lowest: (B,) float64.
        highest: (B,) float64.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> Background:
        """Measure a scene; blocks are merged by their means, so that no large numbers are subtracted.

        Args:
            blocks: Parts (h, w, B) of it that do not overlap; pixels with a NaN are left out.

        Raises:
            DataError: Fewer than two pixels have a value in every band.
        """
        count, mean, scatter, lowest, highest = 0, np.zeros(()), np.zeros(()), np.zeros(()), np.zeros(())
        for block in blocks:
            x = np.asarray(block, np.float64).reshape(-1, block.shape[-1])
            x = x[np.isfinite(x).all(1)]
            if not len(x):
                continue
            of_block = x.mean(0)
            centred = x - of_block
            low, high = x.min(0), x.max(0)
            if not count:
                mean, scatter, lowest, highest = np.zeros_like(of_block), np.zeros((len(low),) * 2), low, high
            step, total = of_block - mean, count + len(x)
            scatter = scatter + centred.T @ centred + np.outer(step, step) * (count * len(x) / total)
            mean, count = mean + step * (len(x) / total), total
            lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
        if count < 2:
            raise DataError(f"{count} pixels have a value in every band; a background needs two or more.")
        return cls(count, mean, scatter / (count - 1), lowest, highest)

    def components(self, number: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Principal components, the largest first.

        Args:
            number: How many; None for all whose variance is more than rounding, as of a pseudo-inverse.

        Returns:
            (k,) variances and (B, k) orthonormal directions.

        Raises:
            ConfigError: More than there are bands, or than directions in which the scene varies.
        """
        bands = len(self.mean)
        if number is not None and number > bands:
            raise ConfigError(f"components={number}: the scene has {bands} bands; ask for {bands} or fewer.")
        variances, directions = np.linalg.eigh(self.covariance)
        variances, directions = variances[::-1], directions[:, ::-1]
        rank = int((variances > max(variances[0], 0.0) * bands * np.finfo(np.float64).eps).sum())
        if number is not None and number > rank:
            raise ConfigError(
                f"components={number}: the {self.count} pixels of the scene vary in {rank} directions; ask for that "
                "many or fewer."
            )
        kept = rank if number is None else number
        return variances[:kept], directions[:, :kept]

    def whitening(self, number: int | None = None) -> np.ndarray:
        """(B, k) that makes components of unit variance of pixels without their mean; see :meth:`components`."""
        variances, directions = self.components(number)
        return directions / np.sqrt(variances)
