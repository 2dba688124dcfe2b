"""Objects of maps and the curve of a class, beside loops written out and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rsdet.metrics.confusion import IGNORE, PixelScores, count_pixels
from rsdet.metrics.map_curve import STEPS, PixelCurve
from rsdet.metrics.map_objects import MapObjects, say_objects


def flooded(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """Connected regions, corners included, by flooding."""
    left, regions = set(zip(*map(list, np.nonzero(mask)), strict=True)), []
    while left:
        todo, region = [left.pop()], set()
        while todo:
            i, j = todo.pop()
            region.add((i, j))
            near = {(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            todo += near
        regions.append(region)
    return regions


def written_out(maps, k: int) -> tuple[list, list]:
    """(pixels, best IoU, pixels found) of each object of the truth, (pixels, best IoU) of each found."""
    objects, regions = [], []
    for truth, found in maps:
        known = {(i, j) for i, j in np.argwhere(truth != IGNORE).tolist()}
        a = flooded(truth == k)
        b = [r & known for r in flooded(found == k)]
        b = [r for r in b if r]
        for x in a:
            objects.append((len(x), max([len(x & y) / len(x | y) for y in b], default=0.0), sum(len(x & y) for y in b)))
        regions += [(len(y), max([len(x & y) / len(x | y) for x in a], default=0.0)) for y in b]
    return sorted(objects), sorted(regions)


def blobs(rng: np.random.Generator, classes: int, size: int = 48) -> np.ndarray:
    """Regions of all sizes."""
    import cv2

    noise = cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), 2)
    return np.digitize(noise, np.quantile(noise, np.arange(1, classes) / classes)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_objects_are_those_of_a_loop(seed):
    rng, maps = np.random.default_rng(seed), []
    for _ in range(3):
        truth = blobs(rng, 3)
        found = np.where(rng.random(truth.shape) < 0.9, truth, blobs(rng, 3))
        truth[:, 10:14] = IGNORE
        maps.append((truth, found))
    objects = MapObjects([0, 1, 2])
    for truth, found in maps:
        objects.add(truth, found)
    rows = objects.rows({0: "a", 1: "b", 2: "c"}, gsd=2.0)
    ours, ours_found = np.concatenate(objects.truth), np.concatenate(objects.found)
    for k, name in enumerate("abc"):
        by_hand, regions = written_out(maps, k)
        assert np.allclose(sorted(map(tuple, ours[ours[:, 0] == k, 1:])), by_hand)
        assert np.allclose(sorted(map(tuple, ours_found[ours_found[:, 0] == k, 1:])), regions)
        whole, *sizes = (r for r in rows if r["class"] == name)
        assert whole["objects"] == len(by_hand) == sum(r["objects"] for r in sizes)
        assert whole["hit"] == sum(iou > 0.3 for _, iou, _ in by_hand)
        assert whole["precision"] == pytest.approx(np.mean([iou > 0.3 for _, iou in regions]))
        small = [o for o in by_hand if o[0] < 100]
        assert sizes[0]["pixel_recall"] == pytest.approx(sum(o[2] for o in small) / sum(o[0] for o in small))
        assert (sizes[1]["from_m2"], sizes[1]["below_m2"], sizes[-1]["below_px"]) == (400, 4000, None)


def test_an_object_is_hit_above_three_tenths_and_by_one_region():
    truth, found = np.zeros((2, 20), np.uint8), np.zeros((2, 20), np.uint8)
    truth[0, :10] = 1
    found[0, :3] = 1  # 3 of 10: not above
    objects = MapObjects([1])
    objects.add(truth, found)
    assert objects.rows({1: "slide"})[0]["hit"] == 0
    found[0, 3] = 1
    objects = MapObjects([1])
    objects.add(truth, found)
    assert objects.rows({1: "slide"})[0]["hit"] == 1
    found[0, :10] = 1, 1, 1, 0, 0, 0, 0, 1, 1, 1  # six pixels in two halves
    objects = MapObjects([1])
    objects.add(truth, found)
    (row, *_) = objects.rows({1: "slide"})
    assert (row["hit"], row["found"], row["right"]) == (0, 2, 0)
    assert row["pixel_recall"] == 0.6


def test_what_is_found_where_nobody_knows_is_not_counted():
    truth = np.full((8, 8), IGNORE, np.uint8)
    objects = MapObjects([1])
    objects.add(truth, np.ones((8, 8), np.uint8))
    (row, *_) = objects.rows({1: "slide"})
    assert (row["objects"], row["found"]) == (0, 0)
    assert math.isnan(row["recall"])
    assert say_objects(objects.rows({1: "slide"})) == ""


def curve_of(seed: int = 0) -> tuple[PixelCurve, np.ndarray, np.ndarray]:
    rng, curve = np.random.default_rng(seed), PixelCurve()
    truth = (rng.random((3, 40, 40)) < 0.2).astype(np.uint8)
    p = np.clip(0.3 * truth + 0.7 * rng.random(truth.shape), 0, 1).astype(np.float32)
    p[0, 0, :3] = 0, 1, 0.5
    truth[rng.random(truth.shape) < 0.2] = IGNORE
    for t, x in zip(truth, p, strict=True):
        curve.add(t, x)
    return curve, truth, p


def test_the_curve_is_that_of_a_loop_over_thresholds():
    curve, truth, p = curve_of()
    known = truth != IGNORE
    for k in (0, 1, 250, 500, 731, STEPS):
        found = p[known].astype(np.float64) + 1e-9 >= k / STEPS
        right, wrong = (found & (truth[known] == 1)).sum(), (found & (truth[known] == 0)).sum()
        assert curve.recall[k] == right / (truth == 1).sum()
        assert curve.precision[k] == (right / (right + wrong) if right + wrong else 1)
    f1, threshold = curve.best
    scores = PixelScores(count_pixels(truth, p.astype(np.float64) + 1e-9 >= threshold, 2), {0: "a", 1: "b"}, 1)
    assert scores.f1[1] == pytest.approx(f1)


def test_the_curve_is_that_of_torchmetrics():
    classification = pytest.importorskip("torchmetrics.functional.classification")
    import torch

    curve, truth, p = curve_of(1)
    steps = torch.arange(STEPS + 1, dtype=torch.float64) / STEPS - 1e-9
    given = {"thresholds": steps, "ignore_index": IGNORE}
    pair = torch.from_numpy(p.astype(np.float64)), torch.from_numpy(truth.astype(np.int64))
    theirs = float(classification.binary_average_precision(*pair, **given))
    assert curve.average_precision == pytest.approx(theirs, abs=1e-6)


def test_a_class_that_is_nowhere_has_no_curve():
    curve = PixelCurve()
    curve.add(np.zeros((4, 4), np.uint8), np.full((4, 4), 0.7))
    assert math.isnan(curve.average_precision)
    assert curve.best[0] == 0
