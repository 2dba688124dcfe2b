"""Box losses of oriented boxes and how Ultralytics' criteria get a box loss: values, slopes, limits, both branches."""

from __future__ import annotations

import math

import pytest
import torch
from references.sar_ship import WiseProbIoU
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel, OBBModel, SegmentationModel
from ultralytics.utils.loss import BboxLoss, E2ELoss, RotatedBboxLoss
from ultralytics.utils.metrics import probiou

from rsdet.errors import ConfigError
from rsdet.losses.boxes import ROTATED_BOX_LOSSES, BoxLoss, ProbIoULoss, check_box_loss
from rsdet.losses.criteria import RotatedBoxLoss, YOLOBoxLoss, with_box_loss
from rsdet.losses.running_mean import RunningMean
from rsdet.losses.wise_iou import distance_attention, focus, wise_probiou


def boxes(n: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """(n, 5) boxes xywhr of 1 to 9 cells, near enough to one another that many overlap."""
    g = torch.Generator().manual_seed(seed)
    low, span = torch.tensor([10.0, 10, 1, 1, -0.7]), torch.tensor([6.0, 6, 8, 8, 3.1])
    return (low + span * torch.rand(n, 5, generator=g)).to(dtype)


def term_inputs(pred: torch.Tensor, truth: torch.Tensor, positive: torch.Tensor, bins: int):
    torch.manual_seed(0)
    scores = torch.rand(2, 3, 2)
    stride = torch.tensor([[8.0], [8.0], [16.0]])
    return torch.rand(2, 3, 4 * bins), pred, 16 * torch.rand(3, 2), truth, scores, scores.sum(), positive, torch.tensor(
        [128.0, 128.0]
    ), stride  # fmt: skip


@pytest.mark.parametrize("version", [1, 2, 3])
def test_three_steps_of_two_batches_each(version):
    mean = RunningMean(0.3)
    ours = ProbIoULoss(f"wiou-v{version}", mean if version > 1 else None)
    plain = WiseProbIoU(version, 0.3)
    for step in range(3):
        for part in range(2):
            p, g = boxes(3 + part, 10 * step + part), boxes(3 + part, 100 + 10 * step + part)
            got = ours(p.requires_grad_(), g)
            want = [plain.pair(a, b) for a, b in zip(p.tolist(), g.tolist(), strict=True)]
            assert got.tolist() == pytest.approx(want, rel=1e-4)
        with torch.no_grad():  # validation in between
            ours(boxes(5, 7), boxes(5, 8))
        mean.commit()
        plain.step()
        if version > 1:
            assert float(mean.mean) == pytest.approx(plain.mean, rel=1e-5)
    assert plain.mean < 0.95


def test_probiou_is_that_of_ultralytics():
    p, g = boxes(6, 1), boxes(6, 2)
    got = ProbIoULoss("probiou")(p, g)
    plain = WiseProbIoU(1, 0.1)
    assert got.tolist() == pytest.approx([plain.distance(a, b) for a, b in zip(p.tolist(), g.tolist(), strict=True)])
    torch.testing.assert_close(got, 1 - probiou(p, g, floor=0.01).squeeze(-1))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_slope_is_that_with_gain_and_enclosing_box_held_constant(version):
    start, truth = boxes(5, 3, torch.float64), boxes(5, 4, torch.float64)
    mean = torch.tensor(0.7, dtype=torch.float64)
    pred = start.clone().requires_grad_()
    wise_probiou(pred, truth, mean, version)[0].sum().backward()

    distance = 1 - probiou(start, truth, floor=0.01).squeeze(-1)
    offset2 = (start[:, :2] - truth[:, :2]).square().sum(1)
    upright = [[_upright(row) for row in b.tolist()] for b in (start, truth)]
    diagonal2 = offset2 / distance_attention(*(torch.tensor(u, dtype=torch.float64) for u in upright)).log()
    gain = focus(distance, mean, version)

    def held(p: torch.Tensor) -> torch.Tensor:
        attention = torch.exp((p[:, :2] - truth[:, :2]).square().sum(1) / diagonal2)
        return gain * attention * (1 - probiou(p, truth, floor=0.01).squeeze(-1))

    want = start.clone().requires_grad_()
    held(want).sum().backward()
    torch.testing.assert_close(pred.grad, want.grad, rtol=1e-6, atol=1e-9)
    assert torch.autograd.gradcheck(held, (start.clone().requires_grad_(),))


def _upright(b: list[float]) -> list[float]:
    half = [(b[2 + k] * abs(math.cos(b[4])) + b[3 - k] * abs(math.sin(b[4]))) / 2 for k in (0, 1)]
    return [b[0] - half[0], b[1] - half[1], b[0] + half[0], b[1] + half[1]]


@pytest.mark.parametrize("name", ROTATED_BOX_LOSSES)
@pytest.mark.parametrize(
    ("pred", "truth"),
    [
        ((3, 3, 0, 0, 0), (3, 3, 0, 0, 0)),
        ((3, 3, 0, 5, 1), (5, 5, 4, 2, 0)),
        ((3, 3, 7, 2, 0.3), (3, 3, 7, 2, 0.3)),  # perfect
        ((3, 3, 7, 2, 0.3), (3, 3, 2, 7, 0.3 + math.pi / 2)),  # the same box by another name
        ((0, 0, 1e3, 1e-3, 2), (90, 90, 1e-3, 1e-3, 9)),
        ((3, 3, -2, 4, 0), (3, 3, 2, 4, 0)),  # turned inside out, as an untrained decoder may give
    ],
)
def test_degenerate_pairs_stay_finite(name, pred, truth):
    p = torch.tensor([pred], dtype=torch.float32, requires_grad=True)
    loss = ProbIoULoss(name, RunningMean())(p, torch.tensor([truth], dtype=torch.float32))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert p.grad.isfinite().all()


@pytest.mark.parametrize("name", ROTATED_BOX_LOSSES)
def test_half_precision_and_no_pairs(name):
    p, g, loss = boxes(4, 5), boxes(4, 6), ProbIoULoss(name, RunningMean())
    torch.testing.assert_close(loss(p.half(), g.half()), loss(p, g), rtol=1e-2, atol=1e-3)
    assert loss(p.half(), g.half()).dtype == torch.float32
    assert loss(p[:0], g[:0]).shape == (0,)


@pytest.mark.parametrize("name", ["ciou", "nwd", "siou", "WIoU-v3", None])
def test_losses_of_upright_boxes_are_refused_for_oriented_ones_and_the_reverse(name):
    with pytest.raises(ConfigError, match=r"must be one of probiou, wiou-v1, wiou-v2, wiou-v3 for oriented boxes\."):
        ProbIoULoss(name)
    with pytest.raises(ConfigError, match="must be one of ciou"):
        BoxLoss("probiou")
    with pytest.raises(ConfigError, match="running mean"):
        ProbIoULoss("wiou-v3")
    assert [check_box_loss(n, ROTATED_BOX_LOSSES) for n in ROTATED_BOX_LOSSES] == list(ROTATED_BOX_LOSSES)


@pytest.mark.parametrize("bins", [1, 16])
def test_the_term_of_probiou_is_that_of_ultralytics(bins):
    positive = torch.tensor([[True, False, True], [False, True, True]])
    pred, truth = boxes(6, 1).view(2, 3, 5), boxes(6, 2).view(2, 3, 5)
    got = RotatedBoxLoss(ProbIoULoss("probiou"), bins)(*term_inputs(pred, truth, positive, bins))
    want = RotatedBboxLoss(bins)(*term_inputs(pred, truth, positive, bins))
    torch.testing.assert_close(got, want)


def test_the_term_is_weighted_by_the_target_scores_of_each_positive():
    positive = torch.tensor([[True, False, True], [False, True, True]])
    pred, truth = boxes(6, 1).view(2, 3, 5), boxes(6, 2).view(2, 3, 5)
    given = term_inputs(pred, truth, positive, 16)
    plain = WiseProbIoU(3, 0.1)
    want = sum(
        plain.pair(pred[b, a].tolist(), truth[b, a].tolist()) * float(given[4][b, a].sum())
        for b, a in positive.nonzero().tolist()
    )
    got = RotatedBoxLoss(ProbIoULoss("wiou-v3", RunningMean()))(*given)[0]
    assert float(got) == pytest.approx(want / float(given[5]), rel=1e-4)


@pytest.mark.parametrize(
    ("model", "yaml", "term", "loss"),
    [
        (DetectionModel, "yolo11n.yaml", YOLOBoxLoss, BoxLoss("nwd")),
        (SegmentationModel, "yolo11n-seg.yaml", YOLOBoxLoss, BoxLoss("nwd")),
        (SegmentationModel, "yolo26n-seg.yaml", YOLOBoxLoss, BoxLoss("nwd")),
        (OBBModel, "yolo11n-obb.yaml", RotatedBoxLoss, ProbIoULoss("wiou-v1")),
        (OBBModel, "yolo26n-obb.yaml", RotatedBoxLoss, ProbIoULoss("wiou-v1")),
    ],
)
def test_every_criterion_of_ultralytics_takes_a_box_loss(model, yaml, term, loss):
    torch.manual_seed(0)
    net = model(yaml, nc=2, verbose=False)
    net.args = get_cfg()
    own = net.init_criterion()
    assert with_box_loss(own, None) is own
    branches = (own.one2many, own.one2one) if isinstance(own, E2ELoss) else (own,)
    kinds = {type(b.bbox_loss) for b in branches}
    assert kinds <= {BboxLoss, RotatedBboxLoss}

    box = [0.5, 0.5, 0.3, 0.2, 0.4][: 5 if model is OBBModel else 4]
    batch = {
        "img": torch.rand(1, 3, 64, 64),
        "batch_idx": torch.zeros(1),
        "cls": torch.zeros(1, 1),
        "bboxes": torch.tensor([box]),
        "masks": torch.zeros(1, 16, 16, dtype=torch.uint8).index_fill_(1, torch.tensor([7, 8]), 1),
        "sem_masks": torch.zeros(1, 16, 16, dtype=torch.uint8),
    }
    net.train()
    before = own(net(batch["img"]), batch)[1]
    ours = with_box_loss(net.init_criterion(), loss)
    assert all(
        type(b.bbox_loss) is term for b in ((ours.one2many, ours.one2one) if isinstance(ours, E2ELoss) else (ours,))
    )
    total, after = ours(net(batch["img"]), batch)
    total.sum().backward()
    assert before.keys() == after.keys()
    assert {k for k in before if not torch.isclose(before[k], after[k])} == {"box_loss"}
