"""Which labelled pixels are learnt from and which are measured: at random, by maps of the owner, by blocks of ground.

Pixels drawn at random lie next to one another: a patch around a test pixel holds training pixels, and what is measured
is how well they are remembered. :func:`seen_part` says how many; blocks of ground with a margin keep them apart.

No random generator is asked, whose numbers may change with its version: pixels and blocks are ordered by a mixing of
their place and the seed, so that a split is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rsdet.data.cubes.labels import counts_of
from rsdet.errors import ConfigError, DataError

HELD_OUT = 0.1


def random_split(
    labels: np.ndarray, per_class: int | float, seed: int = 0, names: Mapping[int, str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw training pixels of each class; all other labelled ones are measured.

    Args:
        labels: (H, W) int, 0 for no label, classes from 1.
        per_class: How many pixels of each class, or, below 1, which part of them.
        seed: Any whole number.
        names: Of the classes from 0, for messages.

    Returns:
        Two maps like ``labels``. A class with fewer pixels than asked for gives half of them.

    Raises:
        ConfigError: ``per_class`` is neither.
        DataError: A class has one pixel alone.
    """
    if isinstance(per_class, bool) or not (0 < per_class < 1 or (per_class >= 1 and float(per_class).is_integer())):
        raise ConfigError(f"per_class={per_class} must be a number of pixels, or a part between 0 and 1; such as 30.")
    counts = _checked(labels, names, "be divided")
    wanted = [
        0 if not n else max(1, round(n * per_class)) if per_class < 1 else min(int(per_class), n // 2) for n in counts
    ]
    train = _first(labels, [min(w, max(n - 1, 0)) for w, n in zip(wanted, counts, strict=True)], seed)
    return np.where(train, labels, 0), np.where(train, 0, labels)


def hold_out(
    train: np.ndarray, part: float = HELD_OUT, seed: int = 0, names: Mapping[int, str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Keep a part of the training pixels of each class, at least one, to choose an epoch by.

    Args:
        train: (H, W) int, 0 for no label, classes from 1.
        part: Between 0 and 1.
        seed: Any whole number.
        names: Of the classes from 0, for messages.

    Returns:
        Two maps like ``train``: what is learnt from, and what is held out.

    Raises:
        DataError: A class has one pixel alone.
    """
    counts = _checked(train, names, "be learnt and checked")
    held = _first(train, [min(max(1, round(n * part)), n - 1) if n else 0 for n in counts], seed)
    return np.where(held, 0, train), np.where(held, train, 0)


def block_folds(labels: np.ndarray, folds: int, block_px: int, seed: int = 0) -> np.ndarray:
    """Divide the ground into squares and the squares among folds, so that each has about as much of each class.

    The largest squares are placed first, each where the classes it holds are still missing most.

    Args:
        labels: (H, W) int, 0 for no label, classes from 1.
        folds: How many, from 2.
        block_px: Side of the squares in pixels.
        seed: Any whole number; it shifts the grid of squares.

    Returns:
        (H, W) int64, the fold of each pixel from 0, whether it has a label or not.

    Raises:
        ConfigError: Numbers that make no folds.
        DataError: There are fewer squares with labels than folds.
    """
    if folds < 2 or block_px < 1:
        raise ConfigError(
            f"folds={folds}, block_px={block_px}: there must be 2 folds or more, of blocks of 1 px or more."
        )
    height, width = labels.shape
    shift = (_mixed(np.arange(2), seed) % np.uint64(block_px)).astype(np.int64)
    down, across = (np.arange(height) + shift[0]) // block_px, (np.arange(width) + shift[1]) // block_px
    block = down[:, None] * (across[-1] + 1) + across
    classes = int(labels.max(initial=0))
    held = np.zeros((int(block.max()) + 1, classes + 1), np.int64)
    np.add.at(held, (block.ravel(), labels.ravel()), 1)
    shares = held[:, 1:] / np.maximum(held[:, 1:].sum(0), 1)  # of all pixels of a class
    filled = np.flatnonzero(shares.sum(1))
    if len(filled) < folds:
        raise DataError(
            f"block_px={block_px}: labels lie in {len(filled)} blocks, which is too few for {folds} folds; take "
            "smaller blocks or fewer folds."
        )
    order = filled[np.lexsort((_mixed(filled, seed), -shares[filled].max(1)))]
    of_block = (_mixed(np.arange(len(held)), seed + 1) % np.uint64(folds)).astype(np.int64)
    sums = np.zeros((folds, classes))
    for b in order:
        missing = np.maximum(1 / folds - sums, 0) @ shares[b] - 1e-6 * sums.sum(1)
        of_block[b] = int(np.argmax(missing))
        sums[of_block[b]] += shares[b]
    return of_block[block]


def fold_split(
    labels: np.ndarray, folds: np.ndarray, number: int, margin_px: int = 0
) -> tuple[np.ndarray, np.ndarray, int]:
    """Maps of one fold of :func:`block_folds`: it is measured, the others are learnt from.

    Args:
        labels: (H, W) int, 0 for no label, classes from 1.
        folds: (H, W), the fold of each pixel.
        number: The fold that is measured.
        margin_px: Training pixels so near to a test pixel are left out, so that no patch of a test pixel holds one;
            half of a patch is enough.

    Returns:
        Training and test map like ``labels``, and how many training pixels the margin left out.

    Raises:
        DataError: Either is empty.
    """
    ground = folds == number
    near = ground | _dilated(ground & (labels > 0), margin_px, margin_px, margin_px, margin_px)
    train, test = np.where(near, 0, labels), np.where(ground, labels, 0)
    left_out = int(((labels > 0) & near & ~ground).sum())
    for found, what in ((train, "learn from"), (test, "measure")):
        if not found.any():
            raise DataError(f"fold {number} with margin_px={margin_px} has no pixel to {what}; take larger blocks.")
    return train, test, left_out


def seen_part(train: np.ndarray, test: np.ndarray, patch_px: int) -> float:
    """Part of the test pixels in whose patch a training pixel lies, 0 to 1.

    Args:
        train: (H, W), 0 for no label.
        test: Likewise.
        patch_px: Side of a patch: rows r - p // 2 to r - p // 2 + p - 1 around row r, columns likewise.
    """
    before, after = patch_px // 2, patch_px - 1 - patch_px // 2
    seen = _dilated(train > 0, before, after, before, after)
    measured = test > 0
    return float(seen[measured].mean()) if measured.any() else 0.0


def missing_classes(train: np.ndarray, test: np.ndarray, names: Mapping[int, str]) -> list[str]:
    """Names of the classes that are measured but not learnt."""
    pairs = zip(counts_of(train, len(names)), counts_of(test, len(names)), strict=True)
    return [names[k] for k, (learnt, measured) in enumerate(pairs) if measured and not learnt]


def _checked(labels: np.ndarray, names: Mapping[int, str] | None, purpose: str) -> list[int]:
    counts = counts_of(labels, int(labels.max(initial=0)))
    single = [str(names[k]) if names else f"class {k + 1}" for k, n in enumerate(counts) if n == 1]
    if single:
        raise DataError(
            f"{', '.join(single[:4])}{' and others' * (len(single) > 4)} with one labelled pixel cannot {purpose}: two "
            "are needed; label more, or put the value into unlabelled: of the data YAML."
        )
    return counts


def _first(labels: np.ndarray, wanted: Sequence[int], seed: int) -> np.ndarray:
    """(H, W) bool, so many pixels of each class, the first in an order that the seed decides."""
    chosen = np.zeros(labels.size, bool)
    for number, count in enumerate(wanted, 1):
        places = np.flatnonzero(labels.ravel() == number)
        chosen[places[np.argsort(_mixed(places, seed), kind="stable")[:count]]] = True
    return chosen.reshape(labels.shape)


def _mixed(places: np.ndarray, seed: int) -> np.ndarray:
    """(N,) uint64 of SplitMix64 (Steele, Lea and Flood 2014) on a place and a seed."""
    with np.errstate(over="ignore"):
        x = np.asarray(places, np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
        for _ in range(2):
            x = x + np.uint64(0x9E3779B97F4A7C15)
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x = x ^ (x >> np.uint64(31))
    return x


def _dilated(mask: np.ndarray, up: int, down: int, left: int, right: int) -> np.ndarray:
    """Pixels with one of the mask so far away: rows r - up to r + down, columns likewise."""
    height, width = mask.shape
    sums = np.zeros((height + 1, width + 1), np.int64)
    sums[1:, 1:] = mask.astype(np.int64).cumsum(0).cumsum(1)
    top, bottom = (np.clip(np.arange(height) + d, 0, height) for d in (-up, down + 1))
    first, last = (np.clip(np.arange(width) + d, 0, width) for d in (-left, right + 1))
    return (sums[bottom][:, last] - sums[top][:, last] - sums[bottom][:, first] + sums[top][:, first]) > 0
