"""How much of each polygon is covered by what, counted in pixels of a grid of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rsdet.data.tiling import Tile, partition
from rsdet.scenes.optional import optional

_TILE_PX = 1024

Look = Callable[[Tile], Sequence[tuple[np.ndarray, np.ndarray]]]
"""A window to, for each of R questions, (h, w) bool: where it holds, and where that is known."""


def covered(shapes: np.ndarray, size_hw: tuple[int, int], look: Look, questions: int) -> tuple[np.ndarray, ...]:
    """Count pixels in polygons.

    A pixel belongs to a polygon that its middle lies in; a polygon with no such pixel has the one that it lies in.

    Args:
        shapes: (N,) shapely polygons in pixels of the grid; they may overlap.
        size_hw: Height and width of the grid in pixels.
        look: Answers the questions.
        questions: R.

    Returns:
        (N,) pixels on the grid, (R, N) where each question holds, and (R, N) where that is known.
    """
    pixels, holds, known = _counted(shapes, size_hw, look, questions)
    if len(thin := np.flatnonzero(pixels == 0)):
        at = np.floor(optional("shapely").get_coordinates(optional("shapely").point_on_surface(shapes[thin])))
        squares = optional("shapely").box(*at.T, *(at + 1).T)
        pixels[thin], holds[:, thin], known[:, thin] = _counted(squares, size_hw, look, questions)
    return pixels, holds, known


def _counted(shapes: np.ndarray, size_hw: tuple[int, int], look: Look, questions: int) -> tuple[np.ndarray, ...]:
    pixels = np.zeros(len(shapes), np.int64)
    holds, known = np.zeros((2, questions, len(shapes)), np.int64)
    tree = optional("shapely").STRtree(shapes)
    for window in partition(size_hw, _TILE_PX):
        which, layers = numbered(shapes, tree, window)
        if not len(which):
            continue
        answers = look(window)
        for layer in layers:
            pixels[which] += np.bincount(layer.ravel(), minlength=len(which) + 1)[1:]
            for i, (hold, there) in enumerate(answers):
                for counts, mask in ((holds, hold & there), (known, there)):
                    counts[i, which] += np.bincount(layer[mask], minlength=len(which) + 1)[1:]
    return pixels, holds, known


def numbered(shapes: np.ndarray, tree: Any, window: Tile) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The polygons that meet a window, and where they lie.

    Args:
        shapes: (N,) polygons in pixels.
        tree: Of them.
        window: Of the grid.

    Returns:
        (M,) numbers of the polygons, and one or more (h, w) int32 that hold, from 1, places among these; several where
        polygons overlap.
    """
    shapely = optional("shapely")
    sides = window.left, window.top, window.left + window.width, window.top + window.height
    which = np.sort(tree.query(shapely.box(*sides)))
    parts = shapely.clip_by_rect(shapes[which], *sides)  # GDAL looks at all corners of a polygon for each row
    there = ~shapely.is_empty(parts)
    return which[there], _layers(parts[there], window)


def _layers(parts: np.ndarray, window: Tile) -> Iterator[np.ndarray]:
    from affine import Affine
    from rasterio.enums import MergeAlg

    rasterize = optional("rasterio.features").rasterize
    if not len(parts):
        return
    how = {"out_shape": (window.height, window.width), "transform": Affine.translation(window.left, window.top)}
    how["dtype"] = "int32"
    pairs = list(zip(parts.tolist(), range(1, len(parts) + 1), strict=True))
    if rasterize([(p, 1) for p, _ in pairs], merge_alg=MergeAlg.add, **how).max() <= 1:
        yield rasterize(pairs, **how)
        return
    for pair in pairs:
        yield rasterize([pair], **how)
