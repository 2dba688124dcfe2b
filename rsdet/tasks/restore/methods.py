"""Restoration without trained weights: classical methods, and methods that optimise on each picture."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.utils import LOGGER

from rsdet.arguments import fit
from rsdet.errors import ConfigError, nearest
from rsdet.modelyaml import load_model_yaml

# Name in model YAMLs -> module and class; imported when asked for. The class takes the YAML's vars.
METHODS = {
    "DCP": ("rsdet.classical.dark_channel", "DarkChannelPrior"),
    "HACMoE": ("rsdet.blind.enhancer", "HACMoE"),
}


class RestoreMethod(nn.Module):
    """A method with the interface of a model; it has no parameters.

    Args:
        cfg: Name, path or resolved dictionary of a model YAML of the family ``classical`` or ``per-image``.
        ch: Not used; methods take the channels that pictures have.
        verbose: Print the settings.

    Raises:
        ConfigError: No such method, or a setting that it does not take.
    """

    task = "restore"
    learns = False

    def __init__(self, cfg: str | Path | dict[str, Any], ch: int | None = None, verbose: bool = False):
        super().__init__()
        self.yaml = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        self.family = self.yaml["family"]
        name, values = self.yaml["method"], dict(self.yaml.get("vars") or {})
        if name not in METHODS:
            raise ConfigError(f"method: must be one of {sorted(METHODS)}, received {name!r}.{nearest(name, METHODS)}")
        module, cls = METHODS[name]
        kind = getattr(import_module(module), cls)
        self.run = kind(**fit(kind, values, f"method {name}"))
        self.names = {0: self.yaml["kind"]}
        self.stride = torch.tensor([1])
        self.nothing = nn.Parameter(torch.empty(0), requires_grad=False)  # Ultralytics asks parameters for the device
        if verbose:
            LOGGER.info(self.describe())

    @property
    def kind(self) -> str:
        """``dehaze``, ``superres`` or ``clouds``."""
        return self.yaml["kind"]

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along each axis."""
        return int(self.run.scale)

    @property
    def channels(self) -> int | None:
        """Channels that it takes; None for any number."""
        return self.run.channels

    def enhancer(self) -> Any:
        """The method as a function of pictures."""
        return self.run

    def describe(self) -> str:
        """Say in one line what will be done."""
        told = ", ".join(f"{k} {v}" for k, v in (self.yaml.get("vars") or {}).items())
        each = "optimises on each picture" if self.family == "per-image" else "nothing is learnt"
        return f"{self.yaml['method']} ({self.kind}): {told}. No weights, {each}."
