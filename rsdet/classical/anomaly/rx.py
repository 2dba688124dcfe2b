"""Global methods: the RX detector, on all bands or on principal components, and the residual of a subspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rsdet.classical.anomaly.background import Background
from rsdet.errors import ConfigError

Score = Callable[[np.ndarray], np.ndarray]
"""(h, w, B) to (h, w) float64, higher where it is less like the background; NaN in, NaN out."""


@dataclass(frozen=True)
class RX:
    """The RX detector (Reed and Yu, 1990): squared Mahalanobis distance to the mean of the scene.

    Args:
        components: Principal components to measure it in, those of most variance; None for all bands, by the
            pseudo-inverse of the covariance.

    Raises:
        ConfigError: Not a whole number of 1 or more.
    """

    components: int | None = None
    reach_px = 0  # pixels around a block that it looks at

    def __post_init__(self) -> None:
        if self.components is not None:
            check_count("components", self.components)

    def fit(self, background: Background) -> Score:
        """The score of pixels of a scene.

        Raises:
            ConfigError: So few pixels that every one is as far from the mean as all others.
        """
        whitening, mean = background.whitening(self.components), background.mean
        if whitening.shape[1] >= background.count - 1:
            raise ConfigError(
                f"{background.count} pixels vary in {whitening.shape[1]} directions, so that RX is the same for all; "
                "ask for fewer with components= or bands=, or pass a larger scene."
            )
        return lambda x: (((np.asarray(x, np.float64) - mean) @ whitening) ** 2).sum(-1)


@dataclass(frozen=True)
class LowRank:
    """Squared distance to the subspace of the first principal components: what a background of low rank leaves over.

    Args:
        components: Dimension of the subspace.

    Raises:
        ConfigError: Not a whole number of 1 or more; when fitted, one that leaves nothing over.
    """

    components: int = 5
    reach_px = 0

    def __post_init__(self) -> None:
        check_count("components", self.components)

    def fit(self, background: Background) -> Score:
        """The score of pixels of a scene."""
        bands = len(background.mean)
        if self.components >= bands:
            raise ConfigError(
                f"components={self.components}: with {bands} band{'s' * (bands > 1)} nothing is left over; "
                + (f"ask for fewer than {bands}." if bands > 1 else "take another method, such as rx.")
            )
        basis, mean = background.components(self.components)[1], background.mean

        def score(x: np.ndarray) -> np.ndarray:
            centred = np.asarray(x, np.float64) - mean
            return ((centred - centred @ basis @ basis.T) ** 2).sum(-1)

        return score


def check_count(name: str, value: object) -> None:
    """Make sure that a setting is a whole number of 1 or more.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name}={value!r} must be a whole number of 1 or more.")
