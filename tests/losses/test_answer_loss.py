"""The loss of answers: by hand, answers that training does not know, penalties of counts."""

from __future__ import annotations

import math

import pytest
import torch

from rsdet.losses.answers import AnswerLoss
from rsdet.nn.answering import Answers

NAN = math.nan
NUMBERS = [0.0, 1.0, 5.0, NAN]
LOGITS = [[0.2, 1.0, -0.3, 2.0], [1.5, 0.0, 0.3, -1.0], [0.0, 0.1, 3.0, 0.2], [0.4, 0.3, 0.2, 0.1]]
TYPES = [[2.0, 0.0], [0.0, 1.0], [0.5, 0.5], [-1.0, 1.0]]
CLOSED = [True, False, True, False]


def said(dtype: torch.dtype = torch.float64) -> Answers:
    return Answers(
        torch.tensor(LOGITS, dtype=dtype, requires_grad=True), torch.tensor(TYPES, dtype=dtype, requires_grad=True),
        torch.ones(4, 1, 1),
    )  # fmt: skip


def ce(logits: list[float], k: int) -> float:
    return math.log(sum(math.exp(v) for v in logits)) - logits[k]


def by_hand(truth: list[int], type_weight: float = 1.0, times: list[float] | None = None) -> tuple[float, float, float]:
    terms = [(times[i] if times else 1) * ce(LOGITS[i], t) for i, t in enumerate(truth) if t >= 0]
    answer = sum(terms) / max(len(terms), 1)
    kind = sum(ce(t, 0 if c else 1) for t, c in zip(TYPES, CLOSED, strict=True)) / 4
    return answer + type_weight * kind, answer, kind


@pytest.mark.parametrize("type_weight", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("truth", [[3, 0, 2, 1], [3, -1, 2, -1]])
def test_by_hand(truth, type_weight):
    total, parts = AnswerLoss(type_weight)(said(), torch.tensor(truth), torch.tensor(CLOSED))
    want = by_hand(truth, type_weight)
    assert [float(v) for v in (total, parts["answer_loss"], parts["type_loss"])] == pytest.approx(want, rel=1e-12)
    assert not parts["answer_loss"].requires_grad


def test_answers_that_training_does_not_know_teach_the_type_alone():
    answers = said()
    total, parts = AnswerLoss()(answers, torch.full((4,), -1), torch.tensor(CLOSED))
    total.backward()
    assert float(total) == pytest.approx(by_hand([-1] * 4)[0])
    assert parts["answer_loss"] == 0
    assert not answers.logits.grad.any()
    assert answers.types.grad.any()


@pytest.mark.parametrize(("alpha", "gamma"), [(1.0, 0.5), (2.0, 1.0)])
def test_counts_that_are_far_off_count_more(alpha, gamma):
    # Likeliest numbers: 1 (of 0, 1, 5), 0, 5, 0. The third question is right, the fourth has no number.
    truth, off = [2, 1, 2, 3], [4, 1, 0, 0]
    times = [1 + alpha * d**gamma for d in off]
    got, _ = AnswerLoss(1.0, NUMBERS, alpha, gamma)(said(), torch.tensor(truth), torch.tensor(CLOSED))
    assert float(got) == pytest.approx(by_hand(truth, 1.0, times)[0], rel=1e-12)


def test_unseen_answers_and_a_list_without_numbers():
    truth = torch.tensor([2, -1, -1, 3])
    got, _ = AnswerLoss(1.0, NUMBERS)(said(), truth, torch.tensor(CLOSED))
    assert float(got) == pytest.approx(by_hand([2, -1, -1, 3], 1.0, [3, 1, 1, 1])[0])
    plain, _ = AnswerLoss(1.0, [NAN] * 4)(said(), truth, torch.tensor(CLOSED))
    assert float(plain) == pytest.approx(by_hand([2, -1, -1, 3])[0])


def test_the_penalty_has_no_slope_of_its_own():
    answers, truth = said(), torch.tensor([2, 1, 2, 3])
    AnswerLoss(0.0, NUMBERS)(answers, truth, torch.tensor(CLOSED))[0].backward()
    p = answers.logits.detach().softmax(1) - torch.nn.functional.one_hot(truth, 4)
    assert torch.allclose(answers.logits.grad, p * torch.tensor([[3.0], [2.0], [1.0], [1.0]]) / 4)


def test_half_precision_is_widened():
    total, _ = AnswerLoss()(said(torch.float16), torch.tensor([3, 0, 2, 1]), torch.tensor(CLOSED))
    assert total.dtype == torch.float32
    assert float(total) == pytest.approx(by_hand([3, 0, 2, 1])[0], rel=1e-3)
