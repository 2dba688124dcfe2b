"""Losses of semi-supervised segmentation against their definitions, and what must hold whatever the network says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references import semi as written

from rsdet.losses.pseudo_labels import (
    PseudoLabels,
    hard_loss,
    ohem_loss,
    soft_loss,
    squared_loss,
    supervised_loss,
)


def drawn(classes: int, seed: int = 0, sure: float = 2.0) -> tuple[torch.Tensor, ...]:
    """Logits of student and teacher, labels with gaps, valid pixels."""
    g = torch.Generator().manual_seed(seed)
    student, teacher = sure * torch.randn(2, 3, classes, 5, 6, generator=g, dtype=torch.float64)
    labels = torch.randint(0, max(classes, 2), (3, 5, 6), generator=g)
    labels[torch.rand(labels.shape, generator=g) < 0.6] = 255
    return student, teacher, labels, torch.rand(labels.shape, generator=g) < 0.8


def arrays(*tensors: torch.Tensor) -> list[np.ndarray]:
    return [t.numpy() for t in tensors]


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_losses_are_their_definitions(classes):
    student, teacher, labels, valid = drawn(classes)
    mine = PseudoLabels.of(teacher, labels, valid)
    s, said = student.numpy(), written.pseudo(*arrays(teacher, labels, valid))
    assert float(supervised_loss(student, labels)) == pytest.approx(written.supervised(s, labels.numpy()), rel=1e-12)
    for t in (0.0, 0.6, 0.95):
        assert float(hard_loss(student, mine, t)) == pytest.approx(written.hard(s, said, t), rel=1e-9)
        assert float(soft_loss(student, mine, t)) == pytest.approx(written.soft(s, said, t), rel=1e-9)
    assert float(squared_loss(student, mine)) == pytest.approx(written.squared(s, said), rel=1e-9)


def test_a_single_logit_gives_masked_bce_and_the_squared_difference_of_sigmoids():
    student, teacher, _, valid = drawn(1)
    y = (torch.rand(valid.shape, generator=torch.Generator().manual_seed(3)) < 0.4).long()
    labels = y.masked_fill(~valid, 255)
    s, t = student[:, 0].numpy(), teacher[:, 0].numpy()
    want = written.masked_bce(s, y.numpy(), valid.numpy())
    assert float(supervised_loss(student, labels)) == pytest.approx(want, rel=1e-9)
    want = written.masked_mse(s, t, valid.numpy())
    assert float(squared_loss(student, PseudoLabels.of(teacher, valid=valid))) == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("loss", [supervised_loss, ohem_loss])
def test_without_a_label_the_loss_is_0_and_teaches_nothing(loss):
    logits = torch.randn(2, 4, 3, 3, requires_grad=True)
    value = loss(logits, torch.full((2, 3, 3), 255))
    value.backward()
    assert float(value.detach()) == 0
    assert not logits.grad.any()


def test_without_a_valid_pixel_all_losses_are_0_and_finite():
    student, teacher, _, valid = drawn(3)
    said = PseudoLabels.of(teacher, valid=torch.zeros_like(valid))
    assert float(hard_loss(student, said, 0)) == float(soft_loss(student, said, 1)) == 0
    assert float(squared_loss(student, said)) == 0


def test_logits_of_ignored_pixels_change_no_loss_and_no_gradient():
    student, teacher, labels, valid = drawn(4)
    said = PseudoLabels.of(teacher, labels, valid)

    def losses(logits: torch.Tensor) -> list[torch.Tensor]:
        return [
            supervised_loss(logits, labels.masked_fill(~valid, 255)), hard_loss(logits, said, 0.5),
            soft_loss(logits, said, 0.9), squared_loss(logits, said),
        ]  # fmt: skip

    other = torch.where(valid[:, None], student, student.flip(0) * 30)
    assert not torch.equal(other, student)
    for k in range(4):
        x, y = student.clone().requires_grad_(), other.clone().requires_grad_()
        losses(x)[k].backward()
        losses(y)[k].backward()
        torch.testing.assert_close(losses(x)[k], losses(y)[k])
        torch.testing.assert_close(x.grad, y.grad)
        assert not x.grad.movedim(1, -1)[~valid].any()


def test_equal_thresholds_share_the_pixels_out():
    _, teacher, _, _ = drawn(3)
    said = PseudoLabels.of(teacher)
    flat = torch.zeros_like(teacher)  # every chosen pixel costs log 3, in either loss
    for t in (0.4, 0.7, 0.9):
        both = float(hard_loss(flat, said, t) + soft_loss(flat, said, t))
        assert both == pytest.approx(np.log(3), rel=1e-9)


def test_soft_is_hard_for_a_teacher_that_is_certain():
    student, teacher, _, _ = drawn(5)
    certain = torch.nn.functional.one_hot(teacher.argmax(1), 5).movedim(-1, 1).double()
    said = PseudoLabels.of(certain * 1e4)
    assert float(soft_loss(student, said, 1.1)) == pytest.approx(float(hard_loss(student, said, 0.5)), rel=1e-12)


def test_soft_is_least_where_student_and_teacher_agree():
    student, teacher, _, _ = drawn(5)
    said = PseudoLabels.of(teacher)
    entropy = float(-(said.probs * said.probs.log()).sum(1).mean())
    assert float(soft_loss(teacher, said, 1.1)) == pytest.approx(entropy, rel=1e-12)
    assert float(soft_loss(student, said, 1.1)) > entropy
    x = teacher.clone().requires_grad_()
    soft_loss(x, said, 1.1).backward()
    assert x.grad.abs().max() < 1e-12


def test_known_labels_are_certain_and_only_hard():
    student, teacher, labels, _ = drawn(4)
    said = PseudoLabels.of(teacher, labels.masked_fill(labels == 255, 2))  # every pixel is known
    assert (said.confidence == 1).all()
    assert float(soft_loss(student, said, 1.1)) == 0
    want = float(supervised_loss(student, labels.masked_fill(labels == 255, 2)))
    assert float(hard_loss(student, said, 1.0)) == pytest.approx(want, rel=1e-12)


def test_hard_examples_are_those_with_a_small_probability_of_their_label():
    student, _, labels, _ = drawn(4)
    right = np.exp(written.log_probs(student.numpy()))
    p = np.array([right[b, c, i, j] for (b, i, j), c in np.ndenumerate(labels.numpy()) if c != 255])
    assert float(ohem_loss(student, labels, 0.3, 1)) == pytest.approx(-np.log(p[p < 0.3]).mean(), rel=1e-9)
    assert float(ohem_loss(student, labels, 0.0, 4)) == pytest.approx(-np.log(np.sort(p)[:4]).mean(), rel=1e-9)
    assert float(ohem_loss(student, labels)) == pytest.approx(float(supervised_loss(student, labels)), rel=1e-9)


def test_half_precision_logits_lose_nothing_that_float32_keeps():
    student, teacher, labels, _ = drawn(3, sure=10.0)
    half = student.to(torch.bfloat16)
    assert supervised_loss(half, labels).dtype == torch.float32
    assert PseudoLabels.of(teacher.half()).probs.sum(1).sub(1).abs().max() < 1e-6
