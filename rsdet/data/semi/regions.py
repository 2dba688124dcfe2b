"""What is cut out of a picture to be pasted into another: rectangles, and connected regions of one class."""

from __future__ import annotations

import math

import cv2
import numpy as np

# Share of the picture that an object may cover: 1700 px and 512 x 512 px of 1200 x 1200 (S5Mars).
SMALLEST, LARGEST = 1700 / 1200**2, 512**2 / 1200**2


def cutmix_rectangle(size_hw: tuple[int, int], rng: np.random.Generator, law: str = "rect") -> np.ndarray:
    """A rectangle of the shape of the picture (``rect``), or of any (``box``), wholly inside.

    Args:
        size_hw: Height and width of the picture.
        rng: Source of all randomness.
        law: ``rect``: area 1 - lambda of the picture, lambda ~ Beta(4, 4) (AugSeg); ``box``: 2 to 40 % of it, sides
            1 : 3.3 to 3.3 : 1 (UniMatch).

    Returns:
        (H, W) bool.
    """
    if law == "rect":
        area, aspect = 1 - rng.beta(4, 4), 1.0
    else:
        area, aspect = rng.uniform(0.02, 0.4), math.exp(rng.uniform(*np.log((0.3, 1 / 0.3))))
    sides = np.sqrt(area * np.array([1 / aspect, aspect])) * size_hw
    h, w = (int(np.clip(round(s), 1, n)) for s, n in zip(sides, size_hw, strict=True))
    top, left = (int(rng.integers(n - s + 1)) for s, n in zip((h, w), size_hw, strict=True))
    region = np.zeros(size_hw, bool)
    region[top : top + h, left : left + w] = True
    return region


def component(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A connected region of one class, of an object's size; empty where there is none.

    Args:
        classes: (H, W) classes, such as a teacher's argmax.
        rng: Source of all randomness.

    Returns:
        (H, W) bool.
    """
    found = []
    for value in np.unique(classes):
        _, numbers, stats, _ = cv2.connectedComponentsWithStats((classes == value).astype(np.uint8), connectivity=4)
        share = stats[1:, cv2.CC_STAT_AREA] / classes.size  # the first is all other classes
        found += [(numbers, i + 1) for i in np.flatnonzero((share >= SMALLEST) & (share <= LARGEST))]
    if not found:
        return np.zeros(classes.shape, bool)
    numbers, number = found[int(rng.integers(len(found)))]
    return numbers == number
