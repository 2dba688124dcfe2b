"""A PyTorch network as :class:`rsdet.tasks.vqa.answering.Answering`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rsdet.data.questions.vocabulary import Vocabulary
from rsdet.errors import ConfigError
from rsdet.tasks.vqa.answering import Answering, Said
from rsdet.tasks.vqa.model import VqaModel


def answering_of(
    model: VqaModel,
    side: int,
    device: torch.device | str = "cpu",
    temperature: float = 1.0,
    vocabulary: Vocabulary | None = None,
) -> Answering:
    """The function that a network is.

    Args:
        model: A trained network.
        side: Of the pictures that it gets, in pixels.
        device: Where it runs.
        temperature: That the logits of answers are divided by.
        vocabulary: Words and answers; those of the network where not given.

    Raises:
        ConfigError: It knows no answers.
    """
    vocabulary = vocabulary or model.vocabulary
    if vocabulary is None:
        raise ConfigError("the model has no vocabulary, so that it knows neither words nor answers; train it first.")
    model = model.to(device).eval()

    @torch.inference_mode()
    def encode(pictures: np.ndarray) -> Sequence[Any]:
        return list(model.encode_image(torch.from_numpy(pictures).to(device)))

    @torch.inference_mode()
    def ask(cells: torch.Tensor, tokens: np.ndarray) -> Said:
        asked = torch.from_numpy(tokens).to(device)
        logits, types, attention = model.answer(cells[None].expand(len(asked), -1, -1), asked)
        arrays = (a.float().cpu().numpy() for a in (logits, types.float().softmax(1), attention))
        return Said.of(*arrays, tokens, temperature)

    return Answering(encode, ask, vocabulary, side, model.length)
