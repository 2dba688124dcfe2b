"""A network of :mod:`rsdet.nn.restoration` in the form that Ultralytics trains, stores and exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.utils import LOGGER

from rsdet.errors import ConfigError
from rsdet.losses.restoration import RestorationLoss
from rsdet.modelyaml import load_model_yaml
from rsdet.nn.networks import build_network
from rsdet.nn.restoration import RestorationNetwork
from rsdet.tasks.network_model import OneNetwork
from rsdet.tasks.restore.methods import RestoreMethod


class RestoreModel(OneNetwork[RestorationNetwork]):
    """Pictures (B, C, H, W) in [0, 1] to (B, C, scale * H, scale * W).

    Args:
        cfg: Name, path or resolved dictionary of a model YAML of the family ``restore``.
        ch: Channels of the image; what ``args`` of the YAML say where they do.
        verbose: Print a line about the network.

    Attributes:
        yaml: The resolved dictionary.
        model: One row, the network.
        names: What it does, in the form in which detectors name their classes.
        stride: Sizes that need no padding are multiples of it.

    Raises:
        ConfigError: No such network, or arguments that it does not take.
    """

    task = "restore"
    family = "restore"

    def __init__(self, cfg: str | Path | dict[str, Any], ch: int | None = None, verbose: bool = False):
        super().__init__()
        d = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        network = build_network(d["network"], d.get("args"), RestorationNetwork)
        if ch is not None and ch != network.channels:
            raise ConfigError(
                f"the network takes {network.channels} channels, received {ch}; build it with channels={ch}."
            )
        self.hold(network, {**d, "channels": network.channels}, {0: d["kind"]})
        if verbose:
            LOGGER.info(self.describe())

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along each axis."""
        return int(self.network.scale)

    @property
    def kind(self) -> str:
        """``dehaze``, ``superres`` or ``clouds``."""
        return self.yaml["kind"]

    def describe(self) -> str:
        """Say in one line what it is."""
        size = f", x{self.scale}" if self.scale > 1 else ""
        return (
            f"{self.yaml['network']} ({self.kind}{size}): {self.network.np:,} parameters, {self.network.channels} "
            f"channels, {self.network.min_px} px or more"
        )

    def loss(self, batch: dict[str, Any], preds: torch.Tensor | None = None) -> tuple[torch.Tensor, dict[str, Any]]:
        """Loss of a batch and its parts.

        Args:
            batch: ``img`` (B, C, h, w) and ``target`` (B, C, scale * h, scale * w).
            preds: Output for ``img``, where it is known already.
        """
        if self.criterion is None:
            self.criterion = self.init_criterion()
        preds = self.network(batch["img"]) if preds is None else preds
        total, parts = self.criterion(preds, batch["target"], network=self.network)
        return total * self.loss_share, {f"{k}_loss": v for k, v in parts.items()}

    def init_criterion(self) -> Any:
        """The loss that the YAML states; L1 where it states none."""
        return RestorationLoss(self.yaml.get("loss") or {"l1": 1.0})

    def fuse(self, verbose: bool = True, imgsz: int = 640) -> nn.Module:
        """Fold what the network can fold; Ultralytics' layers among them as it does."""
        for m in self.modules():
            if m is not self and type(m).__module__.startswith("rsdet.nn") and hasattr(m, "fuse"):
                m.fuse()
        return super().fuse(verbose=False, imgsz=imgsz)


def build(cfg: str | Path | dict[str, Any], ch: int | None = None, verbose: bool = False) -> nn.Module:
    """Build what a model YAML of this task describes: a network, or a method without weights."""
    d = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
    return (RestoreModel if d["family"] == "restore" else RestoreMethod)(d, ch=ch, verbose=verbose)
