"""Local RX: the Mahalanobis distance to the pixels in a ring around each pixel (dual window)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsdet.classical.anomaly.background import Background
from rsdet.classical.anomaly.neighbours import around
from rsdet.classical.anomaly.rx import Score, check_count
from rsdet.classical.windows import Ring
from rsdet.errors import ConfigError

_RIDGE = 1e-6  # of a unit variance: a ring of equal pixels has a covariance without an inverse


@dataclass(frozen=True)
class LocalRX:
    """Dual-window RX: mean and covariance of the ring around each pixel; rings are cut at the border of the scene.

    Args:
        guard: Odd side in pixels of the inner window, at least as long as what is looked for.
        background: Odd side of the outer window.
        components: Principal components of the scene, of unit variance, in which it is measured: a covariance of all
            bands needs more pixels than a ring has. None for all.

    Raises:
        ConfigError: Windows that leave no ring, or no whole numbers; when fitted, a ring with fewer pixels than
            components.
    """

    guard: int = 9
    background: int = 21
    components: int | None = 10

    def __post_init__(self) -> None:
        Ring(self.guard, self.background)
        if self.components is not None:
            check_count("components", self.components)

    @property
    def reach_px(self) -> int:
        """Pixels around a block that it looks at."""
        return self.background // 2

    def fit(self, background: Background) -> Score:
        """The score of pixels of a scene; NaN where a ring has fewer pixels than components."""
        whitening, ring = background.whitening(self.components), Ring(self.guard, self.background)
        number = whitening.shape[1]
        if ring.cells <= number:
            raise ConfigError(
                f"components={number} with a ring of {ring.cells} px (guard={self.guard}, background="
                f"{self.background}): a covariance needs more pixels than components; widen background= or lower "
                "components=."
            )

        def score(x: np.ndarray) -> np.ndarray:
            y = (np.asarray(x, np.float64) - background.mean) @ whitening
            out = np.full(y.shape[:2], np.nan).reshape(-1)
            flat = y.reshape(-1, number)
            for places, near, there in around(y, ring):
                count = there.sum(1)
                enough = count > number
                places, near, there, count = places[enough], near[enough], there[enough], count[enough]
                mean = near.sum(1) / count[:, None]
                centred = (near - mean[:, None]) * there[..., None]
                covariance = centred.transpose(0, 2, 1) @ centred / (count - 1)[:, None, None]
                covariance += _RIDGE * np.eye(number)
                away = flat[places] - mean
                out[places] = (away * np.linalg.solve(covariance, away[..., None])[..., 0]).sum(-1)
            return out.reshape(y.shape[:2])

        return score
