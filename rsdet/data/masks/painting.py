"""Objects painted into a map of classes: a pixel is inside an outline where its centre is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from rsdet.data.annotations import NOTHING, UNKNOWN, Annotation, ImageRecord
from rsdet.data.forms import area
from rsdet.data.importers._outlines import decoded_runs, runs_of
from rsdet.data.tiling import Tile

Piece = tuple[tuple[slice, slice], np.ndarray]
"""Rows and columns of a tile, and (h, w) bool there."""


def inside(rings: Sequence[Sequence[float]], tile: Tile) -> Piece:
    """Pixels of a tile whose centres are inside rings, by the rule of even and odd.

    A ring inside another one is a hole. Where two shapes share an edge, each centre belongs to one of them.

    Args:
        rings: ``x1 y1 x2 y2 …`` each, in pixels of the picture with its corner at 0.
        tile: Window of the picture.

    Returns:
        Rows and columns of the tile around the rings, and (h, w) bool there.
    """
    edges = []
    for ring in rings:
        points = np.reshape(np.asarray(ring, np.float64), (-1, 2)) - (tile.left, tile.top)
        edges.append(np.concatenate([points, np.roll(points, -1, axis=0)], axis=1))
    x0, y0, x1, y1 = np.concatenate(edges).T
    down = y0 <= y1  # from top to bottom, so that an edge of two shapes is cut at one place for both
    x0, y0, x1, y1 = (np.where(down, a, b) for a, b in ((x0, x1), (y0, y1), (x1, x0), (y1, y0)))
    top, bottom = (int(v) for v in np.clip(np.ceil([y0.min() - 0.5, y1.max() - 0.5]), 0, tile.height))
    left, right = (
        int(v) for v in np.clip(np.ceil([min(x0.min(), x1.min()) - 0.5, max(x0.max(), x1.max()) - 0.5]), 0, tile.width)
    )
    where = slice(top, bottom), slice(left, right)
    if top >= bottom or left >= right:
        return where, np.zeros((max(bottom - top, 0), max(right - left, 0)), bool)
    first, after = (np.clip(np.ceil(y - 0.5), top, bottom).astype(np.int64) for y in (y0, y1))
    count = after - first  # rows whose centres an edge passes
    edge = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    at = x0[edge] + (row + 0.5 - y0[edge]) * ((x1 - x0)[edge] / (y1 - y0)[edge])
    column = np.clip(np.ceil(at - 0.5), left, right).astype(np.int64)  # the first whose centre is not left of the edge
    crossed = np.zeros((bottom - top, right - left + 1), np.uint8)
    np.bitwise_xor.at(crossed, (row - top, column - left), np.uint8(1))
    return where, np.bitwise_xor.accumulate(crossed, axis=1)[:, :-1].astype(bool)


def pieces_of(item: Annotation, tile: Tile) -> Iterator[Piece]:
    """Pixels of a tile that an object covers, by its run lengths or part by part; parts may lie over each other."""
    if item.runs is not None and (pixels := decoded_runs(item.runs)) is not None:
        yield (slice(0, tile.height), slice(0, tile.width)), pixels[tile.slices]
    elif item.holes_px:
        yield inside([*item.polygons_px, *item.holes_px], tile)
    else:
        yield from (inside([ring], tile) for ring in _rings(item))


def _rings(item: Annotation) -> tuple[tuple[float, ...], ...]:
    """Outlines of an object: of a region to ignore, its box where nothing more is known."""
    x1, y1, x2, y2 = item.xyxy_px
    box = (x1, y1, x2, y1, x2, y2, x1, y2)
    return item.polygons_px or ((item.corners_px,) if item.corners_px else (box,))


def size_of(item: Annotation) -> float:
    """Pixels that an object covers, parts over each other counted twice."""
    runs = None if item.runs is None else runs_of(item.runs)
    if runs is not None:
        return float(runs[2][1::2].sum())
    return sum(map(area, _rings(item))) - sum(map(area, item.holes_px))


def paint(record: ImageRecord, tile: Tile, names: Sequence[str], how: Counter) -> np.ndarray:
    """Objects of a picture as a map of class numbers; of two classes in a pixel, the smaller object's counts.

    Args:
        record: The picture; what is to be ignored in it lies over everything.
        tile: Window of it.
        names: The classes, for ``how``.
        how: Where pixels of two classes are counted, by the class that loses them, and objects of a whole picture
            that are too small to cover the centre of a pixel.

    Returns:
        (h, w) int16; :data:`NOTHING` and :data:`UNKNOWN` where no object is, or all is to be ignored.
    """
    found = np.full((tile.height, tile.width), NOTHING, np.int16)
    for item in sorted(record.objects, key=size_of, reverse=True):
        covered = False
        for where, shape in pieces_of(item, tile):
            part = found[where]
            lost = part[shape & (part >= 0) & (part != item.cls)]
            for cls, pixels in zip(*np.unique(lost, return_counts=True), strict=True):
                how["pixels of two classes, given to the smaller object", names[cls]] += int(pixels)
            part[shape] = item.cls
            covered |= bool(shape.any())
        if not covered and record.window is None:
            how["objects that cover the centre of no pixel", names[item.cls]] += 1
    for item in record.ignored:
        for where, shape in pieces_of(item, tile):
            found[where][shape] = UNKNOWN
    return found
