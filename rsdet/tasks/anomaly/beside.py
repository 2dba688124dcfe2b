"""From a scene to a score per pixel by methods that learn nothing; they stand beside every network."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from rsdet.classical.anomaly import CRD, RX, LocalRX, LowRank
from rsdet.data.tiling import Progress
from rsdet.tasks.anomaly.scene import CubeScene

BESIDE: dict[str, RX | LocalRX | LowRank | CRD] = {  # always
    "RX": RX(), "PCA-RX": RX(5), "local RX": LocalRX(), "low-rank": LowRank(), "CRD": CRD(),
}  # fmt: skip


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
    """Scores of :data:`BESIDE` and the seconds of each; of fewer components where the scene has fewer."""
    found, rank = {}, len(scene.background.components()[0])
    for name, method in BESIDE.items():
        begin = time.perf_counter()
        if not isinstance(method, CRD) and method.components is not None:
            most = max(1, rank - isinstance(method, LowRank))
            method = replace(method, components=min(method.components, most))
        found[name] = method_score(method, scene), time.perf_counter() - begin
    return found
