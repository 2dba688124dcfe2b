"""Wise-IoU: IoU losses whose gradient is weighted by how good a box is compared with the others.

Paper: Tong et al., "Wise-IoU: Bounding Box Regression Loss with Dynamic Focusing Mechanism", arXiv:2301.10051; used by
Tang et al., Remote Sensing 2024, section 2.4, equations 7 and 13 to 19. Equations 17 to 19 lack bars there; the forms
here are those of the first paper.
Different from it: the running mean moves after a step instead of before (see
:class:`~rsdet.losses.running_mean.RunningMean`), so all parts of a step are judged by the mean of those before it.
"""

from __future__ import annotations

import torch
from ultralytics.utils.loss import RotatedBboxLoss
from ultralytics.utils.metrics import probiou

ALPHA, DELTA, GAMMA = 1.9, 3.0, 0.5  # of the first paper; Tang et al. state none


def iou_loss(pred_xyxy: torch.Tensor, target_xyxy: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    """``1 - IoU`` of pairs of boxes, equation 7.

    Args:
        pred_xyxy: (N, 4) in any unit.
        target_xyxy: (N, 4) in the same unit.
        eps: Added to the area of the union.

    Returns:
        (N,) in [0, 1].
    """
    low, high = torch.maximum(pred_xyxy[:, :2], target_xyxy[:, :2]), torch.minimum(pred_xyxy[:, 2:], target_xyxy[:, 2:])
    inter = (high - low).clamp(min=0).prod(1)
    area, target_area = ((b[:, 2:] - b[:, :2]).prod(1) for b in (pred_xyxy, target_xyxy))
    return 1 - inter / (area + target_area - inter + eps)


def distance_attention(pred_xyxy: torch.Tensor, target_xyxy: torch.Tensor, eps: float = 1e-7) -> torch.Tensor:
    """The factor R_WIoU of equation 14: ``exp`` of the squared distance of the centres over that of the enclosing box.

    The size of the enclosing box is held constant for the gradient, or growing it would lower the loss.

    Args:
        pred_xyxy: (N, 4) in any unit.
        target_xyxy: (N, 4) in the same unit.
        eps: Added to the squared diagonal.

    Returns:
        (N,) in [1, e).
    """
    offset = (pred_xyxy[:, :2] + pred_xyxy[:, 2:] - target_xyxy[:, :2] - target_xyxy[:, 2:]) / 2
    low, high = torch.minimum(pred_xyxy[:, :2], target_xyxy[:, :2]), torch.maximum(pred_xyxy[:, 2:], target_xyxy[:, 2:])
    diagonal2 = (high - low).square().sum(1).detach()
    return torch.exp(offset.square().sum(1) / (diagonal2 + eps))


def focus(loss: torch.Tensor, mean: torch.Tensor, version: int) -> torch.Tensor:
    """Gradient gain r of equations 15 to 19; it carries no gradient itself.

    Args:
        loss: ``1 - IoU`` of the pairs, (N,).
        mean: Running mean of it, ().
        version: 1 (r = 1), 2 (monotonic: beta ** gamma) or 3 (rises and falls: beta / (delta * alpha ** (beta - delta))
            with the outlier degree beta = loss / mean).

    Returns:
        (N,), 0 or more. Version 3 is largest, about 1.31, at beta = 1 / ln(alpha), and 1 at beta = delta.
    """
    if version == 1:
        return torch.ones_like(loss)
    beta = loss.detach() / mean.detach().clamp(min=1e-6)
    if version == 2:
        return beta**GAMMA
    return beta / (DELTA * ALPHA ** (beta - DELTA))


def wise_iou(
    pred_xyxy: torch.Tensor, target_xyxy: torch.Tensor, mean: torch.Tensor, version: int = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    """Wise-IoU of pairs of boxes.

    Args:
        pred_xyxy: (N, 4) in any unit.
        target_xyxy: (N, 4) in the same unit.
        mean: Running mean of ``1 - IoU`` over the training so far, ().
        version: 1 (equation 13), 2 (equation 17) or 3 (equation 19).

    Returns:
        The loss (N,), and ``1 - IoU`` (N,), which the caller adds to the running mean.
    """
    loss = iou_loss(pred_xyxy, target_xyxy)
    return focus(loss, mean, version) * distance_attention(pred_xyxy, target_xyxy) * loss, loss


def wise_probiou(
    pred_xywhr: torch.Tensor, target_xywhr: torch.Tensor, mean: torch.Tensor, version: int = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    """Wise-IoU's weights on the probabilistic IoU of oriented boxes: ours, no paper has it.

    ``1 - ProbIoU`` (Murrugarra-Llerena et al., arXiv:2106.06072, as Ultralytics computes it) stands where Wise-IoU has
    ``1 - IoU``: it is what the gradient gain judges, what is weighted, and what the running mean is of. The distance
    attention is that of the upright boxes around the oriented ones.

    Args:
        pred_xywhr: (N, 5) in units of the cell's stride, for which Ultralytics bounds the gradient, and radians.
        target_xywhr: (N, 5) likewise.
        mean: Running mean of ``1 - ProbIoU`` over the training so far, ().
        version: 1 (no gain), 2 or 3, as in :func:`focus`.

    Returns:
        The loss (N,), and ``1 - ProbIoU`` (N,), which the caller adds to the running mean.
    """
    loss = 1 - probiou(pred_xywhr, target_xywhr, floor=RotatedBboxLoss.floor).squeeze(-1)
    return focus(loss, mean, version) * distance_attention(_upright(pred_xywhr), _upright(target_xywhr)) * loss, loss


def _upright(boxes_xywhr: torch.Tensor) -> torch.Tensor:
    """(N, 4) xyxy around oriented boxes (N, 5)."""
    (centre, size), angle = boxes_xywhr[:, :4].split(2, 1), boxes_xywhr[:, 4:]
    half = (size * angle.cos().abs() + size.flip(1) * angle.sin().abs()) / 2
    return torch.cat([centre - half, centre + half], 1)
