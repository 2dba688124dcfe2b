"""Changes for people: both dates beside what was found, and what was found beside the truth."""

from __future__ import annotations

import cv2
import numpy as np

from rsdet.metrics.confusion import IGNORE
from rsdet.tasks.detect.lettering import text_height
from rsdet.tasks.detect.visual import legend_strip, to_display
from rsdet.tasks.semantic.visual import LONGEST_PX

HIT, FALSE, MISSED, UNKNOWN = (255, 255, 255), (220, 40, 40), (40, 190, 80), (90, 90, 90)  # RGB
FOUND = (255, 60, 60)
_GAP_PX, _TINT = 4, 0.45


def dates_of(stack: np.ndarray) -> list[np.ndarray]:
    """Both dates (H, W, 3) uint8 RGB of a stack (H, W, 2 * C); of more than three bands the first three."""
    return [to_display(date) for date in np.split(stack, 2, axis=2)]


def error_map(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB: hit white, false red, missed green, else black; gray where nobody knows.

    Args:
        truth: (H, W), 1 where something has changed, 255 where nobody knows.
        found: (H, W), 1 where a change was found.
    """
    out = np.zeros((*truth.shape, 3), np.uint8)
    is_change, is_found = truth == 1, found == 1
    out[is_change & is_found], out[~is_change & is_found], out[is_change & ~is_found] = HIT, FALSE, MISSED
    out[truth == IGNORE] = UNKNOWN
    return out


def compared(stack: np.ndarray, found: np.ndarray, share: float | None = None) -> np.ndarray:
    """Both dates side by side with the changes in the later one, and a legend below.

    Args:
        stack: (H, W, 2 * C) uint8.
        found: (H, W), 1 where a change was found.
        share: Part that has changed, where it is known better.

    Returns:
        (H', W', 3) uint8 RGB; large pictures are shrunk.
    """
    before, after = dates_of(stack)
    changed = found == 1
    tinted = cv2.addWeighted(after, 1 - _TINT, np.full_like(after, FOUND), _TINT, 0)
    after = np.where(changed[..., None], tinted, after)
    outlines, _ = cv2.findContours(changed.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    after = cv2.drawContours(np.ascontiguousarray(after), outlines, -1, FOUND, 1)
    gap = np.zeros((len(before), _GAP_PX, 3), np.uint8)
    both = np.concatenate([before, gap, after], 1)
    if max(before.shape) > LONGEST_PX:
        part = LONGEST_PX / max(before.shape)
        size = max(1, round(both.shape[1] * part)), max(1, round(both.shape[0] * part))
        both = cv2.resize(both, size, interpolation=cv2.INTER_AREA)
    share = changed.sum() / max(1, np.count_nonzero(found != IGNORE)) if share is None else share
    entries = [(FOUND, f"changed {100 * share:.2f} %", "")]
    strip = legend_strip(both.shape[1], np.zeros(0, int), {}, text_height(max(both.shape[0], 64)), entries)
    return np.concatenate([both, strip])
