"""Wise-IoU over training steps, and the criteria that hold it, against the papers written out pair by pair."""

from __future__ import annotations

import math

import pytest
import torch
from references.sar_ship import WiseIoU

from rsdet.losses.boxes import BoxLoss
from rsdet.losses.criteria import RTDETRBoxCriterion, YOLOBoxLoss
from rsdet.losses.running_mean import RunningMean


def boxes(n: int, seed: int) -> torch.Tensor:
    """(n, 4) boxes xyxy of 4 to 24 px, near enough to one another that many overlap."""
    g = torch.Generator().manual_seed(seed)
    centre, size = 20 + 8 * torch.rand(n, 2, generator=g), 4 + 20 * torch.rand(n, 2, generator=g)
    return torch.cat([centre - size / 2, centre + size / 2], 1)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_three_steps_of_two_batches_each(version):
    mean = RunningMean(0.3)
    ours, paper = BoxLoss(f"wiou-v{version}", mean if version > 1 else None), WiseIoU(version, 0.3)
    for step in range(3):
        for part in range(2):
            p, g = boxes(3 + part, 10 * step + part), boxes(3 + part, 100 + 10 * step + part)
            got = ours(p.requires_grad_(), g)
            want = [paper.pair(a, b) for a, b in zip(p.tolist(), g.tolist(), strict=True)]
            assert got.tolist() == pytest.approx(want, rel=1e-4)
        with torch.no_grad():  # validation in between
            ours(boxes(5, 7), boxes(5, 8))
        mean.commit()
        paper.step()
        if version > 1:
            assert float(mean.mean) == pytest.approx(paper.mean, rel=1e-5)
    assert paper.mean < 0.95


def test_one_pair_moves_the_mean():
    mean = RunningMean(0.3)
    BoxLoss("wiou-v3", mean)(boxes(1, 0).requires_grad_(), boxes(1, 1))
    mean.commit()
    want = WiseIoU(3, 0.3)
    want.pair(boxes(1, 0)[0].tolist(), boxes(1, 1)[0].tolist())
    want.step()
    assert float(mean.mean) == pytest.approx(want.mean, rel=1e-5)
    assert want.mean < 1


def test_half_of_the_start_is_left_after_seven_thousand_steps():
    assert (1 - RunningMean().momentum) ** 7000 == pytest.approx(0.5)


def test_term_of_the_yolo_family():
    """Weighted by the target scores of each positive and divided by the sum of all; in pixels, not in cells."""
    stride, scores = torch.tensor([[8.0], [8.0], [16.0]]), torch.rand(2, 3, 2)
    truth, pred = boxes(6, 1).view(2, 3, 4) / stride, boxes(6, 2).view(2, 3, 4) / stride
    positive = torch.tensor([[True, False, True], [False, True, True]])
    loss, ours = WiseIoU(3, 0.1), BoxLoss("wiou-v3", RunningMean(0.1))
    want = sum(
        loss.pair((pred[b, a] * stride[a]).tolist(), (truth[b, a] * stride[a]).tolist()) * float(scores[b, a].sum())
        for b, a in positive.nonzero().tolist()
    )
    term = YOLOBoxLoss(ours)(
        torch.zeros(2, 3, 64), pred, torch.rand(3, 2), truth, scores, scores.sum(), positive, torch.tensor([32, 32]),
        stride,
    )  # fmt: skip
    assert float(term[0]) == pytest.approx(want / float(scores.sum()), rel=1e-4)

    pixels = BoxLoss("nwd")
    got = YOLOBoxLoss(pixels)(
        torch.zeros(2, 3, 64), pred, torch.rand(3, 2), truth, scores, scores.sum(), positive, torch.tensor([32, 32]),
        stride,
    )[0]  # fmt: skip
    each = pixels((pred * stride).view(-1, 4), (truth * stride).view(-1, 4)).view(2, 3) * scores.sum(-1)
    assert float(got) == pytest.approx(float(each[positive].sum() / scores.sum()), rel=1e-5)


def test_term_of_the_rtdetr_family():
    """Relative boxes cxcywh, in pixels of an image of 40 x 60; the sum over pairs divided by their number, times 2."""
    pixels = [boxes(4, seed) for seed in (3, 4)]
    size = torch.tensor([60.0, 40.0, 60.0, 40.0])
    pred, truth = (torch.cat([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1) / size for b in pixels)
    criterion = RTDETRBoxCriterion(BoxLoss("nwd"), nc=3)
    criterion.size_hw = (40, 60)
    terms = criterion._get_loss_bbox(pred, truth, "_dn")
    want = 0.0
    for p, g in zip(*(b.tolist() for b in pixels), strict=True):
        # Gaussians with the centre as mean and half the sides as deviations, and C = 12.8.
        moved = sum(((p[i] + p[i + 2] - g[i] - g[i + 2]) / 2) ** 2 for i in (0, 1))
        grown = sum(((p[i + 2] - p[i] - g[i + 2] + g[i]) / 2) ** 2 for i in (0, 1))
        want += 1 - math.exp(-math.sqrt(moved + grown) / 12.8)
    assert float(terms["loss_giou_dn"]) == pytest.approx(2 * want / 4, rel=1e-4)
    assert float(terms["loss_bbox_dn"]) == pytest.approx(5 * float((pred - truth).abs().sum()) / 4, rel=1e-5)
    assert criterion._get_loss_bbox(pred[:0], truth[:0])["loss_giou"] == 0
