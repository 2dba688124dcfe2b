"""SSCDH: a detection head that reads classes from coarse, semantic features and boxes from fine, multi-level ones.

Paper: Tang et al., "An Enhanced Shuffle Attention with Context Decoupling Head with Wise IoU Loss for SAR Ship
Detection", Remote Sensing 2024, section 2.3, after TSCODE (Zhuang et al., CVPR 2023, arXiv:2303.01047).
Different from the paper: anchor-free, as all heads of Ultralytics are, so there is no objectness; the convolutions that
it calls shared are one per level, since the levels of a YOLO neck differ in width, and 1x1 convolutions align the
widths in equation 6. Equation 5 as printed is no bijection; the order of the four scores of a cell is that of
``pixel_shuffle`` here, which needs no transposition in an exported graph.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import Conv, Detect

from rsdet.registry import Row, register, scaled


def crop_like(x: torch.Tensor, like: torch.Tensor, always: bool = False) -> torch.Tensor:
    """Cut a map of twice a level's size to the finer level's own, which is one smaller where that is odd.

    Args:
        x: (B, C, H', W') with H' >= H and W' >= W.
        like: (B, C', H, W).
        always: Also slice where the sizes agree, for a graph traced at one size and run at another.
    """
    if not always and x.shape[2:] == like.shape[2:]:
        return x
    return x[:, :, : like.shape[2], : like.shape[3]]


def _twice(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class SCE(nn.Module):
    """Semantic context encoding, equation 4: the level halved, beside the next coarser one.

    Args:
        c: Channels of the level.

    Shapes:
        (B, c, H, W) and (B, c', H/2, W/2) to (B, c + c', H/2, W/2), sizes rounded up.
    """

    def __init__(self, c: int):
        super().__init__()
        self.down = Conv(c, c, 3, 2)

    def forward(self, level: torch.Tensor, coarser: torch.Tensor) -> torch.Tensor:
        """Join a level and the next coarser one."""
        return torch.cat([self.down(level), coarser], 1)


class DPE(nn.Module):
    """Detail preserving encoding, equation 6: the level, the coarser one enlarged, and edges of the finer one.

    Args:
        finer: Channels of the next finer level.
        c: Channels of the level.
        coarser: Channels of the next coarser level.

    Shapes:
        (B, finer, 2H, 2W), (B, c, H, W) and (B, coarser, H/2, W/2) to (B, c, H, W).
    """

    dynamic = False  # the exporter sets it for graphs of free size

    def __init__(self, finer: int, c: int, coarser: int):
        super().__init__()
        self.align_finer, self.align_coarser, self.down = Conv(finer, c, 1), Conv(coarser, c, 1), Conv(c, c, 3, 2)

    def forward(self, finer: torch.Tensor, level: torch.Tensor, coarser: torch.Tensor) -> torch.Tensor:
        """Gather three levels into the middle one."""
        enlarged = crop_like(_twice(self.align_coarser(coarser)), level, self.dynamic)
        edges = self.align_finer(finer) + crop_like(_twice(level), finer, self.dynamic)
        return level + enlarged + self.down(edges)


def _sscdh_row(row: Row) -> tuple[list[Any], int]:
    nc, c_cls = (*row.args, 512)[:2]
    return [nc, scaled(c_cls, row), row.options.get("reg_max", 16), bool(row.options.get("end2end")), row.ch], row.ch[0]


@register("SSCDetect", channels=_sscdh_row)
class SSCDetect(Detect):
    """The SAR ship context-decoupled head (SSCDH) on Ultralytics' decoder, assigner, losses, NMS and exporters.

    A level of n inputs is read with its finer and its coarser neighbour, so n + 2 maps give n levels of boxes. For
    each level, :class:`SCE` and two 3x3 convolutions give four scores per class and cell of half the size, which are
    spread over the cells of the level (equation 5); :class:`DPE` and Ultralytics' own box tower give the boxes. Sizes
    need not be divisible by twice the largest stride: what is enlarged is cropped to its partner.

    In a YAML the row is ``[[P2, P3, P4, P5, P6], 1, SSCDetect, [nc, 512]]``; with ``end2end: True`` every part exists
    twice and inference needs no NMS.

    Args:
        nc: Classes.
        c_cls: Width of the class towers.
        reg_max: Bins of the box distribution per side.
        end2end: Add the one-to-one branch.
        ch: Channels of the maps, finest first; three at least.

    Shapes:
        Maps of strides s/2, s, 2s, ...; output as :class:`ultralytics.nn.modules.Detect` for the inner maps.

    Raises:
        ValueError: Fewer than three maps.
    """

    def __init__(
        self, nc: int = 1, c_cls: int = 128, reg_max: int = 16, end2end: bool = False, ch: list[int] | tuple = ()
    ):
        if len(ch) < 3:
            raise ValueError(f"SSCDetect takes a finer level, one or more levels and a coarser one, got {len(ch)} maps")
        super().__init__(nc, reg_max, False, tuple(ch[1:-1]))
        levels = range(1, len(ch) - 1)
        self.sce = nn.ModuleList(SCE(ch[i]) for i in levels)
        self.dpe = nn.ModuleList(DPE(ch[i - 1], ch[i], ch[i + 1]) for i in levels)
        # Row c * 4 + 2i + j of the last convolution is the score of class c at row parity i and column parity j.
        self.cv3 = nn.ModuleList(
            nn.Sequential(Conv(ch[i] + ch[i + 1], c_cls, 3), Conv(c_cls, c_cls, 3), nn.Conv2d(c_cls, 4 * nc, 1))
            for i in levels
        )
        if end2end:
            for name in ("cv2", "cv3", "sce", "dpe"):  # Ultralytics' fuse() knows the prefix and keeps one of the two
                setattr(self, f"one2one_{name}", copy.deepcopy(getattr(self, name)))

    @property
    def one2many(self) -> dict[str, nn.Module]:
        """The parts trained with several positives per object."""
        return {**super().one2many, "sce": self.sce, "dpe": self.dpe}

    @property
    def one2one(self) -> dict[str, nn.Module]:
        """The parts trained with one positive per object."""
        return {**super().one2one, "sce": self.one2one_sce, "dpe": self.one2one_dpe}

    def forward_head(
        self,
        x: list[torch.Tensor],
        box_head: nn.Module | None = None,
        cls_head: nn.Module | None = None,
        sce: nn.Module | None = None,
        dpe: nn.Module | None = None,
    ) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """Box distributions (B, 4 reg_max, A) and class logits (B, nc, A) of all A cells, and the inner maps."""
        if box_head is None or cls_head is None:  # the branch was removed by fusion
            return {}
        boxes, scores, always = [], [], self.dynamic and self.export
        for i in range(self.nl):
            finer, level, coarser = x[i : i + 3]
            boxes.append(box_head[i](dpe[i](finer, level, coarser)).flatten(2))
            scores.append(crop_like(F.pixel_shuffle(cls_head[i](sce[i](level, coarser)), 2), level, always).flatten(2))
        return {"boxes": torch.cat(boxes, 2), "scores": torch.cat(scores, 2), "feats": x[1:-1]}

    def bias_init(self) -> None:
        """Start the biases as Ultralytics does; there are four class rows where it has one."""
        super().bias_init()
        branches = [self.cv3, *([self.one2one_cv3] if getattr(self, "one2one_cv3", None) is not None else [])]
        for towers in branches:
            for tower, stride in zip(towers, self.stride, strict=True):
                tower[-1].bias.data[:] = math.log(5 / self.nc / (640 / float(stride)) ** 2)
