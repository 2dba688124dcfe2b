"""Detection models: Ultralytics' two families, built through our registry.

Both classes are as thin as they can be. They exist so that the seam is in place while the rows are parsed, and so
that a checkpoint names a class that knows how to rebuild itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

import rsdet.nn  # noqa: F401  registers every layer
from rsdet.modelyaml import load_model_yaml
from rsdet.registry import building


def _resolved(cfg: str | Path | dict[str, Any]) -> dict[str, Any]:
    return cfg if isinstance(cfg, dict) else load_model_yaml(cfg)


class _Ours:
    """What both families share."""

    yaml: dict[str, Any]

    @property
    def family(self) -> str:
        """``"rtdetr"`` or ``"yolo"``, as the YAML says."""
        return self.yaml["family"]

    def fuse(self, verbose: bool = True, imgsz: int = 640) -> nn.Module:
        """Fold batch norms as Ultralytics does, and let our layers fold what they can."""
        for m in self.modules():
            if type(m).__module__.startswith("rsdet.nn") and hasattr(m, "fuse"):
                m.fuse()
        return super().fuse(verbose=verbose, imgsz=imgsz)


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


MODELS: dict[str, type[nn.Module]] = {"rtdetr": RTDETRModel, "yolo": YOLOModel}


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


def transfer(model: nn.Module, source: nn.Module | dict[str, torch.Tensor]) -> dict[str, list[str]]:
    """Copy every weight whose name and shape agree, and say what was taken and what was not.

    Args:
        model: Model that receives; changed in place.
        source: A model or a state dictionary.

    Returns:
        Names under ``taken``, ``shape`` (same name, other shape), ``missing`` (only in the model) and ``unused``
        (only in the source).
    """
    theirs = source if isinstance(source, dict) else source.float().state_dict()
    mine = model.state_dict()
    taken = {k: v for k, v in theirs.items() if k in mine and mine[k].shape == v.shape}
    model.load_state_dict(taken, strict=False)
    return {
        "taken": sorted(taken),
        "shape": sorted(k for k in theirs if k in mine and mine[k].shape != theirs[k].shape),
        "missing": sorted(k for k in mine if k not in theirs),
        "unused": sorted(k for k in theirs if k not in mine),
    }
