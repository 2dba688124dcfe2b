"""What every network that answers questions about images has in common: two parts, an image encoder and an answer head.

An image is encoded once, whatever the number of questions; the parts are exported as two graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from rsdet.nn.networks import Network, check_counts

__all__ = ["AnswerHead", "AnsweringNetwork", "Answers", "ImageEncoder", "expand"]


class Answers(NamedTuple):
    """What a network says to Q questions.

    Attributes:
        logits: (Q, answers).
        types: (Q, 2) logits of the type of the question: closed, which is answered by yes or no, and open.
        attention: (Q, L, N), what each word looked at last; rows sum to 1 over the cells of the image.
    """

    logits: torch.Tensor
    types: torch.Tensor
    attention: torch.Tensor


class AnsweringNetwork(Network):
    """Base of all networks for questions: images (B, C, H, W) and tokens (Q, L) to :class:`Answers`.

    A subclass implements :meth:`encode_image` and :meth:`answer`.

    Args:
        channels: Channels of the image.
        tokens: Words that are known, and the pad; the unknown word comes besides. Tokens of a question are 0 behind
            its last word, 1 for an unknown word, and up to this number.
        answers: Number of answers to choose from.
        length: Tokens of a question; what is longer is cut by whom encodes it.

    Raises:
        ConfigError: Arguments out of range.
    """

    multiple = 32

    def __init__(self, channels: int, tokens: int, answers: int, length: int):
        super().__init__()
        check_counts(type(self).__name__, channels=channels, tokens=tokens, answers=answers, length=length)
        self.channels, self.tokens, self.answers, self.length = channels, tokens, answers, length

    @property
    def stride(self) -> int:
        """:attr:`multiple` by the name that Ultralytics has for it."""
        return self.multiple

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of cells of an image of this size; their product is N."""
        return -(-height // self.multiple), -(-width // self.multiple)

    def encode_image(self, x: torch.Tensor) -> torch.Tensor:
        """Cells (B, N, dim) of images (B, C, H, W) of any size, row by row."""
        raise NotImplementedError

    def answer(self, v: torch.Tensor, tokens: torch.Tensor, route: torch.Tensor | None = None) -> Answers:
        """Answer one question for each encoding.

        Args:
            v: (Q, N, dim), see :func:`expand` for several questions to an image.
            tokens: (Q, L) int64.
            route: (Q,) bool, true for a closed question; the network decides itself where it is not given.
        """
        raise NotImplementedError

    def forward(
        self,
        x: torch.Tensor,
        tokens: torch.Tensor,
        counts: int | torch.Tensor | None = None,
        route: torch.Tensor | None = None,
    ) -> Answers:
        """Answer questions, those of the first image first.

        Args:
            x: (B, C, H, W), float.
            tokens: (Q, L) int64.
            counts: Questions to each image, see :func:`expand`; one where not given.
            route: See :meth:`answer`.
        """
        v = self.encode_image(x)
        return self.answer(v if counts is None else expand(v, counts), tokens, route)

    def load_words(self, vectors: Mapping[int, np.ndarray]) -> None:
        """Start words from vectors of another training, whatever their length.

        Args:
            vectors: Token to vector, see :func:`rsdet.data.questions.word_vectors.read_word_vectors`.
        """
        raise NotImplementedError

    def load_pretrained(self) -> str | None:
        """Load the weights that the arguments ask for, from the network if need be; for the start of a training.

        Returns:
            What was loaded, in words; None where nothing was asked for.
        """
        return None


def expand(v: torch.Tensor, counts: int | torch.Tensor) -> torch.Tensor:
    """Repeat the encoding of each image for each of its questions.

    Args:
        v: (B, N, dim).
        counts: Questions to each image: one number for all, or (B,) int64, 0 for an image without questions.

    Returns:
        (sum of counts, N, dim).
    """
    return v.repeat_interleave(counts, 0)


class _Part(nn.Module):
    """A part of a network, to be exported.

    Args:
        network: Whose part it is; weights are shared.
    """

    def __init__(self, network: AnsweringNetwork):
        super().__init__()
        self.network = network
        self.train(network.training)  # a fresh module trains, and an exporter puts the network back into its mode


class ImageEncoder(_Part):
    """The first part: image (B, C, H, W) to cells (B, N, dim)."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Encode images."""
        return self.network.encode_image(image)


class AnswerHead(_Part):
    """The second part: cells (Q, N, dim) and tokens (Q, L) to three arrays."""

    def forward(self, features: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits (Q, answers), probabilities (Q, 2) of closed and open, attention (Q, L, N)."""
        logits, types, attention = self.network.answer(features, tokens)
        return logits, types.softmax(1), attention
