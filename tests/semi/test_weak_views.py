"""Weak augmentation moves picture, label and mask alike."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet.data.semi.weak import WeakView

RNG = np.random.default_rng


def checkerboard(h: int, w: int, side: int = 16) -> np.ndarray:
    y, x = np.mgrid[:h, :w] // side
    return ((x + y) % 2 + 2 * (x > y)).astype(np.uint8)  # no symmetry


@pytest.mark.parametrize("rot90", [False, True])
def test_one_geometry_for_all(rot90):
    board = checkerboard(120, 160)
    picture = np.repeat(board[..., None] * 80, 3, 2)
    for seed in range(25):
        view = WeakView.draw(board.shape, 96, RNG(seed), rot90=rot90)
        label = view.apply(board, 255)
        image, mask = view.apply(picture, smooth=True), view.apply(board == 1)
        assert label.shape == mask.shape == image.shape[:2] == (96, 96)
        assert set(np.unique(label)) <= {0, 1, 2, 3, 255}
        assert mask.dtype == bool
        assert np.array_equal(mask, label == 1)
        seen = label != 255
        # Colours are blended on the rims alone; half a pixel off, every rim would be wrong on one side.
        flat = np.isin(image[..., 0], (0, 80, 160, 240)) & seen
        assert flat.mean() > 0.5 * seen.mean()
        assert (image[..., 0][flat] == label[flat] * 80).mean() > 0.99
        assert not image[~seen].any()


def test_rims_of_picture_and_label_lie_on_each_other():
    step = np.zeros((64, 64), np.uint8)
    step[:, 32:] = 1
    for size in (48, 100, 128, 90):
        view = WeakView((size, size), 0, 0, size)
        picture = view.apply(step.astype(np.float32), smooth=True)
        assert ((picture > 0.5) != view.apply(step).astype(bool)).mean() < 0.02


def test_no_change_is_no_change_and_a_flip_is_one():
    board = checkerboard(40, 40)
    assert np.array_equal(WeakView((40, 40), 0, 0, 40).apply(board), board)
    assert np.array_equal(WeakView((40, 40), 0, 0, 40, flip=True).apply(board), board[:, ::-1])
    assert np.array_equal(WeakView((40, 40), 5, 7, 20).apply(board), board[5:25, 7:27])
    assert WeakView((80, 80), 0, 0, 20).apply(board[..., None], smooth=True).shape == (20, 20, 1)


def test_scales_and_places_cover_their_range():
    views = [WeakView.draw((100, 200), 64, RNG(s)) for s in range(300)]
    factors = [v.size_hw[0] / 100 for v in views]
    assert 0.5 <= min(factors) < 0.55
    assert 1.95 < max(factors) <= 2
    assert 0.35 < np.mean([v.flip for v in views]) < 0.65
    assert all(v.top <= max(v.size_hw[0] - 64, 0) and v.left <= max(v.size_hw[1] - 64, 0) for v in views)
    assert not any(WeakView.draw((9, 9), 4, RNG(s), flip=0).flip for s in range(20))
