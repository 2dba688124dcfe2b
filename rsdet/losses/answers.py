"""The loss of answers to questions: cross-entropy of the answer, and of the type of the question.

ACR's paper states the first alone (equation 22); its router needs the second to learn what a type is. The penalty for
wrong counts is that of SOBA (Wang et al., "EarthVQA", AAAI 2024): ``(1 + alpha |n - n*|^gamma) CE``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from rsdet.nn.answering import Answers
from rsdet.nn.precision import full_precision

UNSEEN = -1  # class of an answer that training does not know


class AnswerLoss:
    """``CE(answer) + type_weight * CE(type)``, both means over the batch, in float32 or wider.

    Args:
        type_weight: ``lambda_t``; 0 for a network without a router.
        numbers: (answers,) the number that each answer states, NaN for those that state none: a question whose answer
            is a number ``n*`` counts ``1 + alpha |n - n*|^gamma`` times, ``n`` the likeliest of the numbers. None:
            every question counts once.
        alpha: See ``numbers``.
        gamma: See ``numbers``.
    """

    def __init__(
        self,
        type_weight: float = 1.0,
        numbers: Sequence[float] | None = None,
        alpha: float = 1.0,
        gamma: float = 0.5,
    ):
        self.type_weight, self.alpha, self.gamma = type_weight, alpha, gamma
        self.numbers = None if numbers is None else torch.as_tensor(numbers, dtype=torch.float64)

    def __call__(
        self, said: Answers, truth: torch.Tensor, closed: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of Q questions.

        Args:
            said: Of the network.
            truth: (Q,) int64 class of the true answer; -1 where training knows no such answer, which is not counted.
            closed: (Q,) bool, the true types.

        Returns:
            The sum, and its parts without their weights and without gradient, ``answer_loss`` and ``type_loss``.
        """
        wide = torch.promote_types(said.logits.dtype, torch.float32)
        with full_precision(said.logits.device):
            logits, types = said.logits.to(wide), said.types.to(wide)
            known = truth != UNSEEN
            each = F.cross_entropy(logits, truth, ignore_index=UNSEEN, reduction="none") * self._penalty(logits, truth)
            answer = each.sum() / known.sum().clamp(min=1)
            kind = F.cross_entropy(types, (~closed).long())  # closed is type 0
        total = answer + self.type_weight * kind if self.type_weight else answer
        return total, {"answer_loss": answer.detach(), "type_loss": kind.detach()}

    def _penalty(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """(Q,) how often each question counts."""
        if self.numbers is None or self.numbers.isnan().all():
            return torch.ones_like(logits[:, 0])
        numbers = self.numbers.to(logits.device, logits.dtype)
        likeliest = logits.detach().masked_fill(numbers.isnan(), float("-inf")).argmax(1)
        off = (numbers[likeliest] - numbers[truth]).abs()  # NaN where the truth is no number; -1 counts nothing anyway
        return 1 + self.alpha * off.nan_to_num(0.0) ** self.gamma
