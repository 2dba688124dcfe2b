"""A network of :mod:`rsdet.nn.change` in the form that Ultralytics trains, stores and exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ultralytics.utils import LOGGER

from rsdet.losses.change import ChangeLoss
from rsdet.modelyaml import load_model_yaml
from rsdet.nn.change import DATES
from rsdet.nn.networks import build_network
from rsdet.nn.segmentation import SegmentationNetwork
from rsdet.tasks.network_model import OneNetwork

NAMES = {0: "changed"}


class ChangeModel(OneNetwork[SegmentationNetwork]):
    """Two dates (B, 2 * bands, H, W) in [0, 1], stacked along the channels, to the logit of a change (B, 1, H, W).

    Args:
        cfg: Name, path or resolved dictionary of a model YAML.
        ch: Channels of both dates together; what ``args`` of the YAML say of one of them where None.
        verbose: Print a line about the network.

    Attributes:
        yaml: The resolved dictionary.
        model: One row, the network.
        names: The one class.
        stride: Sizes that need no padding are multiples of it.

    Raises:
        ConfigError: No such network, or arguments that it does not take.
    """

    task = "change"
    family = "network"

    def __init__(self, cfg: str | Path | dict[str, Any], ch: int | None = None, verbose: bool = False):
        super().__init__()
        d = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        args = {**(d.get("args") or {}), **({} if ch is None else {"bands": ch // DATES})}
        network = build_network(d["network"], args, SegmentationNetwork)
        self.hold(network, {**d, "args": args, "channels": network.channels, "nc": 1}, NAMES)
        if verbose:
            LOGGER.info(self.describe())

    def describe(self) -> str:
        """Say in one line what it is."""
        return f"{self.yaml['network']}: {self.network.np:,} parameters, {self.network.channels // DATES} bands a date"

    def loss(self, batch: dict[str, Any], preds: Any = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a batch and its terms.

        Args:
            batch: ``img`` (B, 2 * bands, H, W) and ``change`` (B, H, W), 1 where something has changed, 255 where
                nobody knows.
            preds: Logits of ``img``, where they are known already.
        """
        if self.criterion is None:
            self.criterion = self.init_criterion()
        total, parts = self.criterion(self.network(batch["img"]) if preds is None else preds, batch["change"])
        return total * self.loss_share, {f"{name}_loss": value for name, value in parts.items()}

    def init_criterion(self) -> ChangeLoss:
        """The loss, with Dice as ``dice:`` of the YAML says."""
        return ChangeLoss(self.yaml.get("dice") or "sample")
