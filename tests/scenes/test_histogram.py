"""A picture takes the brightness of another: by tables that never fall, and as they are written in the books."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet.scenes.histogram import counts_of, matched, matching_tables


def by_loops(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Reference for values that occur: the value of the target at the same share, middles of steps, between linear."""
    out = {}
    for value in np.unique(source):
        share = (np.sum(source < value) + np.sum(source == value) / 2) / len(source)
        known = [(np.sum(target < v) + np.sum(target == v) / 2) / len(target) for v in np.unique(target)]
        out[int(value)] = float(np.interp(share, known, np.unique(target)))
    return out


def test_tables_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    source, target = rng.integers(10, 120, (400, 3), np.uint8), rng.normal(150, 30, (900, 3)).clip(0, 255)
    target = target.astype(np.uint8)
    tables = matching_tables(counts_of(source), counts_of(target))
    for channel in range(3):
        for value, becomes in by_loops(source[:, channel], target[:, channel]).items():
            assert tables[channel, value] == pytest.approx(becomes, abs=0.51)
    assert (np.diff(tables.astype(int), axis=1) >= 0).all()


def test_the_same_picture_stays_as_it_is():
    picture = np.random.default_rng(1).integers(0, 256, (40, 50, 2), np.uint8)
    tables = matching_tables(*[counts_of(picture.reshape(-1, 2))] * 2)
    assert (matched(picture, tables) == picture).all()


def test_another_light_is_taken_back():
    rng = np.random.default_rng(2)
    first = rng.integers(0, 200, (100, 100, 3)).astype(np.uint8)
    later = (0.5 * first + 60).astype(np.uint8)[::-1]  # darker, and every pixel elsewhere
    back = matched(later, matching_tables(*(counts_of(p.reshape(-1, 3)) for p in (later, first))))
    assert np.abs(back.astype(int) - first[::-1]).mean() < 1.5


def test_without_pixels_every_value_stays():
    tables = matching_tables(*(counts_of(np.ones((n, 2), np.uint8)) for n in (0, 5)))
    assert (tables == np.arange(256)).all()
