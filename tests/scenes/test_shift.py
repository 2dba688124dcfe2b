"""Known shifts are found to a fifth of a pixel, whatever the light; where pictures do not say, nothing is said."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsdet.data.scenes import render_scene
from rsdet.scenes.shift import Shift, spread, tile_shift, told

RNG = np.random.default_rng(3)
SIDE = 192


def pair(seed: int, dx: float, dy: float, size: tuple[int, int] = (SIDE, SIDE)) -> tuple[np.ndarray, np.ndarray]:
    """A rendered scene and the same moved, in other light and with noise; cut so that no rim is seen."""
    rng, rim = np.random.default_rng(seed), 40
    scene = render_scene(seed, (size[0] + 2 * rim, size[1] + 2 * rim)).image.astype(np.float32)
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    moved = cv2.warpAffine(scene, move, scene.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    inner = slice(rim, rim + size[0]), slice(rim, rim + size[1])
    before = scene[inner] + rng.normal(0, 5, (*size, 3))
    after = 0.5 * np.maximum(moved[inner], 0) ** 1.1 + 15 + rng.normal(0, 5, (*size, 3))
    return before.clip(0, 255), after.clip(0, 255)


def by_loops(before: np.ndarray, after: np.ndarray, fine: int = 10, reach: int = 4) -> tuple[float, float]:
    """Reference: the place of the peak of the same sum, written out, on all places of a fine grid."""
    height, width = before.shape[:2]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    a, b = (np.fft.fft2((p.mean(2) - p.mean()) * window) for p in (before, after))
    cross = b * np.conj(a)
    cross /= np.abs(cross)
    y, x = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    cross *= np.exp(-(y**2 + x**2) / (2 * 0.25**2))
    best, place = -np.inf, (0.0, 0.0)
    for i in range(-reach * fine, reach * fine + 1):
        turned = (cross * np.exp(2j * np.pi * y * i / fine)).sum(0)
        for j in range(-reach * fine, reach * fine + 1):
            value = (turned * np.exp(2j * np.pi * x[0] * j / fine)).sum().real
            if value > best:
                best, place = value, (j / fine, i / fine)
    return place


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (0.3, -0.6), (2.4, 1.5), (-7.25, 11.5), (25, -30)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_known_shift_is_found(seed, dx, dy):
    shift = tile_shift(*pair(seed, dx, dy))
    assert shift is not None
    assert (shift.x_px, shift.y_px) == pytest.approx((dx, dy), abs=0.2)
    assert shift.length_px == pytest.approx(np.hypot(dx, dy), abs=0.3)


@pytest.mark.parametrize("size", [(96, 96), (97, 131)])
def test_the_peak_is_where_the_sum_written_out_has_it(size):
    before, after = pair(4, 1.3, -2.2, size)
    shift = tile_shift(before, after)
    assert (shift.x_px, shift.y_px) == pytest.approx(by_loops(before, after), abs=0.06)


def test_either_order_gives_the_opposite():
    before, after = pair(5, 4.5, -3)
    one, other = tile_shift(before, after), tile_shift(after, before)
    assert (one.x_px, one.y_px) == pytest.approx((-other.x_px, -other.y_px), abs=0.02)


def ramp() -> np.ndarray:
    return np.linspace(0, 255, SIDE)[None].repeat(SIDE, 0)


@pytest.mark.parametrize(("before", "after"), [
    (np.full((SIDE, SIDE), 80.0), np.full((SIDE, SIDE), 80.0)),
    (RNG.uniform(0, 255, (SIDE, SIDE, 3)), RNG.uniform(0, 255, (SIDE, SIDE, 3))),
    (80 + RNG.normal(0, 2, (SIDE, SIDE)), 80 + RNG.normal(0, 2, (SIDE, SIDE))),
    (ramp(), ramp()),
    ((np.arange(SIDE) % 16 < 8)[None].repeat(SIDE, 0) * 90.0, (np.arange(SIDE) % 16 < 8)[None].repeat(SIDE, 0) * 90.0),
    ((np.arange(SIDE) > 90)[None] * 90 + RNG.normal(0, 3, (SIDE, SIDE)),
     (np.arange(SIDE) > 90)[None] * 90 + RNG.normal(0, 3, (SIDE, SIDE))),
    (render_scene(1, (SIDE, SIDE)).image, render_scene(2, (SIDE, SIDE)).image),
], ids=["flat", "noise", "flat with noise", "ramp", "stripes", "one edge", "other places"])  # fmt: skip
def test_where_the_pictures_do_not_say_nothing_is_said(before, after):
    assert tile_shift(before, after) is None


def test_what_has_no_data_counts_for_nothing():
    before, after = pair(6, 3, 2)
    valid = np.ones((SIDE, SIDE), bool)
    valid[:, :30] = False
    before[~valid], after[~valid] = 0, 0
    shift = tile_shift(before, after, valid)
    assert (shift.x_px, shift.y_px) == pytest.approx((3, 2), abs=0.2)
    valid[:, :100] = False
    assert tile_shift(before, after, valid) is None


def test_few_of_many_tiles_are_looked_at():
    assert spread(5) == [0, 1, 2, 3, 4]
    assert spread(1) == [0]
    assert spread(0) == []
    some = spread(10_000, 100)
    assert len(some) == 100
    assert (some[0], some[-1]) == (0, 9_999)


def test_far_tiles_are_told():
    assert told([]) == told([Shift(1.0, 1.0, 20.0), Shift(0.0, 0.0, 20.0)]) == ""
    text = told([Shift(0.5, 0.0, 20.0), Shift(-3.0, 4.0, 20.0)])
    assert "more than 2 px apart in 1 of 2 tiles" in text
    assert "by -3.0 px along x and +4.0 px along y" in text
    assert "5.0 px at most" in text
