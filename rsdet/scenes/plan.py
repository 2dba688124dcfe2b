"""The tiles of a scene: which there are at each resolution, how they are numbered, and which objects are whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np

from rsdet.data.tiling import Grid, Tile, tile_grid
from rsdet.runtime.results import Detections, MaskDetections, OrientedDetections
from rsdet.scenes.found import Found

_RIM_PX = 1.0  # an object this near to the edge of its tile may go on behind it


@dataclass(frozen=True)
class Spot:
    """A tile of a scene.

    Attributes:
        number: Of all tiles of the plan, from 0.
        scale: Place of its resolution in ``scales=``.
        ratio: Pixels of the scene per pixel of the tile.
        tile: Where it lies, in pixels of its resolution.
        core: x1, y1, x2, y2 of what is its own, in pixels of its resolution; infinite where no other tile follows.
        margin_px: How far beyond its core the centre of an object may lie that no other tile has.
    """

    number: int
    scale: int
    ratio: float
    tile: Tile
    core: tuple[float, float, float, float]
    margin_px: float

    def take(self, seen: Detections) -> Found:
        """What the tile hands in of the objects found in it: those whose centre lies in its core, or hardly outside.

        Two tiles see one object with centres that differ by a pixel, so that each may leave it to the other. Hence the
        guests, which yield to any owner; an object that the edge of the tile cuts is none.
        """
        shift = np.array([self.tile.left, self.tile.top], np.float64)
        boxes = np.asarray(seen.boxes_xyxy, np.float64).reshape(-1, 4)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 + shift
        low, high = np.array(self.core[:2]), np.array(self.core[2:])
        own = ((centres >= low) & (centres < high)).all(1)
        size = np.array([self.tile.width, self.tile.height])
        if not isinstance(seen, OrientedDetections):  # a tile that was filled up shows more than there is
            boxes = np.minimum(boxes, np.tile(size, 2))
        cut = ((boxes[:, :2] <= _RIM_PX) & (low > -inf)).any(1) | ((boxes[:, 2:] >= size - _RIM_PX) & (high < inf)).any(
            1
        )
        margin = np.minimum(self.margin_px, np.maximum(2.0, (boxes[:, 2:] - boxes[:, :2]).min(1, initial=inf) / 4))
        near = ((centres >= low - margin[:, None]) & (centres < high + margin[:, None])).all(1)
        keep = np.flatnonzero(own | (near & ~cut))
        n = len(keep)
        return Found(
            (boxes[keep] + np.tile(shift, 2)) * self.ratio,
            np.asarray(seen.scores)[keep],
            np.asarray(seen.classes)[keep],
            np.full(n, self.number),
            np.full(n, self.scale),
            cut[keep],
            ~own[keep],
            corners=(seen.corners[keep] + shift) * self.ratio if isinstance(seen, OrientedDetections) else None,
            outlines=[[(ring + shift) * self.ratio for ring in seen.patches[i].polygons()] for i in keep]
            if isinstance(seen, MaskDetections)
            else None,
        )


class Plan:
    """All tiles of a scene; it holds nothing for each of them, so a scene may have millions.

    Args:
        sizes_hw: Height and width of the scene at each resolution, pixels of that resolution.
        ratios: Pixels of the scene per pixel of each resolution.
        tile_px: Side of the tiles.
        overlap_px: Pixels that neighbours share at least.

    Raises:
        ConfigError: A tile or an overlap that cannot be.
    """

    def __init__(
        self, sizes_hw: Sequence[tuple[int, int]], ratios: Sequence[float], tile_px: int, overlap_px: int
    ) -> None:
        self.ratios, self.overlap_px = tuple(ratios), overlap_px
        self.grids = [tile_grid(size, tile_px, overlap_px) for size in sizes_hw]
        self._first = np.cumsum([0, *map(len, self.grids)])
        self.starts = {int(n) for n in self._first}
        self._edges = [(_borders(g.lefts, g.tile_hw[1]), _borders(g.tops, g.tile_hw[0])) for g in self.grids]

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, number: int) -> Spot:
        if not 0 <= number < len(self):
            raise IndexError(number)
        scale = int(np.searchsorted(self._first, number, "right")) - 1
        grid: Grid = self.grids[scale]
        row, column = divmod(number - int(self._first[scale]), len(grid.lefts))
        tile = Tile(grid.tops[row], grid.lefts[column], *grid.tile_hw)
        xs, ys = self._edges[scale]
        core = (xs[column], ys[row], xs[column + 1], ys[row + 1])
        return Spot(number, scale, self.ratios[scale], tile, core, self.overlap_px / 4)


def _borders(starts: Sequence[int], size: int) -> list[float]:
    """Where the core of one tile of a row ends and that of the next begins: in the middle of what both see."""
    return [-inf, *((a + size + b) / 2 for a, b in pairwise(starts)), inf]
