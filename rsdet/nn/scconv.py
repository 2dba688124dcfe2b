"""SCConv: a spatial and a channel reconstruction unit, the "dual reconstruction" that ACR has in every residual block.

Li et al., "SCConv: Spatial and Channel Reconstruction Convolution for Feature Redundancy" (CVPR 2023), in the form of
"Adaptive Conditional Reasoning for Remote Sensing Visual Question Answering" (Remote Sens. 2025), equations 23 to 29.
Both units keep the shape of a map.
"""

from __future__ import annotations

import torch
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.networks import check_counts

__all__ = ["CRU", "SRU", "SCConv"]

GROUPS = 16  # of the normalisation in SRU
GATES = ("soft", "hard")
EPS = 1e-5  # keeps the weights finite where those of the normalisation sum to 0


class SRU(nn.Module):
    """Split a map by how informative each value is, and add the halves of both parts crosswise.

    With ``G`` the group norm of ``x``, ``gamma`` its weights and ``w = gamma / (sum gamma + eps)``, values are
    informative where ``W = sigmoid(w G) > 0.5``. Those pass as they are, all others times ``W`` in both parts (equation
    25 as the code of SCConv has it) or in one part alone (``gate="hard"``, as its text has it).

    Args:
        c: Channels, a multiple of 16.
        gate: ``soft`` or ``hard``; the normalisation learns nothing where it is hard.

    Raises:
        ConfigError: Arguments out of range.
    """

    def __init__(self, c: int, gate: str = "soft"):
        super().__init__()
        check_counts("SRU", c=c)
        if c % GROUPS or gate not in GATES:
            raise ConfigError(
                f"SRU takes channels in multiples of {GROUPS} and gate={'|'.join(GATES)}, received c={c}, "
                f"gate={gate!r}; widen the network, or leave DRE out (dre=False)."
            )
        self.gate, self.norm = gate, nn.GroupNorm(GROUPS, c)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same."""
        weight = self.norm.weight / (self.norm.weight.sum() + EPS)
        weighted = weight[:, None, None] * self.norm(x)
        score = weighted.sigmoid()
        # sigmoid > 0.5, but not as it is rounded: weights start at 1 / C, and with 512 channels half precision takes a
        # fifth of all scores down to 0.5, bfloat16 half of them.
        informative = weighted > 0
        ones, zeros = torch.ones_like(score), torch.zeros_like(score)
        more = torch.where(informative, ones, score if self.gate == "soft" else zeros)
        less = torch.where(informative, zeros, score if self.gate == "soft" else ones)
        (more1, more2), (less1, less2) = (more * x).chunk(2, 1), (less * x).chunk(2, 1)
        return torch.cat((more1 + less2, more2 + less1), 1)


class CRU(nn.Module):
    """Transform half of the channels richly and half cheaply, and weigh the two results channel by channel.

    ``alpha = 1/2``, squeeze ratio 2, two groups: ``Y1 = GWC(U) + PWC(U)``, ``Y2 = [PWC(L), L]``, and the output
    ``beta_1 Y1 + beta_2 Y2`` with ``beta`` the softmax over the two of their means over the map (equation 28).

    Args:
        c: Channels, a multiple of 8.

    Raises:
        ConfigError: Other channels.
    """

    def __init__(self, c: int):
        super().__init__()
        check_counts("CRU", c=c)
        if c % 8:
            raise ConfigError(f"CRU takes channels in multiples of 8, received {c}; widen the network.")
        self.squeeze_up = nn.Conv2d(c // 2, c // 4, 1, bias=False)
        self.squeeze_low = nn.Conv2d(c // 2, c // 4, 1, bias=False)
        self.gwc = nn.Conv2d(c // 4, c, 3, padding=1, groups=2)
        self.pwc_up = nn.Conv2d(c // 4, c, 1, bias=False)
        self.pwc_low = nn.Conv2d(c // 4, c - c // 4, 1, bias=False)

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``Y1`` and ``Y2``, both (B, C, H, W)."""
        up, low = x.chunk(2, 1)
        up, low = self.squeeze_up(up), self.squeeze_low(low)
        return self.gwc(up) + self.pwc_up(up), torch.cat((self.pwc_low(low), low), 1)

    @staticmethod
    def betas(y1: torch.Tensor, y2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (B, C, 1, 1) of the two, which sum to 1 in every channel."""
        both = torch.stack([y.mean((2, 3), keepdim=True) for y in (y1, y2)]).softmax(0)
        return both[0], both[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same."""
        y1, y2 = self.parts(x)
        beta1, beta2 = self.betas(y1, y2)
        return beta1 * y1 + beta2 * y2


class SCConv(nn.Module):
    """SRU, then CRU.

    Args:
        c: Channels, a multiple of 16.
        gate: See :class:`SRU`.
        identity: Start as the identity, ``x + s (CRU(SRU(x)) - x)`` with ``s = 0`` for each channel, so that what
            pretrained weights around it compute is not disturbed; at ``s = 1`` it is the plain unit.
    """

    def __init__(self, c: int, gate: str = "soft", identity: bool = False):
        super().__init__()
        self.sru, self.cru = SRU(c, gate), CRU(c)
        self.scale = nn.Parameter(torch.zeros(c, 1, 1)) if identity else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same."""
        y = self.cru(self.sru(x))
        return y if self.scale is None else x + self.scale * (y - x)
