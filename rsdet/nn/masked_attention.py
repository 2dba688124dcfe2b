"""Attention with pads that nobody sees: of one sequence to another, and as a weighted mean of a sequence.

Weights are kept, since they are drawn, and nothing is ``nn.Transformer``, whose fused path over nested tensors no
exporter follows. Every sequence has an element that is no pad, see :func:`rsdet.nn.question_encoder.pads_of`.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["AttentionPool", "MaskedAttention"]


class MaskedAttention(nn.Module):
    """Multi-head attention, ``softmax(Q K^T / sqrt(d / heads)) V`` in each head.

    Args:
        dim: Channels, a multiple of ``heads``.
        heads: Number of heads.
        dropout: Probability that a weight is dropped in training.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))
        self.drop = nn.Dropout(dropout)
        for layer in (self.q, self.k, self.v):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.q, self.k, self.v, self.out):
            nn.init.zeros_(layer.bias)

    def forward(
        self, x: torch.Tensor, source: torch.Tensor, pads: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Let one sequence look at another.

        Args:
            x: (B, M, dim), who asks.
            source: (B, N, dim), where keys and values come from.
            pads: (B, N) bool, what of it is not seen.

        Returns:
            (B, M, dim), and the weights (B, heads, M, N), which sum to 1 over N and are 0 at pads.
        """
        q, k, v = (
            layer(s).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, s in ((self.q, x), (self.k, source), (self.v, source))
        )
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
        if pads is not None:
            scores = scores.masked_fill(pads[:, None, None], float("-inf"))
        weights = scores.softmax(-1)
        return self.out((self.drop(weights) @ v).transpose(1, 2).flatten(2)), weights


class AttentionPool(nn.Module):
    """The mean of a sequence, weighed by the softmax of a network of one hidden layer.

    Args:
        dim: Channels.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 1))

    def forward(self, x: torch.Tensor, pads: torch.Tensor | None = None) -> torch.Tensor:
        """Map (B, N, dim), with pads (B, N) bool that do not count, to (B, dim)."""
        scores = self.score(x)
        if pads is not None:
            scores = scores.masked_fill(pads[..., None], float("-inf"))
        return (scores.softmax(1) * x).sum(1)
