"""What a model YAML of this task describes: a network that rebuilds backgrounds, or a method without weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.utils import LOGGER

from rsdet.arguments import fit
from rsdet.classical.anomaly import METHODS
from rsdet.errors import ConfigError, nearest
from rsdet.losses.gms import GMSLoss
from rsdet.modelyaml import load_model_yaml
from rsdet.nn.networks import build_network
from rsdet.nn.sdenet import BackgroundNetwork
from rsdet.tasks.anomaly.options import NAMES
from rsdet.tasks.network_model import OneNetwork


class AnomalyModel(OneNetwork[BackgroundNetwork]):
    """A network of :mod:`rsdet.nn.sdenet` in the form that Ultralytics trains, stores and exports.

    Args:
        cfg: Name, path or resolved dictionary of a model YAML of the family ``network``.
        ch: Bands; what ``args`` of the YAML say where they do.
        verbose: Print a line about the network.

    Attributes:
        yaml: The resolved dictionary. ``anomaly`` of it holds what a training notes: ``bands``, numbers from 1 of those
            of the cube, ``score_on`` and ``fit``.
        model: One row, the network.
        names: The one class.
        stride: Sizes need be no multiple of anything; the network pads.

    Raises:
        ConfigError: No such network, or arguments that it does not take.
    """

    task = "anomaly"
    family = "network"

    def __init__(self, cfg: str | Path | dict[str, Any], ch: int | None = None, verbose: bool = False):
        super().__init__()
        d = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        network = build_network(d["network"], d.get("args"), BackgroundNetwork)
        if ch is not None and ch != network.channels:
            raise ConfigError(
                f"the network takes {network.channels} bands, received {ch}; build it with channels={ch}."
            )
        self.hold(network, {**d, "channels": network.channels}, NAMES)
        if verbose:
            LOGGER.info(self.describe())

    def describe(self) -> str:
        """Say in one line what it is."""
        return f"{self.yaml['network']}: {self.network.np:,} parameters, {self.network.channels} bands"

    def loss(self, batch: dict[str, Any], preds: torch.Tensor | None = None) -> tuple[torch.Tensor, dict[str, Any]]:
        """Loss of a batch and its parts.

        Args:
            batch: ``img`` (B, C, h, w), masked or not, and ``target``, the same without masks.
            preds: Output for ``img``, where it is known already.
        """
        if self.criterion is None:
            self.criterion = self.init_criterion()
        preds = self.network(batch["img"]) if preds is None else preds
        total = self.criterion(preds, batch["target"])
        return total * self.loss_share, {"gms_loss": total.detach()}

    def init_criterion(self) -> Any:
        """Similarity of gradients, with the settings that the YAML states under ``loss:``."""
        settings = self.yaml.get("loss") or {}
        return GMSLoss(**fit(GMSLoss, settings, "loss:"))

    def fuse(self, verbose: bool = True, imgsz: int = 640) -> nn.Module:
        """Nothing: no layer of it can be folded into another."""
        return self


class AnomalyMethod(nn.Module):
    """A method of :mod:`rsdet.classical.anomaly` with the interface of a model; it has no parameters.

    Args:
        cfg: Name, path or resolved dictionary of a model YAML of the family ``classical``.
        ch: Not used; methods take the bands that cubes have.
        verbose: Print the settings.

    Raises:
        ConfigError: No such method, or a setting that it does not take.
    """

    task = "anomaly"
    family = "classical"
    learns = False

    def __init__(self, cfg: str | Path | dict[str, Any], ch: int | None = None, verbose: bool = False):
        super().__init__()
        self.yaml = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        name, values = self.yaml["method"], dict(self.yaml.get("vars") or {})
        if name not in METHODS:
            raise ConfigError(f"method: must be one of {sorted(METHODS)}, received {name!r}.{nearest(name, METHODS)}")
        self.method = METHODS[name](**fit(METHODS[name], values, f"method {name}"))
        self.names = dict(NAMES)
        self.stride = torch.tensor([1])
        self.nothing = nn.Parameter(torch.empty(0), requires_grad=False)  # Ultralytics asks parameters for the device
        if verbose:
            LOGGER.info(self.describe())

    def describe(self) -> str:
        """Say in one line what will be done."""
        return f"{self.method}. No weights, nothing is learnt."
