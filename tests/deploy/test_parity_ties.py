"""A tie at the last place of a network's choice refuses no good export, and lets no bad one through."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from conftest import TINY

from rsdet import RSDet
from rsdet.deploy.verify import Run
from rsdet.tasks.detect.export import Detections, Form, _suppressed
from rsdet.tasks.detect.parity import TIED_SHARE, UPRIGHT, Ties, compare

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


def test_what_ties_exchange_beyond_their_share_the_network_shows():
    a, many = rows(0.2), [7, 50, 100, 150, 200]
    b = moved(a, many, 400.0)
    assert not compare([a], [b], ties=[9]).ok
    report = compare([a], [b], ties=[9], others=[(b, b)])
    assert report.ok, report.summary()
    assert report.tied == len(many)
    assert not compare([a], [b], ties=[9], others=[(a, b)]).ok, "what is new is nothing that the network finds"
    assert not compare([a], [b], ties=[9], others=[(b, a)]).ok, "what is gone has nothing to do with the ties"
    assert not compare([a], [moved(b, [20], 400.0)], ties=[9], others=[(b, b)]).ok, "one more is no tie"
    assert not compare([a], [np.delete(a, many, 0)], ties=[9], others=[(a, a)]).ok
    twins = np.concatenate([a, a + np.array([1, 0, 0, 0, 0, 0])])
    assert compare([twins], [a], ties=[0], others=[(a, a)]).ok, "the other of two on one object stays"


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


def test_tied_queries_give_way_to_those_left_out():
    torch.manual_seed(0)
    model = RSDet("vmc-detr-demo.yaml", **TINY).model.eval()
    x, chosen, within = torch.full((1, 3, 128, 128), 0.5), {}, 1e-3
    for put in (0, 1, -1):
        ties = Ties(model, within, put)
        keep = model.model[-1].enc_score_head.register_forward_hook(
            lambda m, i, out, put=put: chosen.__setitem__(put, out.max(-1).values.topk(TINY["nq"]).indices[0].tolist())
        )
        with torch.inference_mode():
            model(x)
        keep.remove()
        ties.hook.remove()
    assert set(chosen[1]) - set(chosen[0]), "some that were left out"
    assert set(chosen[0]) - set(chosen[-1]), "some that were taken"


def graph_rows(raw, iou=0.7, apart=7680.0):
    """Rows of a graph with suppression in it, made of rows before it, (4 + classes, N), as it should be."""
    best, classes = raw[4:].max(0), raw[4:].argmax(0)
    corners = np.concatenate([raw[:2] - raw[2:4] / 2, raw[:2] + raw[2:4] / 2]).T
    moved_apart = torch.from_numpy(corners + classes[:, None] * apart).float()
    kept = torchvision.ops.nms(moved_apart, torch.from_numpy(best).float(), iou).numpy()
    out = np.zeros((300, 6))
    out[: len(kept)] = np.column_stack([corners, best, classes])[kept]
    return out


def crowd(n=60):
    """Boxes in threes: two of a class and all but one score, which overlap by all but 0.7, and one of another class."""
    rng = np.random.default_rng(0)
    centre, side = rng.uniform(40, 260, (2, n)), rng.uniform(30, 60, (2, n))
    twin = centre + [[0.176], [0]] * side  # IoU 0.7003
    boxes = np.concatenate([np.concatenate([at, side]) for at in (centre, twin, centre)], 1)
    scores, classes = np.zeros((3, 3 * n)), rng.integers(0, 3, n)
    scores[np.tile(classes, 2), np.arange(2 * n)] = 0.9 + rng.uniform(-1e-4, 1e-4, 2 * n)
    scores[(classes + 1) % 3, np.arange(2 * n, 3 * n)] = 0.5
    return np.concatenate([boxes, scores])


def judged(raw, rows_of_graph):
    run = Run([np.zeros((320, 320, 3), np.uint8)], (320, 320), np.zeros(0), (raw[None],), (rows_of_graph[None],))
    limits = {"box_tol_px": 0.5, "score_tol": 0.005, "shape": UPRIGHT}
    return _suppressed(Detections([run], Form("yolo")), {"conf": 0.1, "iou": 0.7, "max_det": 300}, limits)


def test_which_of_two_boxes_stays_may_be_up_to_the_last_digit():
    raw = crowd()
    assert judged(raw, graph_rows(raw)).tied == 0
    last_digit = raw.copy()
    last_digit[4:] = np.where(raw[4:] > 0.8, 1.8 - raw[4:], raw[4:])  # the other one of each two is better now
    last_digit[:4] += np.random.default_rng(1).uniform(-0.05, 0.05, raw[:4].shape)
    report = judged(raw, graph_rows(last_digit))
    assert report.ok, report.summary()
    assert report.tied > 1


@pytest.mark.parametrize(
    "graph",
    [
        lambda raw: graph_rows(raw, iou=0.5),
        lambda raw: graph_rows(raw, iou=0.9),
        lambda raw: graph_rows(raw, apart=0.0),  # classes suppress each other
        lambda raw: graph_rows(raw[[0, 1, 2, 3, 5, 4, 6]]),
        lambda raw: graph_rows(raw + np.array([1, 0, 0, 0, 0, 0, 0])[:, None]),
        lambda raw: graph_rows(np.concatenate([raw[:4], raw[4:] * 1.02])),
        lambda raw: np.concatenate([graph_rows(raw)[1:], np.zeros((1, 6))]),
        lambda raw: graph_rows(raw[:, ::2]),
    ],
    ids=["lower overlap", "higher overlap", "one class", "swapped", "shifted", "scores", "one lost", "half"],
)  # fmt: skip
def test_what_is_wrong_with_a_suppression_is_no_tie(graph):
    raw = crowd()
    assert not judged(raw, graph(raw)).ok
