"""Weights of which networks say something, whatever was drawn."""

from __future__ import annotations

import torch
from torch import nn


def spread_out(layer: nn.Linear | nn.Conv2d, outputs: torch.Tensor, std: float) -> None:
    """Change the last layer of a network so that each class is likeliest somewhere.

    Args:
        layer: The layer.
        outputs: What it puts out now, (N, classes).
        std: What each class's outputs shall deviate by; their mean becomes zero.
    """
    factor = std / outputs.std(0)
    layer.weight *= factor.view(-1, *[1] * (layer.weight.ndim - 1))
    layer.bias.copy_(factor * (layer.bias - outputs.mean(0)))
