"""A model without weights that is as local as can be: what is bright is an object, found exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.data.pictures import PictureReader
from rsdet.runtime.results import Detections
from rsdet.scenes.predictor import TilePredictor
from rsdet.scenes.run import SceneRun
from rsdet.scenes.settings import SceneSettings

CRS = "EPSG:32635"


def find(pictures: Sequence[np.ndarray]) -> list[Detections]:
    """Bright connected pixels of each picture as boxes; the score is the mean brightness."""
    out = []
    for picture in pictures:
        gray = picture[..., 0]
        n, labels, stats, _ = cv2.connectedComponentsWithStats((gray > 40).astype(np.uint8), connectivity=4)
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:n]], np.float32).reshape(-1, 4)
        scores = np.array([gray[labels == i].mean() / 255 for i in range(1, n)], np.float32)
        order = np.argsort(-scores, kind="stable")
        classes = (boxes[:, 2] - boxes[:, 0] > boxes[:, 3] - boxes[:, 1]).astype(np.int64)
        out.append(
            Detections(boxes[order], scores[order], classes[order], {0: "tall", 1: "wide"}, gray.shape, gray.shape)
        )
    return out


def predictor(batch: int = 3, channels: int = 3, **changes: Any) -> TilePredictor:
    """The model."""
    made = dict(
        run=find, reader=PictureReader(channels), names={0: "tall", 1: "wide"}, identity={"model": "blobs"},
        model="blobs", task="detect", backend="OpenCV", input_hw=(64, 64), stride=8, batch=batch,
    )  # fmt: skip
    return TilePredictor(**{**made, **changes})


def boxes_apart(
    size_hw: tuple[int, int], n: int, rng: np.random.Generator, sides: tuple[int, int] = (3, 13)
) -> np.ndarray:
    """(N, 4) whole boxes with at least two pixels between them."""
    taken = np.zeros(size_hw, bool)
    boxes = []
    for _ in range(20 * n):
        w, h = rng.integers(*sides, 2)
        x, y = rng.integers(0, size_hw[1] - w), rng.integers(0, size_hw[0] - h)
        around = (slice(max(0, y - 2), y + h + 2), slice(max(0, x - 2), x + w + 2))
        if not taken[around].any() and len(boxes) < n:
            taken[y : y + h, x : x + w] = True
            boxes.append((x, y, x + w, y + h))
    return np.array(boxes)


def picture_of(size_hw: tuple[int, int], boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 in which each box has a brightness of its own; dark noise elsewhere, nowhere zero."""
    picture = np.repeat(rng.integers(5, 30, (*size_hw, 1), dtype=np.uint8), 3, axis=2)
    for x1, y1, x2, y2 in boxes.tolist():
        picture[y1:y2, x1:x2] = rng.integers(60, 250)
    return picture


def write_scene(path: Path, picture: np.ndarray, **profile: Any) -> Path:
    """A tiled GeoTIFF of 0.5 m."""
    import rasterio
    from rasterio.transform import from_origin

    bands = np.moveaxis(picture, 2, 0)
    usual = dict(
        driver="GTiff", height=bands.shape[1], width=bands.shape[2], count=len(bands), dtype=str(bands.dtype), crs=CRS,
        transform=from_origin(500_000, 5_960_000, 0.5, 0.5), tiled=True, blockxsize=64, blockysize=64,
        compress="deflate",
    )  # fmt: skip
    with rasterio.open(path, "w", **{**usual, **profile}) as file:
        file.write(bands)
    return path


def run(
    source: Any, project: Path, model: TilePredictor | None = None, name: str | None = None, **keys: Any
) -> SceneRun:
    """A run over scenes, done."""
    keys = {"tile": 64, "overlap": 16, "quicklook": False, "crops": 0, **keys}
    started = SceneRun(model or predictor(), SceneSettings(**keys), source, project, name, verbose=False)
    started.results = list(started)  # type: ignore[attr-defined]
    return started
