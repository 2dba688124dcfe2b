"""A PyTorch network as :class:`rsdet.tasks.vqa.answering.Answering`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rsdet.errors import ConfigError
from rsdet.tasks.vqa.answering import Answering, Said
from rsdet.tasks.vqa.model import VqaModel


def said_of(model: VqaModel, cells: torch.Tensor, tokens: torch.Tensor, temperature: float = 1.0) -> Said:
    """What a network says to Q questions.

    Args:
        model: The network.
        cells: (Q, N, d).
        tokens: (Q, L).
        temperature: That the logits of answers are divided by.
    """
    logits, types, attention = model.answer(cells, tokens)
    words = (tokens != 0).float()
    words[:, 0] = 1
    looked = (attention.float() * words[..., None]).sum(1) / words.sum(1, keepdim=True)
    arrays = (logits.float() / temperature).softmax(1), types.float().softmax(1)[:, 0], looked
    return Said(*(a.cpu().numpy() for a in arrays))


def answering_of(model: VqaModel, side: int, device: torch.device | str = "cpu", temperature: float = 1.0) -> Answering:
    """The function that a network is.

    Args:
        model: A trained network.
        side: Of the pictures that it gets, in pixels.
        device: Where it runs.
        temperature: See :func:`said_of`.

    Raises:
        ConfigError: It knows no answers.
    """
    if model.vocabulary is None:
        raise ConfigError("the model has no vocabulary, so that it knows neither words nor answers; train it first.")
    model = model.to(device).eval()

    @torch.inference_mode()
    def encode(pictures: np.ndarray) -> Sequence[Any]:
        return list(model.encode_image(torch.from_numpy(pictures).to(device)))

    @torch.inference_mode()
    def ask(cells: torch.Tensor, tokens: np.ndarray) -> Said:
        asked = torch.from_numpy(tokens).to(device)
        return said_of(model, cells[None].expand(len(asked), -1, -1), asked, temperature)

    return Answering(encode, ask, model.vocabulary, side, model.length)
