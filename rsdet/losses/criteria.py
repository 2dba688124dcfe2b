"""Ultralytics' criteria with a box loss of ours in the place of theirs; assigners and all other terms stay.

No criterion here has a method of its own called ``update``: the trainer calls that of Ultralytics' end-to-end criterion
once per epoch, without arguments. What must outlive a criterion, which checkpoints drop, is on the head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from ultralytics.models.utils.loss import RTDETRDetectionLoss
from ultralytics.utils.loss import BboxLoss, E2ELoss, v8DetectionLoss
from ultralytics.utils.ops import xywh2xyxy

from rsdet.losses.boxes import BoxLoss


class YOLOBoxLoss(BboxLoss):
    """Box term of the YOLO family with a loss by name; DFL (or L1) is inherited.

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
        image, cell = fg_mask.nonzero(as_tuple=True)
        scale = stride[cell]
        loss = self.box_loss(pred_bboxes[image, cell] * scale, target_bboxes[image, cell] * scale)
        return (loss * target_scores[image, cell].sum(-1)).sum() / target_scores_sum, dfl


def yolo_criterion(model: nn.Module, box_loss: BoxLoss) -> Any:
    """Ultralytics' criterion for a YOLO model, end-to-end or not, with another box loss.

    Args:
        model: A detection model, not wrapped for multi-GPU training.
        box_loss: The loss of pairs; both branches of an end-to-end head share it.
    """

    def criterion(model: nn.Module, **kwargs: Any) -> v8DetectionLoss:
        made = v8DetectionLoss(model, **kwargs)
        made.bbox_loss = YOLOBoxLoss(box_loss, made.reg_max).to(made.device)
        return made

    two_branches = getattr(model.model[-1], "one2one_cv2", None) is not None
    return E2ELoss(model, criterion) if two_branches else criterion(model)


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
