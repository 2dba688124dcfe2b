"""A network of :mod:`rsdet.nn.landcover` in the form that Ultralytics trains, stores and exports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.utils import LOGGER

import rsdet.nn  # noqa: F401  makes every network known by name
from rsdet.errors import ConfigError
from rsdet.modelyaml import load_model_yaml
from rsdet.nn.landcover import LandCoverNetwork
from rsdet.nn.networks import build_network
from rsdet.tasks.network_model import OneNetwork


class LandCoverModel(OneNetwork[LandCoverNetwork]):
    """Patches of raw numbers (N, bands + rasters, p, p) to logits (N, nc).

    Args:
        cfg: Name, path or resolved dictionary of a model YAML. What the data of a training say stands in its ``args``
            (bands, rasters, classes), in ``names`` and in ``scene``: places of the bands, colours, the split.
        ch: Channels, bands and rasters together; what ``args`` say where None.
        verbose: Print a line about the network.

    Attributes:
        yaml: The resolved dictionary.
        model: One row, the network.
        names: Class number from 0 to name.

    Raises:
        ConfigError: No such network, or arguments that it does not take.
    """

    task = "landcover"
    family = "landcover"

    def __init__(self, cfg: str | Path | dict[str, Any], ch: int | None = None, verbose: bool = False):
        super().__init__()
        d = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        network = build_network(d["network"], d.get("args"), LandCoverNetwork)
        if ch is not None and ch != network.channels:
            raise ConfigError(f"the network takes {network.channels} bands and rasters, received {ch}; leave ch= out.")
        known = d.get("names")
        known = dict(enumerate(known)) if isinstance(known, list) else known or {}
        names = {i: str(known.get(i, i)) for i in range(network.nc)}
        self.hold(network, {**d, "channels": network.channels}, names)
        self.class_weights: torch.Tensor | None = None
        self.lidar_dropout = 0.0
        if verbose:
            LOGGER.info(self.describe())

    @property
    def scene(self) -> Mapping[str, Any]:
        """What the training knew of its scene; empty for a fresh network."""
        return self.yaml.get("scene") or {}

    def describe(self) -> str:
        """Say in one line what it is."""
        n = self.network
        rasters = f" and {n.rasters} raster{'s' * (n.rasters > 1)} of LiDAR" if n.rasters else ""
        return (
            f"{self.yaml['network']}: {n.np:,} parameters, {n.components} components of {n.bands} bands{rasters}, "
            f"patches of {n.patch} px, {n.nc} classes"
        )

    def loss(self, batch: dict[str, Any], preds: torch.Tensor | None = None) -> tuple[torch.Tensor, dict[str, Any]]:
        """Cross-entropy of a batch, Eq. 17 of CAB-HL.

        Args:
            batch: ``img`` (N, bands + rasters, p, p), ``cls`` (N,).
            preds: Logits, where they are known already.
        """
        if preds is None:
            x, n = batch["img"], self.network
            if self.training and self.lidar_dropout and torch.rand(()) < self.lidar_dropout:
                x = x[:, : n.bands]
            preds = n(x)
        weights = None if self.class_weights is None else self.class_weights.to(preds)
        value = F.cross_entropy(preds, batch["cls"], weights)
        return value * self.loss_share, {"cls_loss": value.detach()}

    def fuse(self, verbose: bool = True, imgsz: int = 640) -> nn.Module:
        """Leave the layers as they are: backends fold the normalisation themselves."""
        return self


def described(model: LandCoverModel) -> dict[str, Any]:
    """What weights and exported files must say so that scenes can be read for them, as plain values."""
    n = model.network
    return {
        "network": model.yaml["network"], "cube_bands": n.bands, "rasters": n.rasters, "patch": n.patch,
        "does_without": n.does_without, "fill": [float(v) for v in n.fill], "scene": dict(model.scene),
    }  # fmt: skip
