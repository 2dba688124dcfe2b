"""Detection models: Ultralytics' two families, built through our registry.

Both classes are as thin as they can be. They exist so that the seam is in place while the rows are parsed, and so
that a checkpoint names a class that knows how to rebuild itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from ultralytics.nn.modules import Detect, RTDETRDecoder
from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

import rsdet.nn  # noqa: F401  registers every layer
from rsdet.enhance.joint import build_joint
from rsdet.errors import ConfigError
from rsdet.losses.boxes import BoxLoss, check_box_loss, needs_mean
from rsdet.losses.criteria import RTDETRBoxCriterion, with_box_loss
from rsdet.losses.running_mean import RunningMean
from rsdet.modelyaml import load_model_yaml
from rsdet.nn.context_head import SSCDetect
from rsdet.nn.folding import fold_rows
from rsdet.registry import building
from rsdet.tasks.training import transfer

__all__ = ["MODELS", "RTDETRModel", "YOLOModel", "build", "check_head", "transfer"]


def _resolved(cfg: str | Path | dict[str, Any]) -> dict[str, Any]:
    return cfg if isinstance(cfg, dict) else load_model_yaml(cfg)


class _Ours:
    """What both families share.

    Attributes:
        box_loss: Losses of pairs of boxes that it can be trained with.
    """

    box_loss: ClassVar[type[BoxLoss]] = BoxLoss
    yaml: dict[str, Any]
    model: nn.Sequential

    @property
    def family(self) -> str:
        """``"rtdetr"`` or ``"yolo"``, as the YAML says."""
        return self.yaml["family"]

    @property
    def iou_mean(self) -> RunningMean | None:
        """Running mean of ``1 - IoU`` that Wise-IoU v2 and v3 keep, on the head; ``None`` for other losses."""
        return getattr(self.model[-1], "iou_mean", None)

    def _prepare_enhancer(self) -> None:
        """Build the networks that work before the detector, where the YAML names some."""
        if self.yaml.get("enhance") is not None:
            self.enhancer = build_joint(self.yaml["enhance"])

    def predict(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Detect, in what the networks before the detector make of the pictures where it has some."""
        enhancer = getattr(self, "enhancer", None)
        return super().predict(x if enhancer is None else enhancer(x), *args, **kwargs)

    def _prepare_box_loss(self) -> None:
        """Give the head what the loss named in the YAML must remember."""
        name = self.yaml.get("iou_loss")
        if name is not None and needs_mean(check_box_loss(name, self.box_loss.names)):
            self.model[-1].iou_mean = RunningMean()

    def _box_loss(self) -> BoxLoss | None:
        """The loss named in the YAML; ``None`` for Ultralytics' own."""
        name = self.yaml.get("iou_loss")
        return None if name is None else self.box_loss(name, self.iou_mean)

    def fuse(self, verbose: bool = True, imgsz: int = 640) -> nn.Module:
        """Fold batch norms as Ultralytics does, and let our layers fold what they can."""
        for m in self.modules():
            if type(m).__module__.startswith("rsdet.nn") and hasattr(m, "fuse"):
                m.fuse()
        super().fuse(verbose=verbose, imgsz=imgsz)
        fold_rows(self.model)
        return self


