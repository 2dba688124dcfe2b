"""The question encoder of ACR: word vectors, a Transformer over them, and which words matter (equations 1 to 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from rsdet.nn.constants import constant
from rsdet.nn.masked_attention import MaskedAttention

__all__ = ["EncodedQuestion", "QuestionEncoder", "pads_of", "sinusoids"]

PAD = 0  # token of what fills a question up; 1 is the unknown word


class EncodedQuestion(NamedTuple):
    """What is known of B questions of L tokens.

    Attributes:
        words: (B, L, dim), ``W_t``.
        pads: (B, L) bool, places without a word.
        attended: (B, dim), ``q_att``.
        weights: (B, L), ``alpha``: what each word counts in ``attended``; they sum to 1, pads have 0.
    """

    words: torch.Tensor
    pads: torch.Tensor
    attended: torch.Tensor
    weights: torch.Tensor

    def at(self, index: torch.Tensor) -> EncodedQuestion:
        """Some of the questions, by their numbers."""
        return EncodedQuestion(*(t[index] for t in self))


def pads_of(tokens: torch.Tensor) -> torch.Tensor:
    """(B, L) bool, what is a pad of tokens (B, L); the first token never is, so that an empty question has one word."""
    return (tokens == PAD) & (torch.arange(tokens.shape[1], device=tokens.device) > 0)


def sinusoids(places: int, dim: int) -> np.ndarray:
    """(places, dim) float64: sines, then cosines, of a place at wavelengths from 2 pi to 10000 * 2 pi.

    Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.5, with the channels in another order.
    """
    angle = np.arange(places)[:, None] / 10_000 ** (np.arange(dim // 2) / (dim // 2))
    return np.concatenate((np.sin(angle), np.cos(angle)), 1)


def fitted(vectors: np.ndarray, dim: int) -> np.ndarray:
    """Word vectors of any length as such of ``dim`` numbers, as large as an embedding starts with.

    Their principal directions are kept. Where ``dim`` is at least the number of words or of their numbers, which is
    usual, all products of two vectors stay what they were, up to one factor.

    Args:
        vectors: (n, any), not all zero.
        dim: Numbers of the result.

    Returns:
        (n, dim) float64 with mean square 1.
    """
    u, s, _ = np.linalg.svd(np.asarray(vectors, np.float64), full_matrices=False)
    kept = (u * s)[:, :dim]
    kept = np.pad(kept, ((0, 0), (0, dim - kept.shape[1])))
    return kept / max(float(np.sqrt(np.square(kept).mean())), 1e-12)


class EncoderLayer(nn.Module):
    """``LN(x + MHSA(x))``, then ``LN(x + FFN(x))``, the FFN four times as wide with GELU.

    Args:
        dim: Channels.
        heads: Heads of the attention.
        dropout: Of attention weights, of what the FFN holds and of both sums, in training.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.1):
        super().__init__()
        self.attn, self.norm1 = MaskedAttention(dim, heads, dropout), nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim))
        self.norm2, self.drop = nn.LayerNorm(dim), nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, pads: torch.Tensor) -> torch.Tensor:
        """Map (B, L, dim), with pads (B, L), to the same."""
        x = self.norm1(x + self.drop(self.attn(x, x, pads)[0]))
        return self.norm2(x + self.drop(self.ffn(x)))


class QuestionEncoder(nn.Module):
    """Tokens (B, L) to words in their context and to one vector of the question.

    ``W_e`` are the word vectors, ``W_t`` what the Transformer makes of them and their places; with ``W = [W_e, W_t]``,
    ``G = tanh(W_1 W) sigmoid(W_2 W)``, ``alpha = softmax(w_a G)`` over the words and ``q_att = sum alpha W_t``.

    Args:
        tokens: Words that are known, and the pad; the unknown word, token 1, comes besides.
        dim: Channels, even and a multiple of ``heads``.
        heads: Heads of the attention.
        layers: Transformer layers.
        dropout: Of those, in training.
    """

    def __init__(self, tokens: int = 74, dim: int = 512, heads: int = 8, layers: int = 3, dropout: float = 0.1):
        super().__init__()
        self.embedding = nn.Embedding(tokens + 1, dim, padding_idx=PAD)
        self.layers = nn.ModuleList(EncoderLayer(dim, heads, dropout) for _ in range(layers))
        self.value, self.gate, self.score = nn.Linear(2 * dim, dim), nn.Linear(2 * dim, dim), nn.Linear(dim, 1)

    def load_words(self, vectors: Mapping[int, np.ndarray]) -> None:
        """Start words from vectors that are known; all others start as they do without.

        Args:
            vectors: Token to vector, all of one length.
        """
        rows = torch.from_numpy(fitted(np.stack(list(vectors.values())), self.embedding.embedding_dim))
        with torch.no_grad():
            self.embedding.weight[list(vectors)] = rows.to(self.embedding.weight)

    def forward(self, tokens: torch.Tensor) -> EncodedQuestion:
        """Encode questions.

        Args:
            tokens: (B, L) int64 in [0, ``tokens``], 0 behind the last word.
        """
        pads, vectors = pads_of(tokens), self.embedding(tokens)
        length, dim = int(tokens.shape[1]), self.embedding.embedding_dim
        table = constant(("words", length, dim), lambda: sinusoids(length, dim), vectors.dtype, vectors.device)
        words = vectors + table
        for layer in self.layers:
            words = layer(words, pads)
        both = torch.cat((vectors, words), 2)
        scores = self.score(self.value(both).tanh() * self.gate(both).sigmoid())[..., 0]
        weights = scores.masked_fill(pads, float("-inf")).softmax(1)
        return EncodedQuestion(words, pads, (weights[..., None] * words).sum(1), weights)
