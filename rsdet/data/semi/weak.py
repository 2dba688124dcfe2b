"""Weak augmentation: one change of scale, flip, quarter turn and crop for a picture and all that lies on its grid."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class WeakView:
    """One geometry, for as many arrays as there are.

    Attributes:
        size_hw: Size that an array is resized to.
        top: First row of the crop in the resized array.
        left: First column.
        crop: Side of the crop; what lies outside of the array is filled.
        flip: Whether the crop is mirrored.
        turns: Quarter turns of it, anticlockwise.
    """

    size_hw: tuple[int, int]
    top: int
    left: int
    crop: int
    flip: bool = False
    turns: int = 0

    @classmethod
    def draw(
        cls,
        size_hw: tuple[int, int],
        crop: int,
        rng: np.random.Generator,
        scale: tuple[float, float] = (0.5, 2.0),
        flip: float = 0.5,
        rot90: bool = False,
    ) -> WeakView:
        """Draw a geometry.

        Args:
            size_hw: Size of the picture.
            crop: Side of the crop in pixels.
            rng: Source of all randomness.
            scale: Smallest and largest factor of its size, drawn evenly.
            flip: Probability of a mirrored crop; 0 where left and right mean something (slope, look direction).
            rot90: Whether it is turned, too.
        """
        factor = rng.uniform(*scale)
        h, w = (max(1, round(n * factor)) for n in size_hw)
        top, left = (int(rng.integers(max(n - crop, 0) + 1)) for n in (h, w))
        return cls((h, w), top, left, crop, bool(rng.random() < flip), int(rng.integers(4)) if rot90 else 0)

    def apply(self, array: np.ndarray, fill: float = 0, smooth: bool = False) -> np.ndarray:
        """Bring an array into the view.

        Args:
            array: (H, W) or (H, W, C), of the size that the view was drawn for.
            fill: Value beyond the array: 255 for labels.
            smooth: Interpolate linearly, for pictures; else take the nearest pixel, for labels and masks.

        Returns:
            (crop, crop) or (crop, crop, C) of the same type.
        """
        how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT  # INTER_NEAREST is half a pixel off
        plain = array.astype(np.uint8) if array.dtype == bool else array
        sized = plain if plain.shape[:2] == self.size_hw else cv2.resize(plain, self.size_hw[::-1], interpolation=how)
        sized = sized.reshape(*self.size_hw, *array.shape[2:])  # OpenCV drops a single channel
        cut = sized[self.top : self.top + self.crop, self.left : self.left + self.crop]
        result = np.full((self.crop, self.crop, *array.shape[2:]), fill, array.dtype)
        result[: cut.shape[0], : cut.shape[1]] = cut
        result = result[:, ::-1] if self.flip else result
        return np.ascontiguousarray(np.rot90(result, self.turns))
