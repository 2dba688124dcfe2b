"""What lies in polygons is counted once, whatever the size of the grid."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet.data.tiling import Tile, partition
from rsdet.scenes.covered import covered

shapely = pytest.importorskip("shapely")


@pytest.mark.parametrize("size", [(5, 7), (1500, 1300), (1024, 2048)])
def test_each_pixel_is_in_one_window(size):
    seen = np.zeros(size, np.uint8)
    for window in partition(size, 512):
        seen[window.slices] += 1
    assert (seen == 1).all()


def test_pixels_of_polygons_are_counted_once_on_grids_of_several_windows():
    pytest.importorskip("rasterio")
    shapes = np.array([shapely.box(200, 400, 1200, 1400), shapely.box(10, 10, 20, 30)])
    wet = np.zeros((1500, 1300), bool)
    wet[:, 600:] = True

    def look(window: Tile):
        return [(wet[window.slices], np.ones((window.height, window.width), bool))]

    pixels, holds, known = covered(shapes, (1500, 1300), look, 1)
    assert pixels.tolist() == known[0].tolist() == [1_000_000, 200]
    assert holds[0].tolist() == [600_000, 0]
