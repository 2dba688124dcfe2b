"""CRD: how badly a pixel is a mixture of its neighbours (Li and Du, IEEE TGRS 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsdet.classical.anomaly.background import Background
from rsdet.classical.anomaly.neighbours import around
from rsdet.classical.anomaly.rx import Score
from rsdet.classical.windows import Ring
from rsdet.errors import ConfigError

_TINY = 1e-12  # of a squared distance: a pixel that equals all its neighbours is their mixture


@dataclass(frozen=True)
class CRD:
    """Collaborative representation: the distance between a pixel and the best mixture of the ring around it.

    Weights are those of least squares with a penalty of ``strength`` times the squared weights, each times the squared
    distance between the neighbour and the pixel (eq. 9 of the paper). Values are divided by the range of the scene, so
    that the strength does not depend on their unit.

    Args:
        guard: Odd side in pixels of the inner window.
        background: Odd side of the outer window.
        strength: Of the penalty, above 0.

    Raises:
        ConfigError: Windows that leave no ring, or a strength that is not above 0.
    """

    guard: int = 7
    background: int = 11
    strength: float = 1e-6

    def __post_init__(self) -> None:
        Ring(self.guard, self.background)
        if isinstance(self.strength, bool) or not isinstance(self.strength, (int, float)) or not self.strength > 0:
            raise ConfigError(f"strength={self.strength!r} must be a number above 0, such as 1e-6.")

    @property
    def reach_px(self) -> int:
        """Pixels around a block that it looks at."""
        return self.background // 2

    def fit(self, background: Background) -> Score:
        """The score of pixels of a scene; NaN where the ring is empty."""
        low, span = background.lowest.min(), float(np.ptp([background.lowest.min(), background.highest.max()])) or 1.0
        ring = Ring(self.guard, self.background)

        def score(x: np.ndarray) -> np.ndarray:
            y = (np.asarray(x, np.float64) - low) / span
            out = np.full(y.shape[:2], np.nan).reshape(-1)
            flat = y.reshape(-1, y.shape[-1])
            for places, near, there in around(y, ring):
                some = there.any(1)
                places, near, there = places[some], near[some], there[some]
                pixel = flat[places]
                gram, right = near @ near.transpose(0, 2, 1), near @ pixel[..., None]
                apart = ((near - pixel[:, None]) ** 2).sum(-1)
                penalty = np.where(there, self.strength * apart + _TINY, 1.0)  # without a neighbour, no weight
                gram[:, np.arange(ring.cells), np.arange(ring.cells)] += penalty
                weights = np.linalg.solve(gram, right)
                out[places] = np.sqrt(((pixel - (near * weights).sum(1)) ** 2).sum(-1))
            return out.reshape(y.shape[:2])

        return score
