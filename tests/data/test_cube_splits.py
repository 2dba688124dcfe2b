"""Splits of labelled pixels: what is measured was not learnt, and what random pixels flatter is said."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet.data.cubes.labels import check_apart, classes_of, counts_of
from rsdet.data.cubes.splits import block_folds, fold_split, hold_out, missing_classes, random_split, seen_part
from rsdet.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """Patches of three classes with gaps: 90 x 70 px."""
    out = np.zeros((90, 70), np.int64)
    rng = np.random.default_rng(3)
    for _ in range(60):
        r, c = rng.integers(0, 80), rng.integers(0, 60)
        out[r : r + 8, c : c + 8] = rng.integers(0, 4)
    return out


def test_a_random_split_takes_so_many_of_each_class_and_measures_all_others(labels: np.ndarray) -> None:
    for per_class, seed in ((5, 0), (5, 1), (0.2, 0)):
        train, test = random_split(labels, per_class, seed)
        assert not ((train > 0) & (test > 0)).any()
        np.testing.assert_array_equal(train + test, labels)
        wanted = [5] * 3 if per_class == 5 else [round(n * 0.2) for n in counts_of(labels, 3)]
        assert counts_of(train, 3) == wanted
    a, b, again = (random_split(labels, 5, seed)[0] for seed in (0, 1, 0))
    assert (a != b).any()
    np.testing.assert_array_equal(a, again)
    rows = np.nonzero(random_split(labels, 0.5, 0)[0])[0]  # spread over the map, not its first rows
    assert abs(rows.mean() - np.nonzero(labels)[0].mean()) < 3


def test_splits_are_the_same_on_every_machine() -> None:
    """The mixing written out in whole numbers of Python."""
    most, golden = 2**64, 0x9E3779B97F4A7C15

    def mixed(place: int, seed: int) -> int:
        x = (place + seed * golden + 0x632BE59BD9B4E019) % most
        for _ in range(2):
            x = (x + golden) % most
            x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % most
            x = (x ^ (x >> 27)) * 0x94D049BB133111EB % most
            x ^= x >> 31
        return x

    for seed in (0, 7):
        train, _ = random_split(np.ones((4, 8), int), 4, seed)
        assert np.flatnonzero(train).tolist() == sorted(sorted(range(32), key=lambda p: mixed(p, seed))[:4])


def test_a_small_class_gives_half_and_a_single_pixel_is_refused_by_name() -> None:
    few = np.array([[1, 1, 1, 2, 2, 0]])
    train, test = random_split(few, 30)
    assert (counts_of(train, 2), counts_of(test, 2)) == ([1, 1], [2, 1])
    single = np.array([[1, 1, 2, 0]])
    for split in (
        lambda: random_split(single, 3, names={0: "a", 1: "oats"}),
        lambda: hold_out(single, names={0: "a", 1: "oats"}),
    ):
        with pytest.raises(DataError, match="oats with one labelled pixel"):
            split()
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(ConfigError, match="per_class="):
            random_split(few, wrong)


def test_a_part_of_each_class_is_held_out(labels: np.ndarray) -> None:
    learnt, held = hold_out(labels, 0.1)
    np.testing.assert_array_equal(learnt + held, labels)
    assert counts_of(held, 3) == [max(1, round(n * 0.1)) for n in counts_of(labels, 3)]
    assert counts_of(hold_out(np.array([[1, 1, 2, 2]]), 0.01)[1], 2) == [1, 1]


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_are_squares_of_ground_that_hold_each_class_alike(labels: np.ndarray, folds: int) -> None:
    found = block_folds(labels, folds, 10, seed=4)
    assert set(np.unique(found)) == set(range(folds))
    shares = np.array([counts_of(np.where(found == k, labels, 0), 3) for k in range(folds)]) / counts_of(labels, 3)
    assert (abs(shares - 1 / folds) < 0.6 / folds).all()
    edges = np.flatnonzero((np.diff(found, axis=0) != 0).any(1)) + 1  # rows where squares end
    assert len(set(edges % 10)) == 1


@pytest.mark.parametrize("patch", [5, 8])
def test_a_margin_of_half_a_patch_keeps_training_pixels_out_of_the_patches(labels: np.ndarray, patch: int) -> None:
    folds = block_folds(labels, 3, 16)
    train, test, left_out = fold_split(labels, folds, 1, margin_px=patch // 2)
    assert seen_part(train, test, patch) == 0
    assert left_out == (labels > 0).sum() - (train > 0).sum() - (test > 0).sum() > 0
    assert seen_part(*fold_split(labels, folds, 1)[:2], patch) > 0
    with pytest.raises(DataError, match="no pixel to learn from"):
        fold_split(labels, folds, 1, margin_px=99)


@pytest.mark.parametrize("patch", [1, 4, 7])
def test_the_part_that_is_seen_is_that_of_patches_looked_at_one_by_one(labels: np.ndarray, patch: int) -> None:
    train, test = random_split(labels, 12, 2)
    padded = np.pad(train, patch)
    hits = [
        padded[r + patch - patch // 2 :, c + patch - patch // 2 :][:patch, :patch].any()
        for r, c in zip(*np.nonzero(test), strict=True)
    ]
    assert seen_part(train, test, patch) == pytest.approx(np.mean(hits))


def test_folds_that_cannot_be_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(DataError, match="1 blocks, which is too few for 2 folds"):
        block_folds(np.pad(np.ones((2, 2), int), ((0, 60), (0, 60))), 2, 500)
    with pytest.raises(ConfigError, match="folds=1"):
        block_folds(labels, 1, 8)


def test_classes_of_stored_values_and_what_is_none_of_them(tmp_path) -> None:
    values = np.array([[-1, 2, 5], [5, 2, -1]])
    found = classes_of(values, {2: "trees", 5: "roads"}, (-1,), tmp_path / "m.mat")
    np.testing.assert_array_equal(found, [[0, 1, 2], [2, 1, 0]])
    with pytest.raises(DataError, match=r"m\.mat holds values outside of the classes 2 to 3: -1 \(2 px\), 5 \(2 px\)"):
        classes_of(values, {2: "trees", 3: "roads"}, (0,), tmp_path / "m.mat")
    with pytest.raises(DataError, match="no labelled pixel"):
        classes_of(np.zeros((2, 2), int), {1: "trees"}, (0,), tmp_path / "m.mat")
    train, test = np.array([[1, 2, 0]]), np.array([[0, 1, 1]])
    with pytest.raises(DataError, match="share 1 of 2 labelled pixels, the first at row 0, column 1"):
        check_apart(train, test, "x.yaml")
    assert missing_classes(np.array([[1, 0]]), np.array([[1, 2]]), {0: "a", 1: "b"}) == ["b"]
