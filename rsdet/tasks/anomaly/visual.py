"""Pictures for people: a scene beside its scores, and the spectra of what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from rsdet.figures import new_figure, png_of

_CELL_PX = 260
_SHOWN_PX = 500
_TEXT_PX = 20


def score_picture(score: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 BGR of scores, by logarithms of their ratio to the median: some pixels stand far above all."""
    known = np.isfinite(score)
    if not known.any():
        return np.zeros((*score.shape, 3), np.uint8)
    above = np.where(known, score - score[known].min(), 0)
    logs = np.log1p(above / (float(np.median(above[known])) or 1.0))
    low, high = np.percentile(logs[known], (1, 100))
    shown = np.rint(np.clip((logs - low) / ((high - low) or 1.0), 0, 1) * 255).astype(np.uint8)
    return np.where(known[..., None], cv2.applyColorMap(shown, cv2.COLORMAP_INFERNO), 0).astype(np.uint8)


def enlarged(picture: np.ndarray) -> np.ndarray:
    """A picture whose pixels can be told apart, where it is small."""
    factor = max(1, _SHOWN_PX // max(picture.shape[:2]))
    return picture.repeat(factor, 0).repeat(factor, 1)


def maps_picture(picture: np.ndarray, truth: np.ndarray, scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Draw a scene, its map and the scores of several methods, (H', W', 3) uint8 BGR."""
    known = np.repeat(((truth > 0) * 255).astype(np.uint8)[..., None], 3, axis=2)
    cells = [("scene", picture), ("map", known), *((name, score_picture(s)) for name, s in scores.items())]
    drawn = [_cell(name, image) for name, image in cells]
    across = min(5, len(drawn))
    drawn += [np.zeros_like(drawn[0])] * (-len(drawn) % across)
    rows = [np.concatenate(drawn[i : i + across], axis=1) for i in range(0, len(drawn), across)]
    return np.concatenate(rows)


def _cell(name: str, image: np.ndarray) -> np.ndarray:
    factor = _CELL_PX / max(image.shape[:2])
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    way = cv2.INTER_NEAREST if factor > 1 else cv2.INTER_AREA
    cell = cv2.resize(np.ascontiguousarray(image), size, interpolation=way)
    right = _CELL_PX + 4 - cell.shape[1]
    cell = cv2.copyMakeBorder(cell, _TEXT_PX, _CELL_PX + 4 - cell.shape[0], 0, right, cv2.BORDER_CONSTANT)
    return cv2.putText(cell, name, (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (240, 240, 240), 1, cv2.LINE_AA)


def spectra_plot(
    spectra: Sequence[tuple[str, np.ndarray]], background: Any, wavelengths_nm: np.ndarray | None, title: str
) -> bytes:
    """Draw spectra over what the background of their scene is like.

    Args:
        spectra: Name and (B,) values of each.
        background: The scene's :class:`rsdet.classical.anomaly.Background`.
        wavelengths_nm: (B,) where they are known; else numbers of bands from 1.
        title: Above them.

    Returns:
        A PNG.
    """
    figure, axes = new_figure(9, 5)
    known = wavelengths_nm is not None
    x = wavelengths_nm if known else np.arange(1, len(background.mean) + 1)
    order = np.argsort(x)
    spread = np.sqrt(np.maximum(np.diag(background.covariance), 0))
    low, high = background.mean - 2 * spread, background.mean + 2 * spread
    axes.fill_between(x[order], low[order], high[order], color="0.85", label="scene, mean and 2 std")
    axes.plot(x[order], background.mean[order], color="0.4", lw=1.5)
    for name, values in spectra:
        axes.plot(x[order], np.asarray(values)[order], lw=1.1, label=name)
    axes.set(xlabel="wavelength, nm" if known else "band", ylabel="value", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return png_of(figure)
