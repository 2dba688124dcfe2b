"""A branch of ACR: image and text look at each other, and one vector comes of both (equations 9 to 21)."""

from __future__ import annotations

import torch
from torch import nn

from rsdet.nn.masked_attention import AttentionPool, MaskedAttention
from rsdet.nn.question_encoder import EncodedQuestion

__all__ = ["CrossAttention", "ReasoningBranch"]


class CrossAttention(nn.Module):
    """``v + MHA(v, q)`` and ``q + MHA(q, v)``, normalised; both read what comes in, none the other's result.

    Args:
        dim: Channels.
        heads: Heads of the attention.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.image_to_text, self.norm_image = MaskedAttention(dim, heads), nn.LayerNorm(dim)
        self.text_to_image, self.norm_text = MaskedAttention(dim, heads), nn.LayerNorm(dim)

    def forward(
        self, v: torch.Tensor, q: torch.Tensor, pads: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Let image and text look at each other once.

        Args:
            v: (B, N, dim), cells of the image.
            q: (B, L, dim), words.
            pads: (B, L) bool, places without a word.

        Returns:
            Cells and words anew, and what the words looked at, (B, L, N), the mean of the heads; rows sum to 1.
        """
        seen_by_image, _ = self.image_to_text(v, q, pads)
        seen_by_text, weights = self.text_to_image(q, v)
        return self.norm_image(v + seen_by_image), self.norm_text(q + seen_by_text), weights.mean(1)


class ReasoningBranch(nn.Module):
    """Layers of :class:`CrossAttention`, an attention pool of each side, ``LN(pool v + pool q)`` times ``q_att``.

    Args:
        dim: Channels.
        heads: Heads of the attention.
        layers: Number of layers.
    """

    def __init__(self, dim: int = 512, heads: int = 8, layers: int = 2):
        super().__init__()
        self.layers = nn.ModuleList(CrossAttention(dim, heads) for _ in range(layers))
        self.pool_image, self.pool_text, self.norm = AttentionPool(dim), AttentionPool(dim), nn.LayerNorm(dim)

    def forward(self, v: torch.Tensor, question: EncodedQuestion) -> tuple[torch.Tensor, torch.Tensor]:
        """Join an image and a question.

        Args:
            v: (B, N, dim), cells of the image.
            question: Of the same B.

        Returns:
            (B, dim) for the classifier, and what the words looked at in the last layer, (B, L, N).
        """
        q = question.words
        for layer in self.layers:
            v, q, attention = layer(v, q, question.pads)
        fused = self.norm(self.pool_image(v) + self.pool_text(q, question.pads))
        return fused * question.attended, attention
