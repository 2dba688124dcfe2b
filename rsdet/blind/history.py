"""The history of the image estimator, and how much each inner step teaches the kernel generator.

History is a running average of the parameters whose memory is longer the better the fit is (Eq. 11 and 12). The paper
calls it a negative prior; its Eq. 8 attracts the network to it, and that is what is done.

Source: Zhao et al., HAC-MoE, arXiv 2511.20045, Eq. 8 to 12; the form of the weights, of which the paper says "a
logarithmic re-weighting of the normalized loss", is that of MLMC and DDSR.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import nn

ALPHA_RANGE = (0.8, 0.99)
LOSS_RANGE = (1e-6, 1e-2)  # mean squared error


def history_momentum(
    loss: float,
    alpha_range: tuple[float, float] = ALPHA_RANGE,
    loss_range: tuple[float, float] = LOSS_RANGE,
) -> float:
    """Alpha of Eq. 11: largest at the smallest loss, falling linearly, cut to ``alpha_range``."""
    (low, high), (l_min, l_max) = alpha_range, loss_range
    share = min(max((loss - l_min) / (l_max - l_min), 0.0), 1.0)
    return high - share * (high - low)


def meta_weights(losses: Sequence[float] | torch.Tensor) -> torch.Tensor:
    """Weights omega of the inner steps, Eq. 9: non-negative, largest for the smallest loss, equal for equal losses.

    Args:
        losses: (P,) losses of the inner steps; no gradient flows through the weights.
    """
    values = torch.as_tensor(losses, dtype=torch.float32).detach()
    above = values - values.min()
    pi = above / (above.sum() + 1e-5)
    # At pi near 1 the logarithm of pi + 1e-3 is positive, which would make a weight negative.
    return (-((1 - pi) ** 2) * torch.log(pi + 1e-3)).clamp(min=0)


class History:
    """A running average of a network, evaluated without gradient.

    Attributes:
        network: The averaged network.
    """

    def __init__(self, network: nn.Module):
        self.network = deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, alpha: float) -> None:
        """Eq. 12: parameters become ``alpha`` of themselves and ``1 - alpha`` of the network's; buffers are copied."""
        own, new = list(self.network.parameters()), [p.detach() for p in network.parameters()]
        torch._foreach_mul_(own, alpha)
        torch._foreach_add_(own, new, alpha=1 - alpha)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)

    @torch.no_grad()
    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """Picture of the averaged network."""
        return self.network(z)
