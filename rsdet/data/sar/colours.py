"""Velocities for people: a diverging colour map, white at rest, red away from the radar and blue towards it."""

from __future__ import annotations

import numpy as np

DIVERGING = ((178, 24, 43), (239, 138, 98), (253, 219, 199), (247, 247, 247), (209, 229, 240), (103, 169, 207),
             (33, 102, 172))  # fmt: skip
"""RGB of the least velocity, of evenly spaced ones, and of the largest.

ColorBrewer's RdBu: those who confuse red and green tell its ends apart.
"""
NO_VELOCITY = (128, 128, 128)


def velocity_colours(velocity: np.ndarray, valid: np.ndarray, limit: float) -> np.ndarray:
    """Colours of velocities.

    Args:
        velocity: (H, W) values.
        valid: (H, W) bool: where there are some.
        limit: Velocities from here on have the colours of the ends.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    steps = np.linspace(-limit, limit, len(DIVERGING))
    at = np.where(valid, velocity, 0)
    shown = np.stack([np.interp(at, steps, channel) for channel in np.transpose(DIVERGING)], -1)
    return np.where(valid[..., None], np.rint(shown), NO_VELOCITY).astype(np.uint8)
