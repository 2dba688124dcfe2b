"""MFADM, the neck block of VMC-DETR (section 3.3): gather three levels at P4, spread them with large kernels.

Stage 1 brings P5 (upsampled, 1x1 convolution), P4 (1x1 convolution) and P3 (halved) to the size of P4 with ``h``
channels each and concatenates them to X. Stage 2 is the multi-kernel depthwise block of PKINet::

    F = X + Conv1x1( X + sum_{k in {5, 7, 9, 11}} X * DW_k )    (4)

``DW_k`` is a depthwise convolution with bias, without normalisation or activation; ``Conv1x1`` has both. A last 1x1
convolution gives ``c_out`` channels. It is not in the paper, but without it the model would cost 86 instead of the
70 GFLOPs that the paper states.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import Conv

from rsdet.errors import ConfigError
from rsdet.nn.downsample import make_downsampler
from rsdet.registry import Row, register, scaled

__all__ = ["MFADM"]


def _rule(row: Row) -> tuple[list, int]:
    c2 = scaled(row.args[0], row)
    return [row.ch, c2, *row.args[1:]], c2


@register("MFADM", channels=_rule)
class MFADM(nn.Module):
    """Multi-level feature aggregation and distribution (VMC-DETR, equation 4).

    In a YAML: ``[[P5, P4, P3], 1, MFADM, [c_out, kernels, e, down]]``, all but ``c_out`` optional.

    Args:
        ch: Channels of P5, P4 and P3, in this order.
        c_out: Output channels.
        kernels: Odd sizes of the parallel depthwise kernels.
        e: Width of each branch relative to the channels of P4.
        down: How P3 is halved (table 9): ``"ADown"``, ``"conv"``, ``"avgpool"`` or ``"interp"``.

    Raises:
        ConfigError: Not three inputs, or kernel sizes that are not odd.
    """

    def __init__(
        self,
        ch: Sequence[int],
        c_out: int,
        kernels: Sequence[int] = (5, 7, 9, 11),
        e: float = 0.5,
        down: str = "ADown",
    ):
        super().__init__()
        if len(ch) != 3:
            raise ConfigError(f"MFADM received {len(ch)} inputs; must be three, [P5, P4, P3]; mend its `from` column.")
        if not kernels or any(k < 1 or k % 2 == 0 for k in kernels):
            raise ConfigError(
                f"MFADM received kernels {list(kernels)}; must be odd sizes; use for example [5, 7, 9, 11]."
            )
        c5, c4, c3 = ch
        h = int(c4 * e)
        self.kernels = tuple(kernels)
        self.cv5 = Conv(c5, h, 1)
        self.cv4 = Conv(c4, h, 1)
        self.down3 = make_downsampler(down, c3, h)
        self.dw = nn.ModuleList(nn.Conv2d(3 * h, 3 * h, k, padding=k // 2, groups=3 * h) for k in self.kernels)
        self.pw = Conv(3 * h, 3 * h, 1)
        self.project = Conv(3 * h, c_out, 1)

    def forward(self, x: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map [P5, P4, P3] to one map (B, c_out, H4, W4).

        P5 and P3 usually are half and twice the size of P4. Where they are not quite, because the image is not a
        multiple of 32, they are brought to exactly H4 x W4 by nearest-neighbour resizing.
        """
        p5, p4, p3 = x
        # A pointwise layer commutes with nearest upsampling; before it, it has a quarter of the work. The training form
        # keeps the order of the paper, and with it the statistics that BatchNorm sees.
        p5 = _resize(self.cv5(p5), p4) if self.fused else self.cv5(_resize(p5, p4))
        x = torch.cat((p5, self.cv4(p4), _resize(self.down3(p3), p4)), 1)
        return self.project(x + self.pw(self.distribute(x)))

    def distribute(self, x: torch.Tensor) -> torch.Tensor:
        """``X + sum_k X * DW_k`` of equation (4), on (B, 3h, H4, W4)."""
        if self.fused:
            return self.dw(x)
        if not self.training:
            return x + sum(dw(x) for dw in self.dw)
        # Convolution is linear in its kernel, so the padded kernels may be added first. One convolution of the largest
        # size has less than half the work of all of them, forward and above all backward; gradients are the same.
        size = max(self.kernels)
        weight = sum(F.pad(dw.weight, [(size - k) // 2] * 4) for k, dw in zip(self.kernels, self.dw, strict=True))
        bias = sum(dw.bias for dw in self.dw)
        return x + F.conv2d(x, weight, bias, padding=size // 2, groups=x.shape[1])

    @property
    def fused(self) -> bool:
        """Whether :meth:`fuse` was called."""
        return isinstance(self.dw, nn.Conv2d)

    def fuse(self) -> MFADM:
        """Merge the depthwise kernels and the identity into one convolution of the largest size, for inference.

        All are linear, so smaller kernels are padded with zeros and added. The result is the same up to rounding. Call
        it on a copy for deployment: a fused block is not meant to be trained and has another state dict.
        """
        if self.fused:
            return self
        size, c = max(self.kernels), self.pw.conv.in_channels
        like = self.dw[0].weight
        merged = nn.Conv2d(c, c, size, padding=size // 2, groups=c).to(like.device, torch.float64).requires_grad_(False)
        weight = torch.zeros(merged.weight.shape, dtype=torch.float64, device=like.device)
        weight[:, :, size // 2, size // 2] = 1
        for k, dw in zip(self.kernels, self.dw, strict=True):
            weight += F.pad(dw.weight.detach().double(), [(size - k) // 2] * 4)
        bias = torch.stack([dw.bias.detach().double() for dw in self.dw]).sum(0)
        merged.weight.copy_(weight)
        merged.bias.copy_(bias)
        self.dw = merged.to(like.dtype).train(self.training)
        return self


def _resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Nearest-neighbour resizing of (B, C, h, w) to the height and width of ``like``."""
    (h, w), (to_h, to_w) = x.shape[-2:], like.shape[-2:]
    if (h, w) == (to_h, to_w):
        return x
    if (2 * h, 2 * w) == (to_h, to_w):  # as a factor, so that a graph traced here stays valid for other sizes
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    return F.interpolate(x, size=(int(to_h), int(to_w)), mode="nearest")
