"""What a model looks at: a scene at one resolution, as pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rsdet.data.tiling import Tile
from rsdet.scenes.raster import Raster
from rsdet.scenes.values import Values


@dataclass(frozen=True)
class View:
    """A scene as a model sees it. x of the scene is x of the view times ``ratio``, exactly.

    Attributes:
        raster: The scene.
        values: How its samples become a picture.
        ratio: Pixels of the scene a pixel of the view, along each side.
    """

    raster: Raster
    values: Values
    ratio: float = 1.0

    def __post_init__(self) -> None:
        self.values.limit(self.raster)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels of the view; the last row and column may reach over the edge of the scene."""
        height, width = (max(1, math.ceil(n / self.ratio - 1e-6)) for n in self.raster.info.size_hw)
        return height, width

    def read(self, window: Tile) -> tuple[np.ndarray, np.ndarray]:
        """Read a window in pixels of the view.

        Returns:
            (h, w, channels) uint8 picture, 0 where there are no data, and (h, w) bool: where there are.

        Raises:
            DataError: A part of the file cannot be read; the message names the window in pixels of the scene.
        """
        if self.ratio == 1:
            raw, valid = self.raster.read(window, None, self.values.bands, self.values.nodata)
        else:
            rows = np.arange(window.top, window.top + window.height + 1) * float(self.ratio)
            columns = np.arange(window.left, window.left + window.width + 1) * float(self.ratio)
            raw, valid = self.raster.read_grid(rows, columns, self.values.bands, self.values.nodata)
        return self.values.picture(raw, valid), valid

    def is_empty(self, window: Tile) -> bool:
        """Whether a window is known to hold no valid pixel without reading it; False when in doubt."""
        sides = (window.top, window.left, window.height, window.width)
        return self.raster.is_empty(Tile(*(n * self.ratio for n in sides)))  # type: ignore[arg-type]
