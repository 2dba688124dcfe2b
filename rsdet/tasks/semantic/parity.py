"""Does an exported file give every pixel the class that its network gives it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsdet.deploy.verify import Run
from rsdet.errors import DataError
from rsdet.tasks.semantic.classmap import classes_of


@dataclass(frozen=True)
class MapParity:
    """Outcome of :func:`compare_maps`.

    Attributes:
        maps: Maps compared.
        agreement: Part of all pixels to which both give one class.
        logit_diff: Largest difference of any logit.
        logit_max: Largest logit of the network, whatever its sign.
        classes: Classes that the network gives to any pixel.
        min_agreement: What the agreement was judged by.
        logit_tol: Part of ``logit_max`` that the difference was judged by.
    """

    maps: int
    agreement: float
    logit_diff: float
    logit_max: float
    classes: int
    min_agreement: float
    logit_tol: float

    @property
    def ok(self) -> bool:
        """Whether both are near enough."""
        return self.agreement >= self.min_agreement and self.logit_diff <= self.logit_tol * self.logit_max

    @property
    def vacuous(self) -> bool:
        """Logits always say something."""
        return False

    def summary(self) -> str:
        """The outcome in one line."""
        return (
            f"parity {'ok' if self.ok else 'FAILED'}: {self.maps} maps of {self.classes} classes agree in "
            f"{100 * self.agreement:.4f} % of the pixels (allowed {100 * self.min_agreement:g} %), largest difference "
            f"of a logit {self.logit_diff:.2g} (allowed {self.logit_tol * self.logit_max:.2g})"
        )


def compare_maps(runs: Sequence[Run], min_agreement: float, logit_tol: float) -> MapParity:
    """Compare what a network and an artifact make of the same inputs.

    Args:
        runs: Inputs, and logits (B, K, H, W) of both.
        min_agreement: Smallest accepted part of the pixels with one class.
        logit_tol: Largest accepted difference, as a part of the largest logit.

    Raises:
        DataError: The outputs differ in size.
    """
    same = pixels = 0
    diff = largest = 0.0
    seen: set[int] = set()
    for expected, got in ((r.expected[0], r.got[0]) for r in runs):
        if expected.shape != got.shape:
            raise DataError(f"the network gives {expected.shape} and the artifact {got.shape}; export again.")
        a, b = (np.stack([classes_of(x) for x in side]) for side in (expected, got))
        same, pixels = same + int((a == b).sum()), pixels + a.size
        delta = float(np.abs(expected.astype(np.float64) - got).max())
        diff = max(diff, delta if np.isfinite(delta) else np.inf)
        largest = max(largest, float(np.abs(expected).max()))
        seen |= set(np.unique(a).tolist())
    return MapParity(sum(len(r.x) for r in runs), same / pixels, diff, largest, len(seen), min_agreement, logit_tol)