class RTDETRModel(_Ours, RTDETRDetectionModel):
    """A detector of the RT-DETR family: NMS-free, (B, 3, H, W) images to (B, queries, 6) boxes.

    Args:
        cfg: Name, path or resolved dictionary of a model YAML.
        ch: Channels of the image.
        nc: Number of classes; the YAML's where not given.
        verbose: Print the layer table.
    """

    def __init__(
        self,
        cfg: str | Path | dict[str, Any] = "vmc-detr.yaml",
        ch: int = 3,
        nc: int | None = None,
        verbose: bool = False,
    ):
        with building():
            super().__init__(_resolved(cfg), ch=ch, nc=nc, verbose=verbose)
        self.nc = self.yaml["nc"]  # the loss needs it; Ultralytics sets it only in the trainer
        self._prepare_enhancer()
        self._prepare_box_loss()

    def init_criterion(self) -> Any:
        """Ultralytics' criterion, with the box loss that the YAML names in the place of GIoU."""
        loss = self._box_loss()
        return super().init_criterion() if loss is None else RTDETRBoxCriterion(loss, nc=self.nc, use_vfl=True)

    def loss(self, batch: dict[str, Any], preds: Any = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a batch; the criterion is told the size of the images, which the relative boxes lack."""
        if getattr(self, "criterion", None) is None:
            self.criterion = self.init_criterion()
        self.criterion.size_hw = tuple(batch["img"].shape[2:])
        return super().loss(batch, preds)

    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        # The decoder keeps its anchors between calls and converts them with the weights. A checkpoint is stored in
        # half precision, so they would come back rounded, and boxes would be off by hundredths of a pixel for good.
        super()._apply(fn)
        self.model[-1].shapes = []
        return self

    @property
    def num_queries(self) -> int:
        """Largest number of objects that one image can yield."""
        return int(self.model[-1].num_queries)


class YOLOModel(_Ours, DetectionModel):
    """A detector of the YOLO family; the arguments are those of :class:`RTDETRModel`."""

    def __init__(
        self,
        cfg: str | Path | dict[str, Any] = "yolo11n.yaml",
        ch: int = 3,
        nc: int | None = None,
        verbose: bool = False,
    ):
        with building():
            super().__init__(_resolved(cfg), ch=ch, nc=nc, verbose=verbose)
        self._prepare_enhancer()
        self._prepare_box_loss()

    def init_criterion(self) -> Any:
        """Ultralytics' criterion, with the box loss that the YAML names in the place of CIoU."""
        return with_box_loss(super().init_criterion(), self._box_loss())

    def load(self, weights: Any, verbose: bool = True) -> None:
        """Take over weights; between heads of different kinds only what has the same name and shape.

        Ultralytics rebuilds the class towers of a head at the width of the source, and would put those of a plain head
        into a context head.
        """
        source = (weights.get("ema") or weights["model"]) if isinstance(weights, dict) else weights
        theirs = getattr(source, "model", [None])[-1]
        if isinstance(self.model[-1], SSCDetect) == isinstance(theirs, SSCDetect):
            super().load(weights, verbose)
        else:
            transfer(self, source)

    def _remap_cls_by_names(self, csd: dict[str, torch.Tensor], src_model: nn.Module, verbose: bool = True) -> int:
        """Class rows by name, as Ultralytics does; a context head has four rows per class, which it cannot see."""
        done = super()._remap_cls_by_names(csd, src_model, verbose)
        known, wanted = getattr(src_model, "names", None), getattr(self, "names", None)
        if not (isinstance(self.model[-1], SSCDetect) and isinstance(known, dict) and isinstance(wanted, dict)):
            return done
        rows = {str(v).strip().lower(): k for k, v in known.items()}
        pairs = [(i, rows[n]) for i, v in wanted.items() if (n := str(v).strip().lower()) in rows]
        placeholder = any(all(str(k) == str(v) for k, v in n.items()) for n in (known, wanted))
        if placeholder or not pairs or (len(known) == len(wanted) and all(i == j for i, j in pairs)):
            return done
        mine = self.state_dict()
        last = len(self.model) - 1
        for key in [
            k for k in csd if k in mine and re.fullmatch(rf"model\.{last}\.(one2one_)?cv3\.\d+\.2\.(weight|bias)", k)
        ]:
            theirs, ours = csd[key], mine[key]
            if theirs.shape[1:] == ours.shape[1:]:
                csd.pop(key)
                for i, j in pairs:
                    ours[4 * i : 4 * i + 4] = theirs[4 * j : 4 * j + 4].to(ours.dtype)
                done += 1
        return done


MODELS: dict[str, type[nn.Module]] = {"rtdetr": RTDETRModel, "yolo": YOLOModel}


def check_head(model: nn.Module, family: str, name: str) -> None:
    """Make sure that a network of a family ends in a head of that family.

    Raises:
        ConfigError: It does not.
    """
    head = model.model[-1] if hasattr(model, "model") else None
    wrong = {"rtdetr": Detect, "yolo": RTDETRDecoder}.get(family)
    if wrong is not None and (isinstance(head, wrong) or not hasattr(head, "nc")):
        ends = {"rtdetr": "RTDETRDecoder", "yolo": "Detect"}[family]
        raise ConfigError(
            f"{name}: the last row is {type(head).__name__}; family {family} must end in {ends} or alike."
        )


def build(cfg: str | Path | dict[str, Any], ch: int = 3, nc: int | None = None, verbose: bool = False) -> nn.Module:
    """Build the model of the family that the YAML states.

    Args:
        cfg: Name, path or resolved dictionary of a model YAML.
        ch: Channels of the image.
        nc: Number of classes; the YAML's where not given.
        verbose: Print the layer table.
    """
    cfg = _resolved(cfg)
    return MODELS[cfg["family"]](cfg, ch=ch, nc=nc, verbose=verbose)
