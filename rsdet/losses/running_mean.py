"""A running mean that a loss keeps across training steps, held by the model so that it is saved and resumed with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

HALVING_STEPS = 7000  # of the default momentum: what Wise-IoU's authors use


class RunningMean(nn.Module):
    """Exponential mean of a quantity, moved once per optimizer step by the mean over all that was added since.

    Adding and committing are two steps, so that gradient accumulation counts as one batch, and so that all processes of
    a multi-GPU training take part in the sum, with objects in their share of the batch or without.

    Args:
        momentum: Weight of the new value, 0 to 1.

    Attributes:
        pending: Sum and count of what was added since the last commit, shape (2,), or None.
        mean: Buffer of shape (), the mean; 1 at the start. It stays FP32 when the model is converted: a checkpoint is
            stored in half precision, and training would go on from a rounded value.
    """

    mean: torch.Tensor

    def __init__(self, momentum: float = 1 - 0.5 ** (1 / HALVING_STEPS)):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.ones(()))
        self.pending: torch.Tensor | None = None  # no buffer, or DDP would overwrite it with rank 0's

    def add(self, values: torch.Tensor) -> None:
        """Take note of values of any shape, detached; nothing changes before :meth:`commit`."""
        values = values.detach().float()
        new = torch.stack([values.sum(), values.new_tensor(float(values.numel()))])
        self.pending = new if self.pending is None else self.pending.to(new.device) + new

    def drop(self) -> None:
        """Forget what was added since the last commit, as when the step is left out."""
        self.pending = None

    @torch.no_grad()
    def commit(self) -> None:
        """Move the mean; every process of a distributed training must call it. Nothing added, nothing moved."""
        pending, self.pending = self.pending, None
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if pending is None and not distributed:
            return
        total = torch.zeros(2, device=self.mean.device) if pending is None else pending.to(self.mean.device)
        if distributed:
            torch.distributed.all_reduce(total)
        new = torch.where(total[1] > 0, total[0] / total[1].clamp(min=1), self.mean)  # on the device: no host sync
        self.mean.lerp_(new, self.momentum)

    def reset(self) -> None:
        """Start a new training."""
        self.mean.fill_(1.0)
        self.drop()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> RunningMean:
        exact = self.mean
        super()._apply(fn, recurse)
        if not exact.is_meta and not self.mean.is_meta:
            self.mean = exact.to(self.mean.device)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "pending": None}
