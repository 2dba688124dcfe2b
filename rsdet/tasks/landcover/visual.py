"""Pictures of a cube and of its map for people: three bands as colours, classes in theirs, what the colours mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from rsdet.tasks.detect.lettering import text_height
from rsdet.tasks.detect.visual import class_colour, legend_strip
from rsdet.writing import write_picture

RGB_NM = (640.0, 550.0, 470.0)
SMALLEST_PX, LONGEST_PX = 480, 2048  # smaller pictures are enlarged, larger ones shrunk
_GAP_PX = 8


def colours_of(classes: int, palette: Mapping[int, Sequence[int]]) -> np.ndarray:
    """(classes + 1, 3) uint8 RGB: black for no class, then the colours of a palette, or ours where it has none."""
    each = [palette.get(k, class_colour(k)) for k in range(classes)]
    return np.array([(0, 0, 0), *each], np.uint8)


def shown_bands(wavelengths_nm: np.ndarray | None, bands: int) -> list[int]:
    """Three places of bands to show as red, green and blue; without wavelengths, spread over the cube."""
    if wavelengths_nm is None or wavelengths_nm.min() > RGB_NM[2] + 60 or wavelengths_nm.max() < RGB_NM[0] - 60:
        return [round(f * (bands - 1)) for f in (0.75, 0.5, 0.25)]
    return [int(np.abs(wavelengths_nm - nm).argmin()) for nm in RGB_NM]


def picture_of(values: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB of three bands (H, W, 3), each from its 2nd to its 98th percentile; black without data."""
    out = np.zeros(values.shape, np.uint8)
    for k in range(3):
        band = values[..., k]
        known = band[np.isfinite(band)]
        if known.size:
            low, high = np.percentile(known, (2, 98))
            part = (band - low) / (high - low if high > low else 1.0)
            out[..., k] = np.rint(255 * np.nan_to_num(part).clip(0, 1)).astype(np.uint8)
    return out


def beside(
    maps: Sequence[np.ndarray], classes: np.ndarray, names: Mapping[int, str], palette: np.ndarray
) -> np.ndarray:
    """Pictures side by side, with the share of each class of a map below.

    Args:
        maps: (H, W, 3) uint8 RGB each, of one size.
        classes: (H, W) numbers from 1, 0 for none.
        names: Class number from 0 to name.
        palette: See :func:`colours_of`.

    Returns:
        (H', W', 3) uint8 BGR.
    """
    height, width = maps[0].shape[:2]
    factor, axis = max(1, -(-SMALLEST_PX // max(height, width))), int(width <= height)
    shown = [m.repeat(factor, 0).repeat(factor, 1) for m in maps]
    room = ((0, 0), (0, _GAP_PX), (0, 0)) if axis else ((0, _GAP_PX), (0, 0), (0, 0))
    shown = [np.pad(m, room, constant_values=24) for m in shown[:-1]] + shown[-1:]
    canvas = np.concatenate(shown, axis)
    if max(canvas.shape[:2]) > LONGEST_PX:
        scale = LONGEST_PX / max(canvas.shape[:2])
        canvas = cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    counts = np.bincount(classes.ravel(), minlength=len(palette))
    shares = 100 * counts / max(1, counts[1:].sum())
    entries = [(tuple(palette[k + 1].tolist()), f"{name} {shares[k + 1]:.1f} %", "") for k, name in names.items()]
    strip = legend_strip(canvas.shape[1], np.zeros(0, int), {}, text_height(max(canvas.shape[:2])), entries)
    return np.ascontiguousarray(np.concatenate([canvas, strip])[..., ::-1])


def write_map_picture(
    path: Path, picture: np.ndarray, classes: np.ndarray, names: Mapping[int, str], palette: np.ndarray
) -> Path:
    """Write a cube in three bands beside its map."""
    return write_picture(path, beside([picture, palette[classes]], classes, names, palette))
