"""CAGFM, the attention-guided fusion of VMC-DETR (section 3.4), and the channel attention in it, ESE.

ESE is one fully connected layer behind global average pooling (equations 5-7); CAGFM computes one such gate on the
concatenation of all its inputs, so that each input is weighted in the light of the others (equations 8 and 9). In the
model a RepC3 row follows, ``X_out = RepC3(X_fusion)`` (equation 10).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from ultralytics.nn.modules import Conv

from rsdet.errors import ConfigError
from rsdet.registry import Row, register, scaled

__all__ = ["CAGFM", "ESE"]


@register("ESE", like="same")
class ESE(nn.Module):
    """Effective squeeze and excitation: one gate in (0, 1) per channel.

    ::

        G_gap(X) = 1 / (H W) sum_{i, j} X[c, i, j]    (5)
        A        = sigmoid(W G_gap(X) + b)            (6)
        X_refine = A * X                              (7)

    ``W`` is C x C: nothing is reduced, unlike in SE. VoVNetV2, where ESE comes from, has a hard sigmoid; the paper
    writes a sigmoid.

    Args:
        c: Channels of input and output.
    """

    def __init__(self, c: int):
        super().__init__()
        self.fc = nn.Conv2d(c, c, 1)  # on (B, C, 1, 1) the fully connected layer

    def gate(self, x: torch.Tensor) -> torch.Tensor:
        """Equations (5) and (6): map (B, C, H, W) to a gate (B, C, 1, 1) in (0, 1)."""
        return self.gate_of(self.pool(x))

    @staticmethod
    def pool(x: torch.Tensor) -> torch.Tensor:
        """Equation (5): map (B, C, H, W) to its means (B, C, 1, 1)."""
        # The mean is taken in float32 under autocast and half: a sum over a large map overflows or loses digits.
        return x.mean((2, 3), keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32)).to(x.dtype)

    def gate_of(self, pooled: torch.Tensor) -> torch.Tensor:
        """Equation (6): means (B, C, 1, 1) to a gate of the same shape."""
        return torch.sigmoid(self.fc(pooled))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Equation (7): map (B, C, H, W) to (B, C, H, W)."""
        return self.gate(x) * x


def _rule(row: Row) -> tuple[list, int]:
    ck = scaled(row.args[0], row) if row.args else row.ch[-1]
    return [row.ch, ck, *row.args[1:]], ck * len(row.ch)


@register("CAGFM", channels=_rule)
class CAGFM(nn.Module):
    """Context attention guided fusion of two or three maps of the same size (VMC-DETR, equations 8 and 9).

    Inputs whose width is not ``ck`` first pass a 1x1 convolution. Then::

        A^(i)        = Split(sigmoid(W G_gap([X_1, .., X_m]) + b), i)    (8)
        X_fusion^(i) = A^(i) * X_i + sum_{k != i} X_k                    (9)

    and the ``m`` results are concatenated. The gate multiplies once: the two-input ancestor of this module weights an
    already weighted map, and algorithm 1 of the paper misprints two of the sums; equation (9) rules here.

    In a YAML: ``[[a, b], 1, CAGFM, [ck]]``, ``ck`` optional.

    Args:
        ch: Channels of the inputs, two or more.
        ck: Common width; by default the width of the last input.

    Raises:
        ConfigError: Fewer than two inputs.
    """

    def __init__(self, ch: Sequence[int], ck: int | None = None):
        super().__init__()
        if len(ch) < 2:
            raise ConfigError(f"CAGFM received {len(ch)} input; must be two or more; list them in its `from` column.")
        self.ck = ck or ch[-1]
        self.align = nn.ModuleList(nn.Identity() if c == self.ck else Conv(c, self.ck, 1) for c in ch)
        self.ese = ESE(self.ck * len(ch))

    def forward(self, x: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map m maps (B, c_i, H, W) to one map (B, m * ck, H, W).

        Raises:
            ConfigError: The maps differ in height or width.
        """
        if not torch.jit.is_tracing():
            check_sizes([tuple(m.shape[2:]) for m in x])
        maps = [align(m) for align, m in zip(self.align, x, strict=True)]
        gates = self.ese.gate(torch.cat(maps, 1)).chunk(len(maps), 1)
        others = [sum(maps[:i] + maps[i + 1 :]) for i in range(len(maps))]
        return torch.cat([a * m + rest for a, m, rest in zip(gates, maps, others, strict=True)], 1)


def check_sizes(sizes_hw: Sequence[tuple[int, ...]]) -> None:
    """Refuse maps of different sizes.

    Args:
        sizes_hw: Height and width of each map.

    Raises:
        ConfigError: They differ.
    """
    if any(size != sizes_hw[0] for size in sizes_hw):
        listed = ", ".join(f"{h}x{w}" for h, w in sizes_hw)
        raise ConfigError(
            f"CAGFM received maps of {listed}; must be of one size; use an imgsz that is a multiple of 32."
        )
