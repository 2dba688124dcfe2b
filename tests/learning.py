"""Which parameters of a network learn nothing, whatever it was drawn to be."""

from __future__ import annotations

from collections.abc import Callable, Set

import torch
from torch import nn


def silent(
    make: Callable[[], nn.Module], loss: Callable[[nn.Module], torch.Tensor], expected: Set[str] = frozenset()
) -> set[str]:
    """Names of the parameters that got no gradient in any of several fresh networks.

    One network is too few: a ReLU of one or two channels may be shut by what was drawn, and nothing behind it learns.
    Ten are made, or fewer where no more than what is expected is left.
    """
    found: set[str] | None = None
    for _ in range(10):
        net = make()
        loss(net).backward()
        for name, p in net.named_parameters():
            assert p.grad is None or p.grad.isfinite().all(), name
        still = {n for n, p in net.named_parameters() if p.grad is None or p.grad.abs().max() == 0}
        found = still if found is None else found & still
        if found <= expected:
            break
    return found
