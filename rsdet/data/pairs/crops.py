"""Where patches are cut, and how they are turned: one geometry for both pictures of a pair."""

from __future__ import annotations

import numpy as np


def cut(image: np.ndarray, y: int, x: int, height: int, width: int) -> np.ndarray:
    """A window of a picture (H, W, C); what lies outside of it is mirrored, the border pixel repeated.

    Mirroring this way commutes with shrinking by a whole number: the mirrored target belongs to the mirrored input.
    """
    h, w = image.shape[:2]
    if y >= 0 and x >= 0 and y + height <= h and x + width <= w:
        return image[y : y + height, x : x + width]
    return image[_mirrored(y, height, h)[:, None], _mirrored(x, width, w)[None]]


def _mirrored(start: int, count: int, n: int) -> np.ndarray:
    at = np.arange(start, start + count) % (2 * n)
    return np.where(at < n, at, 2 * n - 1 - at)


def draw_place(shape: tuple[int, int], patch_px: int, rng: np.random.Generator) -> tuple[int, int]:
    """Upper left corner of a random patch within (height, width); 0 along an axis that is smaller than the patch."""
    y, x = (int(rng.integers(max(n - patch_px, 0) + 1)) for n in shape)
    return y, x


def turn(image: np.ndarray, quarter_turns: int, flip: bool) -> np.ndarray:
    """Turn counter-clockwise by quarters, then mirror left and right: exact, no pixel is computed."""
    image = np.rot90(image, quarter_turns)
    return image[:, ::-1] if flip else image
