"""The kernel generator G_k: a small perceptron whose output is a blur kernel by construction.

Source: Zhao et al., HAC-MoE, arXiv 2511.20045, Section III-C; sizes as in its models DDSR and MLMC: 200 random numbers,
1000 hidden units, ReLU6, softmax over K^2 elements. 562,361 parameters at K = 19.
"""

from __future__ import annotations

import torch
from torch import nn


class KernelNet(nn.Module):
    """(1, inputs) fixed noise to a (K, K) kernel: non-negative and of sum one, by the softmax.

    Args:
        size: Side K in HR pixels.
        inputs: Random numbers that go in.
        hidden: Hidden units.
    """

    def __init__(self, size: int, inputs: int = 200, hidden: int = 1000):
        super().__init__()
        self.size = size
        self.body = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU6(), nn.Linear(hidden, size * size))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Noise to kernel."""
        return torch.softmax(self.body(z).flatten(), 0).view(self.size, self.size)
