"""A tie at the last place of a network's choice refuses no good export, and lets no bad one through."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import TINY

from rsdet import RSDet
from rsdet.tasks.detect.parity import TIED_SHARE, Ties, compare

N = 300
ROOM = int(TIED_SHARE * N)


def rows(spread=1e-4, n=N):
    """Boxes of 20 px on a grid of 40 px, with scores as flat as those of an untrained network."""
    k = np.arange(n)
    x, y = 40.0 * (k % 20), 40.0 * (k // 20)
    return np.stack([x, y, x + 20, y + 20, 0.5 - spread * k / n, k % 3], axis=1)


def moved(boxes, which, by=4.0):
    out = boxes.copy()
    out[which, :4] += by
    return out


@pytest.mark.parametrize("by", [2.0, 400.0])
def test_as_many_detections_as_are_tied_may_be_others(by):
    a, b = rows(), moved(rows(), [7, 200], by)
    assert not compare([a], [b]).ok
    report = compare([a], [b], ties=[2])
    assert report.ok, report.summary()
    assert (report.tied, report.matched, report.unmatched_reference, report.max_box_error_px) == (2, N - 2, 0, 0)
    assert "exchanged at a tied last place 2" in report.summary()
    assert not compare([a], [b], ties=[1]).ok
    assert not compare([a, a], [a, b], ties=[2, 0]).ok, "the tie is in another image"


@pytest.mark.parametrize(
    "fault",
    [
        lambda a: moved(a, slice(None), 1.0),  # a shifted letterbox
        lambda a: moved(a, slice(0, ROOM + 1), 4.0),
        lambda a: np.concatenate([a[:, :5], (a[:, 5:] + 1) % 3], 1),  # swapped classes
        lambda a: np.concatenate([a[:, :5], np.where(a[:, 5:] == 0, 1, np.where(a[:, 5:] == 1, 0, 2))], 1),
        lambda a: a + np.array([0, 0, 0, 0, 0.02, 0]),  # scores
        lambda a: a[ROOM + 1 :],  # lost detections
        lambda a: np.concatenate([a, moved(a, slice(None), 15.0)[: ROOM + 1]]),  # detections too many
        lambda a: a * [1, 1, 1, 1, np.nan, 1],
    ],
)
def test_what_is_wrong_with_an_export_is_no_tie(fault):
    a = rows()
    assert not compare([a], [fault(a)], most=N, ties=[N]).ok


def test_in_a_full_image_the_last_may_be_missing():
    a, b = rows(0.2), moved(rows(0.2), [N - 1], 400.0)
    assert not compare([a], [b]).ok
    assert not compare([a], [b], most=N + 1).ok
    report = compare([a], [b], most=N)
    assert report.ok, report.summary()
    assert report.tied == 1
    assert not compare([a], [moved(a, [0], 400.0)], most=N).ok, "the first is no last place"
    assert not compare([a], [moved(a, [N - 1], 2.0)], most=N).ok, "the same object, beside its place"


def test_ties_are_counted_where_the_network_chooses():
    torch.manual_seed(0)
    model = RSDet("vmc-detr-demo.yaml", **TINY).model.eval()
    ties = Ties(model, 1e-3)
    flat, noise = torch.full((1, 3, 128, 128), 0.5), torch.rand(1, 3, 128, 128, generator=torch.manual_seed(0))
    with torch.inference_mode():
        model(torch.cat([flat, noise]))
        assert len(ties.counts) == 2
        assert ties.counts[0] > 0, "cells in the middle of a flat picture see the same"
        model.model[-1].enc_score_head.weight.mul_(1e6)  # no two noisy cells are alike then
        model(noise)
    assert ties.counts[2] == 0
    assert Ties(torch.nn.Module(), 1e-3).counts == []
