"""Patches around pixels, cut out of a scene; nothing here needs PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

AT_ONCE = 256  # patches that a network gets where nobody says otherwise


def margins(patch: int) -> tuple[int, int]:
    """Pixels before and behind the pixel that a patch is about: it lies at ``patch // 2``, for odd and even sides."""
    return patch // 2, patch - 1 - patch // 2


def padded(values: np.ndarray, patch: int, fill: np.ndarray) -> np.ndarray:
    """A scene with room for the patches of all its pixels.

    Args:
        values: (H, W, C) float32, NaN where there are no data.
        patch: Side of a patch.
        fill: (C,) what stands for NaN.

    Returns:
        (H + patch - 1, W + patch - 1, C), mirrored at the border, border pixels included; a copy.
    """
    room = (margins(patch), margins(patch), (0, 0))
    out = np.pad(values, room, "symmetric")
    np.copyto(out, fill.astype(out.dtype), where=np.isnan(out))
    return out


def patches_at(scene: np.ndarray, patch: int, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Patches (n, C, patch, patch) of a :func:`padded` scene around n pixels of the scene itself."""
    windows = np.lib.stride_tricks.sliding_window_view(scene, (patch, patch), (0, 1))
    return np.ascontiguousarray(windows[rows, cols], np.float32)


def batches(scene: np.ndarray, patch: int, rows: np.ndarray, cols: np.ndarray, at_once: int) -> Iterator[np.ndarray]:
    """The same, so many at once."""
    for i in range(0, len(rows), at_once):
        yield patches_at(scene, patch, rows[i : i + at_once], cols[i : i + at_once])
