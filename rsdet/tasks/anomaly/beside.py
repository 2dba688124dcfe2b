"""From a scene to a score per pixel by methods that learn nothing; they stand beside every network."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from rsdet.classical.anomaly import METHODS
from rsdet.data.tiling import Progress
from rsdet.errors import ConfigError
from rsdet.tasks.anomaly.scene import CubeScene

BESIDE: dict[str, tuple[str, dict[str, Any]]] = {  # what stands beside every network, always
    "RX": ("RX", {}),
    "PCA-RX": ("RX", {"components": 5}),
    "local RX": ("LocalRX", {}),
    "low-rank": ("LowRank", {}),
    "CRD": ("CRD", {}),
}


def method_score(method: Any, scene: CubeScene, progress: Progress | None = None) -> np.ndarray:
    """Score a scene by a method of :mod:`rsdet.classical.anomaly`.

    Args:
        method: The method.
        scene: The scene.
        progress: Called with the number of rows done and of all.

    Returns:
        (H, W) float32, NaN where a pixel has no value in some band.
    """
    score, height = method.fit(scene.background), scene.size_hw[0]
    out = np.empty(scene.size_hw, np.float32)
    for rows in scene.rows():
        top, bottom = max(0, rows.start - method.reach_px), min(height, rows.stop + method.reach_px)
        out[rows] = score(scene.read(slice(top, bottom)))[rows.start - top : rows.stop - top]
        if progress is not None:
            progress(rows.stop, height)
    return out


def scores_beside(scene: CubeScene) -> dict[str, tuple[np.ndarray, float]]:
    """Scores of all methods of :data:`BESIDE` that the scene has bands for, and the seconds that each took."""
    found = {}
    for name, (method, settings) in BESIDE.items():
        begin = time.perf_counter()
        try:
            score = method_score(METHODS[method](**settings), scene)
        except ConfigError:  # more components than this scene has
            continue
        found[name] = (score, time.perf_counter() - begin)
    return found
