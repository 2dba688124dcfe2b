"""Semantic networks in the form that Ultralytics trains, stores and exports: rows of a YAML, or a class of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import SemanticSegment
from ultralytics.nn.tasks import BaseModel, SemanticSegmentationModel
from ultralytics.utils import LOGGER

import rsdet.nn  # noqa: F401  makes every layer and network known by name
from rsdet.modelyaml import load_model_yaml
from rsdet.nn.networks import build_network
from rsdet.nn.segmentation import SegmentationNetwork
from rsdet.registry import building
from rsdet.tasks.network_model import OneNetwork

HEAD_STRIDE = 8  # of the logits of Ultralytics' head


class LogitSegment(SemanticSegment):
    """Ultralytics' head that gives logits of the input's size to whoever asks, exported files among them.

    Its own gives an eighth of that, or a map of classes without probabilities in some formats.
    """

    def forward(self, x: list[torch.Tensor]) -> Any:
        """Logits (B, nc, H, W); in training those of an eighth of the size, with those of the auxiliary head."""
        if self.training:
            return super().forward(x)
        return F.interpolate(self.classifier(x[0]), scale_factor=float(HEAD_STRIDE), mode="bilinear")


def with_logits(model: nn.Module) -> nn.Module:
    """Give a network with Ultralytics' head ours, which has the same weights; any other is left as it is."""
    head = model.model[-1] if isinstance(model, BaseModel) else None
    if type(head) is SemanticSegment:
        head.__class__ = LogitSegment
    return model


class Learning:
    """What both families learn by beside Ultralytics' criterion.

    Attributes:
        method: Gives the loss of a batch of a semi-supervised training; the trainer sets it.
        method_parts: Names of the terms of that loss, which the networks that are validated know, too.
    """

    method: Callable[[nn.Module, dict[str, Any]], tuple[torch.Tensor, dict[str, torch.Tensor]]] | None = None
    method_parts: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and stored: all but the method, which belongs to the trainer."""
        return {k: v for k, v in vars(self).items() if k != "method"}

    def loss(self, batch: dict[str, Any], preds: Any = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a batch and its terms; in a validation, of the labels alone."""
        if self.method is not None and preds is None:
            return self.method(self, batch)
        total, parts = super().loss(batch, preds)
        if not self.method_parts:
            return total, parts
        return total, dict.fromkeys(self.method_parts, torch.zeros_like(parts["ce_loss"])) | {
            self.method_parts[0]: parts["ce_loss"]
        }


class SemanticModel(Learning, SemanticSegmentationModel):
    """A network of rows: (B, C, H, W) in [0, 1] to logits (B, nc, H, W).

    Args:
        cfg: Name, path or resolved dictionary of a model YAML.
        ch: Channels of the image.
        nc: Number of classes; the YAML's where not given.
        verbose: Print the layer table.
    """

    family = "yolo"

    def __init__(
        self,
        cfg: str | Path | dict[str, Any] = "yolo26-sem.yaml",
        ch: int = 3,
        nc: int | None = None,
        verbose: bool = False,
    ):
        with building():
            super().__init__(cfg if isinstance(cfg, dict) else load_model_yaml(cfg), ch=ch, nc=nc, verbose=verbose)
        with_logits(self)
        self.criterion = None  # Ultralytics' trainer asks for it

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """Names of the layers that the head reads."""
        return tuple(f"model.{i}" for i in self.model[-1].f)

    @property
    def nc(self) -> int:
        """Number of classes."""
        return int(self.model[-1].nc)

    @nc.setter
    def nc(self, value: int) -> None:
        pass  # Ultralytics' trainer sets what it has built it with


class NetworkModel(Learning, OneNetwork[SegmentationNetwork], SemanticSegmentationModel):
    """A network of :mod:`rsdet.nn.segmentation`; the arguments are those of :class:`SemanticModel`.

    Attributes:
        yaml: The resolved dictionary.
        model: One row, the network.
        names: Class number to name.
        stride: Sizes that need no padding are multiples of it.

    Raises:
        ConfigError: No such network, or arguments that it does not take.
    """

    family = "network"

    def __init__(
        self, cfg: str | Path | dict[str, Any], ch: int | None = None, nc: int | None = None, verbose: bool = False
    ):
        BaseModel.__init__(self)  # Ultralytics' own for this task parses rows
        d = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        args = {**(d.get("args") or {}), **({} if ch is None else {"channels": ch})}
        network = build_network(d["network"], {**args, "nc": nc or d.get("nc", 1)}, SegmentationNetwork)
        self.hold(network, {**d, "args": args, "channels": network.channels, "nc": network.nc}, network.names)
        if verbose:
            LOGGER.info(self.describe())

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """Names of the layers that the decoder reads."""
        return ("model.0.features",)

    def describe(self) -> str:
        """Say in one line what it is."""
        n = self.network
        return f"{self.yaml['network']}: {n.np:,} parameters, {n.channels} channels, {n.nc} classes"


MODELS: dict[str, type[nn.Module]] = {"network": NetworkModel, "yolo": SemanticModel}
