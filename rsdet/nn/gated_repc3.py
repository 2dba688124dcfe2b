"""CAGFM, the RepC3 behind it and the upsampling before it as one layer, for inference.

Equation 9 of VMC-DETR is linear in each map once the gates are known, and so are the two 1x1 convolutions W with which
RepC3 begins (equation 10)::

    sum_i W_i X_fusion^(i) = sum_k ( sum_{i != k} W_i + W_k diag(A^(k)) ) X_k

So the gates go into the weights, which are small, and the maps are read once instead of being weighted, added,
concatenated and read twice. A pointwise layer commutes with nearest-neighbour upsampling as well: maps that would be
doubled in size first are worked on as they are, at a quarter of the cost.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import RepC3

from rsdet.nn.cagfm import CAGFM, check_sizes


class _GatedPointwise(nn.Module):
    """A 1x1 convolution on the concatenation that equation 9 gives, taken apart into one product per map."""

    def __init__(self, conv: nn.Conv2d, act: nn.Module, inputs: int):
        super().__init__()
        w = conv.weight.detach().double().flatten(1).unflatten(1, (inputs, -1))  # (c, m, ck)
        rest = w.sum(1, keepdim=True) - w
        self.weight = _constant(w.flatten(1), conv.weight)
        self.rest = _constant(rest.flatten(1), conv.weight)
        self.bias = _constant(conv.bias.detach()[:, None, None], conv.weight)
        self.act = act

    def forward(self, maps: Sequence[torch.Tensor], gate: torch.Tensor, doubled: Sequence[bool]) -> torch.Tensor:
        """Maps (B, ck, H, W), those marked half as large, and the gate (B, 1, m ck) to (B, c, H, W)."""
        weights = (self.rest + self.weight * gate).chunk(len(maps), 2)
        parts: dict[bool, torch.Tensor] = {}
        for x, w, small in zip(maps, weights, doubled, strict=True):
            # Not unflatten, which would fix the size of a traced graph.
            y = torch.matmul(w, x.flatten(2)).reshape(-1, w.shape[1], *x.shape[2:])
            parts[small] = parts[small] + y if small in parts else y
        y = F.interpolate(parts[True], scale_factor=2.0, mode="nearest") if True in parts else 0
        return self.act(parts.get(False, 0) + y + self.bias)


class GatedRepC3(nn.Module):
    """What ``RepC3(CAGFM([Upsample(X_1), X_2, ..]))`` computes, for inference.

    Args:
        fusion: The CAGFM, batch norms folded.
        rep: The RepC3 behind it, folded too.
        doubled: For each input whether it has half the size and is to be doubled.

    Shapes:
        m maps to (B, c2, H, W).
    """

    def __init__(self, fusion: CAGFM, rep: RepC3, doubled: Sequence[bool]):
        super().__init__()
        self.doubled = tuple(doubled)
        self.align, self.ese = fusion.align, fusion.ese
        self.cv1, self.cv2 = (_GatedPointwise(cv.conv, cv.act, len(self.doubled)) for cv in (rep.cv1, rep.cv2))
        self.m, self.cv3 = rep.m, rep.cv3

    def forward(self, x: Sequence[torch.Tensor]) -> torch.Tensor:
        """Fuse the maps and run RepC3.

        Raises:
            ConfigError: The maps differ in height or width.
        """
        if not torch.jit.is_tracing():
            check_sizes([tuple(s * (1 + d) for s in m.shape[2:]) for m, d in zip(x, self.doubled, strict=True)])
        maps = [align(m) for align, m in zip(self.align, x, strict=True)]
        gate = self.ese.gate_of(torch.cat([self.ese.pool(m) for m in maps], 1)).flatten(2).transpose(1, 2)
        return self.cv3(self.m(self.cv1(maps, gate, self.doubled)) + self.cv2(maps, gate, self.doubled))


def _constant(value: torch.Tensor, like: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(value.to(like.dtype), requires_grad=False)
