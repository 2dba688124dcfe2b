"""Box losses by name: what ``iou_loss=`` of a training and of a model YAML may say."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from ultralytics.utils.loss import RotatedBboxLoss
from ultralytics.utils.metrics import bbox_iou, probiou

from rsdet.errors import ConfigError, nearest
from rsdet.losses.running_mean import RunningMean
from rsdet.losses.wise_iou import iou_loss, wise_iou, wise_probiou

BOX_LOSSES = ("ciou", "diou", "giou", "iou", "nwd", "siou", "wiou-v1", "wiou-v2", "wiou-v3")
ROTATED_BOX_LOSSES = ("probiou", "wiou-v1", "wiou-v2", "wiou-v3")  # for oriented boxes
NWD_SCALE_PX = 12.8  # mean object size of AI-TOD, for which the measure was made


def check_box_loss(name: object, names: tuple[str, ...] = BOX_LOSSES) -> str:
    """The name itself, if it is one of ``names``: :data:`BOX_LOSSES` or :data:`ROTATED_BOX_LOSSES`.

    Raises:
        ConfigError: It is not.
    """
    if name not in names:
        boxes = " for oriented boxes" if names is ROTATED_BOX_LOSSES else ""
        raise ConfigError(f"iou_loss={name!r} must be one of {', '.join(names)}{boxes}.{nearest(str(name), names)}")
    return str(name)


def needs_mean(name: str | None) -> bool:
    """Whether a loss keeps a running mean."""
    return name in ("wiou-v2", "wiou-v3")


class BoxLoss:
    """A loss of pairs of boxes; FP32 whatever the boxes come in.

    Args:
        name: One of :attr:`names`.
        mean: Running mean of ``1 - IoU``, kept by the model; needed by Wise-IoU v2 and v3.

    Attributes:
        names: The losses that there are.

    Raises:
        ConfigError: Unknown name, or no running mean where one is needed.
    """

    names = BOX_LOSSES

    def __init__(self, name: str, mean: RunningMean | None = None):
        self.name, self.mean = check_box_loss(name, self.names), mean
        if needs_mean(name) and mean is None:
            raise ConfigError(f"iou_loss={name} needs a running mean; state it in the YAML of the model.")

    def __call__(self, pred_xyxy: torch.Tensor, target_xyxy: torch.Tensor) -> torch.Tensor:
        """Loss of each pair.

        Args:
            pred_xyxy: (N, 4) in pixels. Only ``nwd`` depends on the unit.
            target_xyxy: (N, 4) in pixels.

        Returns:
            (N,).
        """
        pred, target = pred_xyxy.float(), target_xyxy.float()
        if self.name.startswith("wiou"):
            return self._wise(wise_iou, pred, target)
        if self.name == "nwd":
            return nwd_loss(pred, target)
        if self.name == "siou":
            return siou_loss(pred, target)
        if self.name == "iou":
            return iou_loss(pred, target)
        kind = {"ciou": "CIoU", "diou": "DIoU", "giou": "GIoU"}[self.name]
        return 1 - bbox_iou(pred, target, xywh=False, **{kind: True}).squeeze(-1)

    def _wise(self, function: Callable[..., tuple], pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Wise-IoU by the mean so far, which the pairs are then added to."""
        mean = pred.new_ones(()) if self.mean is None else self.mean.mean
        loss, plain = function(pred, target, mean, int(self.name[-1]))
        if self.mean is not None and plain.requires_grad:  # not in validation
            self.mean.add(plain)
        return loss


class ProbIoULoss(BoxLoss):
    """A loss of pairs of oriented boxes: ``1 - ProbIoU``, alone or as Wise-IoU weights it.

    The arguments are those of :class:`BoxLoss`, with a name of :data:`ROTATED_BOX_LOSSES`; ``probiou`` is that of
    Ultralytics. See :func:`rsdet.losses.wise_iou.wise_probiou`.
    """

    names = ROTATED_BOX_LOSSES

    def __call__(self, pred_xywhr: torch.Tensor, target_xywhr: torch.Tensor) -> torch.Tensor:
        """Loss of each pair.

        Args:
            pred_xywhr: (N, 5) in units of the cell's stride, for which Ultralytics bounds the gradient, and radians.
            target_xywhr: (N, 5) likewise.

        Returns:
            (N,).
        """
        pred, target = pred_xywhr.float(), target_xywhr.float()
        if self.name == "probiou":
            return 1 - probiou(pred, target, floor=RotatedBboxLoss.floor).squeeze(-1)
        return self._wise(wise_probiou, pred, target)


def nwd_loss(pred_xyxy: torch.Tensor, target_xyxy: torch.Tensor, scale_px: float = NWD_SCALE_PX) -> torch.Tensor:
    """One minus the normalised Gaussian Wasserstein distance, a measure for tiny objects.

    Paper: Wang et al., "A Normalized Gaussian Wasserstein Distance for Tiny Object Detection", arXiv:2110.13389,
    equations 5 to 8: boxes as Gaussians with the centre as mean and half the sides as deviations.

    Args:
        pred_xyxy: (N, 4) in pixels.
        target_xyxy: (N, 4) in pixels.
        scale_px: The constant C of the paper.

    Returns:
        (N,) in [0, 1].
    """

    def gaussian(b: torch.Tensor) -> torch.Tensor:
        return torch.cat([(b[:, :2] + b[:, 2:]) / 2, (b[:, 2:] - b[:, :2]) / 2], 1)

    distance2 = (gaussian(pred_xyxy) - gaussian(target_xyxy)).square().sum(1)
    return 1 - torch.exp(-torch.sqrt(distance2 + 1e-12) / scale_px)  # the root has no gradient at zero


def siou_loss(
    pred_xyxy: torch.Tensor, target_xyxy: torch.Tensor, theta: float = 4.0, eps: float = 1e-7
) -> torch.Tensor:
    """SIoU: IoU with costs of angle, distance and shape.

    Paper: Gevorgyan, "SIoU Loss: More Powerful Learning for Bounding Box Regression", arXiv:2205.12740.

    Args:
        pred_xyxy: (N, 4) in any unit.
        target_xyxy: (N, 4) in the same unit.
        theta: Exponent of the shape cost, 2 to 6 in the paper, 4 as there.
        eps: Added to denominators.

    Returns:
        (N,), 0 or more.
    """
    offset = (target_xyxy[:, :2] + target_xyxy[:, 2:] - pred_xyxy[:, :2] - pred_xyxy[:, 2:]) / 2
    size, target_size = (b[:, 2:] - b[:, :2] for b in (pred_xyxy, target_xyxy))
    low, high = torch.minimum(pred_xyxy[:, :2], target_xyxy[:, :2]), torch.maximum(pred_xyxy[:, 2:], target_xyxy[:, 2:])
    sigma = torch.sqrt(offset.square().sum(1) + eps**2)
    sine = (offset[:, 1].abs() / sigma).clamp(max=1 - 1e-6)  # the arc sine has no gradient at one
    angle = 1 - 2 * torch.sin(torch.arcsin(sine) - math.pi / 4).square()
    rho = (offset / (high - low + eps)).square()
    distance = (1 - torch.exp(-(2 - angle)[:, None] * rho)).sum(1)
    omega = (size - target_size).abs() / (torch.maximum(size, target_size) + eps)
    shape = (1 - torch.exp(-omega)).pow(theta).sum(1)
    return iou_loss(pred_xyxy, target_xyxy) + (distance + shape) / 2
