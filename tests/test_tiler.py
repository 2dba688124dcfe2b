"""The tiler against the whole picture, and its geometry for all sizes."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.data.blend import axis_weights, starts
from rsdet.data.tiling import tile_count, tile_grid, tiled, tiled_rows
from rsdet.errors import ConfigError, DataError
from rsdet.nn.restoration import RestorationNetwork


class Local(RestorationNetwork):
    """Three 3x3 convolutions and pixel shuffle: radius 3."""

    local = True

    def __init__(self, scale: int, channels: int):
        super().__init__()
        torch.manual_seed(0)
        self.scale, self.channels = scale, channels
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(channels, 8, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, 8, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, channels * scale**2, 3, padding=1),
            torch.nn.PixelShuffle(scale),
        )

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + 0.5


def runner(network: torch.nn.Module):
    def run(x: np.ndarray) -> np.ndarray:
        batch = x if x.ndim == 4 else x[None]
        with torch.no_grad():
            y = network.eval()(torch.from_numpy(batch).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
        return y if x.ndim == 4 else y[0]

    return run


sizes = st.tuples(st.integers(1, 300), st.integers(1, 120), st.integers(0, 119)).filter(lambda t: t[2] < t[1])


@settings(max_examples=300, deadline=None)
@given(sizes)
def test_tiles_cover_the_axis_and_weights_sum_to_one(case):
    length, tile, overlap = case
    tile = min(tile, length)
    overlap = min(overlap, tile - 1)
    begins = starts(length, tile, overlap)
    assert begins[0] == 0
    assert begins[-1] == length - tile
    assert all(0 < b - a <= tile - overlap for a, b in itertools.pairwise(begins))
    total = np.zeros(length)
    for begin, w in zip(begins, axis_weights(length, begins, tile), strict=True):
        assert w.shape == (tile,)
        assert w.min() >= 0
        total[begin : begin + tile] += w
    np.testing.assert_allclose(total, 1, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.integers(0, 39), st.sampled_from([1, 2, 3]),
    st.integers(1, 4), st.integers(1, 5),
)  # fmt: skip
def test_a_pixelwise_function_is_not_changed_by_tiles(height, width, tile, overlap, scale, channels, batch):
    overlap = min(overlap, tile - 1)
    image = np.random.default_rng(0).random((height, width, channels))

    def run(x):
        return np.sqrt(x).repeat(scale, axis=-3).repeat(scale, axis=-2)

    out = tiled(run, image, tile, overlap, scale, batch=batch)
    assert out.dtype == np.float64
    np.testing.assert_allclose(out, run(image), atol=1e-12)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(97, 131), (64, 200), (40, 40)])
def test_tiles_equal_the_whole_for_a_local_network(scale, channels, size):
    network = Local(scale, channels)
    image = np.random.default_rng(1).random((*size, channels), dtype=np.float32)
    whole = runner(network)(image)
    assert np.ptp(whole) > 0.05  # a network that says nothing would pass as well
    out = tiled(runner(network), image, 48, 16, scale, batch=3)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, whole, atol=1e-5)  # radius 3 is within a quarter of 16: everywhere, not only inside


def test_without_overlap_the_seams_show_so_that_the_test_above_means_something():
    network = Local(1, 3)
    image = np.random.default_rng(1).random((97, 131, 3), dtype=np.float32)
    assert np.abs(tiled(runner(network), image, 48, 0) - runner(network)(image)).max() > 1e-3


def test_a_constant_picture_has_no_seam():
    image = np.full((150, 170, 3), 0.3, np.float32)
    np.testing.assert_allclose(tiled(lambda x: x, image, 64, 20), 0.3, atol=1e-6)


def test_tiles_that_disagree_are_blended_without_a_step():
    count = iter(range(1000))
    out = tiled(lambda x: np.full_like(x, next(count) % 2), np.zeros((64, 200, 1), np.float32), 64, 32)
    assert out.min() == 0
    assert out.max() == 1
    assert np.abs(np.diff(out[0, :, 0])).max() <= 1 / 16 + 1e-6  # a ramp over half of the overlap


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("size", "scale"), [((130, 75), 2), ((40, 300), 1), ((300, 40), 3)])
def test_bands_of_a_stream_are_the_rows_of_the_whole(size, scale, batch):
    network = Local(scale, 2)
    image = np.random.default_rng(2).random((*size, 2), dtype=np.float32)
    seen = []

    def read(top, left, height, width):
        return image[top : top + height, left : left + width]

    bands = list(
        tiled_rows(runner(network), read, size, 48, 16, scale, batch=batch, progress=lambda *n: seen.append(n))
    )
    at = 0
    for top, band in bands:
        assert top == at
        at += len(band)
    np.testing.assert_allclose(
        np.concatenate([b for _, b in bands]), tiled(runner(network), image, 48, 16, scale), atol=1e-6
    )
    assert seen[-1] == (tile_count(size, 48, 16),) * 2


def test_memory_of_a_stream_is_bounded_by_a_row_of_tiles():
    side, tile = 4096, 256
    rows = np.random.default_rng(0).random((1, side, 1), dtype=np.float32)

    def read(top, left, height, width):
        return np.broadcast_to(rows[:, left : left + width], (height, width, 1))

    tracemalloc.start()
    total = sum(float(band.sum(dtype=np.float64)) for _, band in tiled_rows(lambda x: x, read, (side, side), tile, 32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == pytest.approx(rows.sum(dtype=np.float64) * side, rel=1e-6)
    strip = tile * side * 4
    assert peak < 3 * strip  # the strip, its copy that is handed out, a few tiles
    assert peak < side * side * 4 / 5


def test_memory_is_the_output_and_some_tiles():
    side, tile = 2048, 256
    image = np.zeros((side, side, 1), np.float32)
    tracemalloc.start()
    tiled(lambda x: x, image, tile, 32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < side * side * 4 + 16 * tile * tile * 4


def test_a_memory_map_can_take_the_result(tmp_path):
    image = np.random.default_rng(0).random((70, 90, 3), dtype=np.float32)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=image.shape)
    assert tiled(lambda x: x, image, 32, 8, out=out) is out
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), image, atol=1e-6)


@pytest.mark.parametrize(
    ("tile", "overlap"), [(0, 0), (64, 64), (64, 100), (64, -1), (64.0, 8), (True, 0), ("64", 8), ((64, 32), 40)]
)
def test_impossible_tiles_are_refused(tile, overlap):
    with pytest.raises(ConfigError, match="tile="):
        tile_grid((100, 100), tile, overlap)


def test_integers_and_wrong_results_are_refused():
    with pytest.raises(DataError, match="floating point"):
        tiled(lambda x: x, np.zeros((10, 10, 3), np.uint16), 8, 2)
    with pytest.raises(DataError, match="scale=2"):
        tiled(lambda x: x, np.zeros((10, 10, 3), np.float32), 8, 2, 2)


def test_every_tile_has_the_full_size_and_the_picture_bounds_it():
    shapes = []
    tiled(lambda x: shapes.append(x.shape) or x, np.zeros((50, 333, 2), np.float32), 64, 16)
    assert set(shapes) == {(50, 64, 2)}
    assert len(shapes) == tile_count((50, 333), 64, 16)
