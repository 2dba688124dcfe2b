"""Pairs of rasters with squares that are there on one date only, and a network that looks no farther than a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.dates import DatePair
from rsdet.data.pictures import PictureReader
from rsdet.progress import Line
from rsdet.tasks.change.looking import Looking
from rsdet.tasks.change.outputs import ChangeOutputs
from rsdet.tasks.change.scenes import SceneChange, SceneWishes, compare_scene
from rsdet.tasks.semantic.polygons import PolygonSettings
from rsdet.tasks.semantic.scenes import Mapper

UTM, NAMES, TILE = "EPSG:32632", {0: "background", 1: "changed"}, 64
GREY = 90


def place_of(side: float = 0.5, x: float = 500_000, y: float = 5_400_000) -> Any:
    from rasterio.transform import from_origin

    return from_origin(x, y, side, side)


def write(path: Path, array: np.ndarray, **profile: Any) -> Path:
    """A GeoTIFF of (H, W, C), half-metre pixels."""
    import rasterio

    usual = {"driver": "GTiff", "crs": UTM, "transform": place_of(), "dtype": array.dtype.name}
    shape = {"height": array.shape[0], "width": array.shape[1], "count": array.shape[2]}
    with rasterio.open(path, "w", **{**usual, **shape, **profile}) as f:
        f.write(array.transpose(2, 0, 1))
    return path


def dates(
    size: tuple[int, int], squares: Sequence[tuple[int, int, int, int]], seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two dates (H, W, 3) uint8 and what has changed, (H, W) bool: squares (top, left, bottom, right) stand later."""
    rng = np.random.default_rng(seed)
    before = rng.integers(60, 120, (*size, 1), np.uint8).repeat(3, axis=2)
    after, changed = before.copy(), np.zeros(size, bool)
    for top, left, bottom, right in squares:
        after[top:bottom, left:right] = 240
        changed[top:bottom, left:right] = True
    return before, after, changed


def local(x: np.ndarray) -> np.ndarray:
    """Logits (B, 1, H, W) by the largest difference of two dates (B, 6, H, W) in each pixel alone."""
    apart = np.abs(x[:, 3:] - x[:, :3]).max(1, keepdims=True)
    return 40 * (apart - 0.3).astype(np.float32)


def around(x: np.ndarray) -> np.ndarray:
    """The same, averaged over 5 x 5 pixels: a network that looks two pixels far."""
    import cv2

    apart = np.abs(x[:, 3:] - x[:, :3]).max(1)
    return np.stack([40 * (cv2.blur(a, (5, 5)) - 0.3) for a in apart])[:, None].astype(np.float32)


def mapper(run: Any = local, side: int = TILE, **facts: Any) -> Mapper:
    return Mapper(run, PictureReader(3), NAMES, 1, (side, side), facts)


def compare(
    folder: Path,
    before: Path,
    after: Path,
    run: Any = local,
    tile: int = TILE,
    overlap: int = 16,
    polygons: PolygonSettings | None = None,
    match: bool = False,
    threshold: float = 0.5,
    **wishes: Any,
) -> SceneChange:
    looking, outputs = Looking(tile, overlap, threshold, match=match), ChangeOutputs(polygons)
    with Line("x", verbose=False) as line:
        pair = DatePair(before, after)
        return compare_scene(mapper(run, tile), pair, folder, "x", looking, SceneWishes(**wishes), outputs, line)


def read(path: Path) -> np.ndarray:
    import rasterio

    with rasterio.open(path) as f:
        return f.read()
