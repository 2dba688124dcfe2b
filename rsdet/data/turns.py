"""Square pictures mirrored and turned at random, all of their channels at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Turns:
    """Probabilities of what may be done to a square picture.

    Attributes:
        fliplr: Left and right exchanged.
        flipud: Top and bottom exchanged.
        rot90: Turned by 90, 180 or 270 degrees.
    """

    fliplr: float = 0.0
    flipud: float = 0.0
    rot90: float = 0.0

    def __call__(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Mirror and turn a picture (S, S, C)."""
        left, up, turn = rng.random(3)
        quarters = int(rng.integers(1, 4))
        picture = picture[:, ::-1] if left < self.fliplr else picture
        picture = picture[::-1] if up < self.flipud else picture
        return np.rot90(picture, quarters) if turn < self.rot90 else picture
