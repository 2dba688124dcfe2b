"""From detected pixels to boxes with scores: closing, connected components, filters by size.

The score of an object is ``s = a / (1 + a)``, a = sqrt(peak intensity / threshold) the amplitude of its brightest pixel
over the threshold there. It rises with the contrast, from 0.5 at the threshold towards 1; nothing that was detected
falls below the confidence of 0.25 that predictors cut at. It is a ranking, not a probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rsdet.classical.cfar import Detections
from rsdet.errors import ConfigError

_TOP = 1 - 2.0**-20  # the score of an infinite contrast (a background of zeros), below 1 in float32 too


@dataclass(frozen=True)
class Objects:
    """Objects of one image, the best first.

    Attributes:
        boxes_xyxy: (N, 4) float32 in pixels; a single pixel at column x and row y is x, y, x + 1, y + 1.
        scores: (N,) float32 in (0, 1), see the module.
        areas_px: (N,) int, detected pixels (closing included).
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    areas_px: np.ndarray


def find_objects(
    found: Detections,
    *,
    closing_px: int = 1,
    min_length_px: float = 0.0,
    max_length_px: float = 0.0,
    min_area_px: int = 1,
) -> Objects:
    """Group detected pixels into objects.

    Args:
        found: Detected pixels and their ratios.
        closing_px: Odd side of the square by which the mask is closed, so that the bright parts of one ship become one
            object; 1 for none.
        min_length_px: Drop what is shorter. The length of an object is the diagonal of its box: right to a few per
            cent for anything ship shaped, whichever way it points.
        max_length_px: Drop what is longer (coast, breakwaters); 0 for no limit.
        min_area_px: Drop objects of fewer pixels.

    Returns:
        8-connected objects.

    Raises:
        ConfigError: An even closing, or limits that leave nothing.
    """
    check_sizes(closing_px, min_length_px, max_length_px)
    mask = np.ascontiguousarray(found.mask).view(np.uint8)
    n, labels, stats, _ = cv2.connectedComponentsWithStats(_closed(mask, closing_px), connectivity=8)
    stats = stats[1:]  # row 0 is what was not detected
    wide, high = stats[:, cv2.CC_STAT_WIDTH].astype(np.float64), stats[:, cv2.CC_STAT_HEIGHT].astype(np.float64)
    length = np.hypot(wide, high)
    keep = (length >= min_length_px) & (stats[:, cv2.CC_STAT_AREA] >= min_area_px)
    if max_length_px:
        keep &= length <= max_length_px
    contrast = np.sqrt(_peaks(found, labels, n)[keep])
    scores = np.where(np.isinf(contrast), _TOP, np.minimum(contrast / (1 + np.minimum(contrast, 1e30)), _TOP))
    order = np.argsort(-scores, kind="stable")
    x, y = stats[keep, cv2.CC_STAT_LEFT], stats[keep, cv2.CC_STAT_TOP]
    boxes = np.stack([x, y, x + wide[keep], y + high[keep]], 1).astype(np.float32)
    return Objects(boxes[order], scores[order].astype(np.float32), stats[keep, cv2.CC_STAT_AREA][order])


def check_sizes(closing_px: int, min_length_px: float, max_length_px: float) -> None:
    """Check the parameters of :func:`find_objects`.

    Raises:
        ConfigError: An even closing, or limits that leave nothing.
    """
    if not isinstance(closing_px, (int, np.integer)) or closing_px < 1 or closing_px % 2 == 0:
        raise ConfigError(f"closing={closing_px!r} must be an odd number of pixels, such as 3; 1 for no closing.")
    if min_length_px < 0 or max_length_px < 0 or 0 < max_length_px < min_length_px:
        raise ConfigError(
            f"min_length={min_length_px:g} and max_length={max_length_px:g} must be 0 or more pixels and the first "
            "the smaller one; max_length=0 sets no limit."
        )


def _closed(mask: np.ndarray, side: int) -> np.ndarray:
    if side == 1:
        return mask
    r = side // 2
    # Padded, because OpenCV takes what lies outside the image for set when it erodes.
    wide = cv2.copyMakeBorder(mask, r, r, r, r, cv2.BORDER_CONSTANT, value=0)
    wide = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    return wide[r:-r, r:-r]


def _peaks(found: Detections, labels: np.ndarray, n: int) -> np.ndarray:
    """Largest ratio in each object, (n - 1,) float64; every object holds a detected pixel."""
    owner, ratio = labels[found.mask], found.ratio[found.mask].astype(np.float64)
    peaks = np.zeros(n)
    np.maximum.at(peaks, owner, ratio)
    return peaks[1:]
