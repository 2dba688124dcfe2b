"""A network that is a class (:mod:`rsdet.nn.networks`) in the form that Ultralytics trains, stores and exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import nn
from ultralytics.nn.tasks import BaseModel

import rsdet.nn  # noqa: F401  makes every network known by name
from rsdet.nn.networks import Network

N = TypeVar("N", bound=Network)


class OneNetwork(BaseModel, Generic[N]):
    """A model whose rows are one, a network.

    Attributes:
        yaml: The resolved dictionary of its model YAML.
        model: One row, the network.
        names: Class number to name, or what it does in this form.
        stride: Sizes that need no padding are multiples of it.
        loss_share: Of each process: gradients are averaged, and Ultralytics multiplies the loss by them.
    """

    loss_share = 1.0

    def hold(self, network: N, yaml: dict[str, Any], names: Mapping[int, str]) -> None:
        """Take the network; called once, by ``__init__``."""
        network.i, network.f, network.type = 0, -1, type(network).__name__  # what Ultralytics' rows know of themselves
        network.np = sum(p.numel() for p in network.parameters())
        self.yaml, self.names = yaml, dict(names)
        self.model, self.save = nn.Sequential(network), []
        self.stride = torch.tensor([float(network.multiple)])
        self.criterion = None  # Ultralytics' trainer asks for it

    @property
    def network(self) -> N:
        """The network itself."""
        return self.model[0]

    def predict(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run the network; what Ultralytics passes to detectors does not apply."""
        return self.network(x)
