"""Ultralytics' criteria with a box loss of ours in the place of theirs; assigners and all other terms stay.

No criterion here has a method of its own called ``update``: the trainer calls that of Ultralytics' end-to-end criterion
once per epoch, without arguments. What must outlive a criterion, which checkpoints drop, is on the head.
"""

from __future__ import annotations

from typing import Any

import torch
from ultralytics.models.utils.loss import RTDETRDetectionLoss
from ultralytics.utils.loss import BboxLoss, E2ELoss, RotatedBboxLoss, v8OBBLoss
from ultralytics.utils.ops import xywh2xyxy

from rsdet.losses.boxes import BoxLoss


class _NamedLoss:
    """Mixed in before a box term of Ultralytics: a loss by name in its place; DFL (or L1) is inherited.

    Args:
        box_loss: The loss of pairs.
        reg_max: Bins of the box distribution per side.
    """

    def __init__(self, box_loss: BoxLoss, reg_max: int = 16):
        super().__init__(reg_max)
        self.box_loss = box_loss

    def forward(
        self,
        pred_dist: torch.Tensor,
        pred_bboxes: torch.Tensor,
        anchor_points: torch.Tensor,
        target_bboxes: torch.Tensor,
        target_scores: torch.Tensor,
        target_scores_sum: torch.Tensor,
        fg_mask: torch.Tensor,
        imgsz: torch.Tensor,
        stride: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both terms, as Ultralytics' method; boxes come in units of their level's stride."""
        dfl = super().forward(
            pred_dist, pred_bboxes.detach(), anchor_points, target_bboxes, target_scores, target_scores_sum, fg_mask,
            imgsz, stride,
        )[1]  # fmt: skip
        unit = self.unit(fg_mask, stride)
        loss = self.box_loss(pred_bboxes[fg_mask] * unit, target_bboxes[fg_mask] * unit)
        return (loss * target_scores[fg_mask].sum(-1)).sum() / target_scores_sum, dfl

    def unit(self, fg_mask: torch.Tensor, stride: torch.Tensor) -> Any:
        """What the boxes of the chosen cells are multiplied by before the loss."""
        raise NotImplementedError


class YOLOBoxLoss(_NamedLoss, BboxLoss):
    """Box term of the YOLO family with a loss by name, in pixels."""

    def unit(self, fg_mask: torch.Tensor, stride: torch.Tensor) -> torch.Tensor:
        """The stride of their level."""
        return stride[fg_mask.nonzero(as_tuple=True)[1]]


class RotatedBoxLoss(_NamedLoss, RotatedBboxLoss):
    """Box term of YOLO models with oriented boxes with a loss by name; xywhr stay in units of their level's stride."""

    def unit(self, fg_mask: torch.Tensor, stride: torch.Tensor) -> float:
        """One: an angle has no unit of length."""
        return 1.0


def with_box_loss(criterion: Any, box_loss: BoxLoss | None) -> Any:
    """Put another box loss into Ultralytics' criterion of a YOLO model: of boxes, oriented boxes or masks.

    Args:
        criterion: What ``init_criterion`` of Ultralytics' model gives, end-to-end or not; it is changed.
        box_loss: The loss of pairs, for oriented boxes a :class:`ProbIoULoss`; both branches of an end-to-end head
            share it. None leaves Ultralytics' own.

    Returns:
        The criterion.
    """
    if box_loss is not None:
        for branch in (criterion.one2many, criterion.one2one) if isinstance(criterion, E2ELoss) else (criterion,):
            term = RotatedBoxLoss if isinstance(branch, v8OBBLoss) else YOLOBoxLoss
            branch.bbox_loss = term(box_loss, branch.reg_max).to(branch.device)
    return criterion


class RTDETRBoxCriterion(RTDETRDetectionLoss):
    """RT-DETR's criterion with a loss by name in the place of GIoU, for all layers and the denoising queries.

    Args:
        box_loss: The loss of pairs.
        **kwargs: Arguments of Ultralytics' class.

    Attributes:
        size_hw: Height and width in pixels of the images that the next loss is for; boxes come relative to them.
    """

    def __init__(self, box_loss: BoxLoss, **kwargs: Any):
        super().__init__(**kwargs)
        self.box_loss, self.size_hw = box_loss, (1, 1)

    def _get_loss_bbox(
        self, pred_bboxes: torch.Tensor, gt_bboxes: torch.Tensor, postfix: str = ""
    ) -> dict[str, torch.Tensor]:
        terms = super()._get_loss_bbox(pred_bboxes, gt_bboxes, postfix)
        if len(gt_bboxes):
            h, w = self.size_hw
            size = pred_bboxes.new_tensor([w, h, w, h])
            pairs = self.box_loss(xywh2xyxy(pred_bboxes) * size, xywh2xyxy(gt_bboxes) * size)
            terms[f"loss_giou{postfix}"] = self.loss_gain["giou"] * pairs.sum() / len(gt_bboxes)
        return terms
