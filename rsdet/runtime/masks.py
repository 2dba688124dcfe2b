"""Masks of objects, each kept as the patch in which it lies: hundreds of them on a large scene fit into memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from rsdet.runtime.geometry import letterboxed


class Mask(NamedTuple):
    """Pixels of one object.

    Attributes:
        top: First row of the picture that the patch covers.
        left: First column.
        patch: (h, w) bool.
    """

    top: int
    left: int
    patch: np.ndarray

    @property
    def area(self) -> int:
        """Pixels of the object."""
        return int(np.count_nonzero(self.patch))

    def whole(self, size_hw: tuple[int, int]) -> np.ndarray:
        """The mask of the whole picture, (H, W) uint8 of 0 and 1, in the order of columns that COCO's code takes."""
        out = np.zeros(size_hw, np.uint8, order="F")
        height, width = self.patch.shape
        out[self.top : self.top + height, self.left : self.left + width] = self.patch
        return out

    def polygons(self) -> list[np.ndarray]:
        """Outer contours, each (P, 2): through the centres of rim pixels, in pixels from the picture's outer edge."""
        if not self.patch.any():
            return []
        contours = cv2.findContours(self.patch.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
        return [c.reshape(-1, 2) + np.array([self.left + 0.5, self.top + 0.5]) for c in contours]

    def rle(self, size_hw: tuple[int, int]) -> dict[str, Any]:
        """COCO's compressed run lengths: ``size`` and ``counts`` as text."""
        from pycocotools.mask import encode  # half a megabyte of code that few runs need

        coded = encode(self.whole(size_hw))
        return {"size": list(size_hw), "counts": coded["counts"].decode()}


def patch_of(mask: np.ndarray) -> Mask:
    """The smallest patch that holds all of a mask, (h, w), whose first pixel is that of the picture."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return Mask(0, 0, np.zeros((0, 0), bool))
    y, x = rows[0], columns[0]
    patch = mask[y : rows[-1] + 1, x : columns[-1] + 1].astype(bool)
    return Mask(int(y), int(x), np.ascontiguousarray(patch))


def in_picture(mask: Mask, frame_hw: tuple[int, int], size_hw: tuple[int, int]) -> Mask:
    """A mask of a letterboxed input, or of the picture itself, in pixels of the picture.

    Args:
        mask: In pixels of the frame.
        frame_hw: Height and width of the frame, input or picture.
        size_hw: Height and width of the picture.
    """
    if tuple(frame_hw) == tuple(size_hw):
        return mask
    place = letterboxed(size_hw, frame_hw)
    picked, corner = [], []
    held = zip(place.top_left, size_hw, place.resized_hw, (mask.top, mask.left), mask.patch.shape, strict=True)
    for offset, n, inside, first, extent in held:
        # The nearest pixel of the frame for each of the picture: nothing is smoothed, nothing invented.
        at = offset + np.minimum(((np.arange(n) + 0.5) * inside / n).astype(int), inside - 1) - first
        covered = np.flatnonzero((at >= 0) & (at < extent))
        picked.append(at[covered])
        corner.append(int(covered[0]) if len(covered) else 0)
    return Mask(corner[0], corner[1], mask.patch[np.ix_(*picked)])
