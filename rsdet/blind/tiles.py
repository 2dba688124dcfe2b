"""Large scenes: one kernel for all, found where there is most to see, then the picture tile by tile.

The blur belongs to the sensor, so a scene has one kernel; a kernel of its own per tile would show at the seams. The
non-local blocks take memory by the square of the tile's area, which is why there are tiles at all.
"""

from __future__ import annotations

import cv2
import numpy as np


def most_textured(image: np.ndarray, tile_px: int) -> tuple[slice, slice]:
    """The tile with the largest mean gradient, on a grid of half tiles.

    Args:
        image: (h, w, C).
        tile_px: Side of a tile; cut to the picture.

    Returns:
        Slices of rows and columns.
    """
    from rsdet.data.tiling import tile_grid

    gray = image.mean(2, dtype=np.float32)
    total = cv2.integral(np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)))

    def strength(rows: slice, columns: slice) -> float:
        (t, b), (n, r) = (rows.start, rows.stop), (columns.start, columns.stop)
        return total[b, r] - total[t, r] - total[b, n] + total[t, n]

    return max((tile.slices for tile in tile_grid(gray.shape, tile_px, tile_px // 2)), key=lambda at: strength(*at))
