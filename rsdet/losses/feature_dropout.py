"""UniMatch's feature stream: whole channels of what an encoder gives are dropped, for part of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError


@contextmanager
def feature_dropout(layers: Sequence[nn.Module], last: int, p: float = 0.5) -> Iterator[None]:
    """While it lasts, the layers drop channels of the last pictures of a batch and scale the others by 1 / (1 - p).

    Args:
        layers: Modules whose output is a map (B, C, H, W), or a list of maps.
        last: Number of pictures at the end of the batch that lose channels.
        p: Probability of a channel to be dropped.
    """

    def drop(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if isinstance(output, (list, tuple)):
            return type(output)(drop(_module, _inputs, o) for o in output)
        keep = len(output) - last
        return torch.cat([output[:keep], F.dropout2d(output[keep:], p)])

    with ExitStack() as stack:
        for layer in layers if last else ():
            stack.callback(layer.register_forward_hook(drop).remove)
        yield


def named_layers(network: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Layers of a network by name, also where a wrapper for several GPUs stands around it.

    Raises:
        ConfigError: The network has no such layer.
    """
    by_name = {name.removeprefix("module."): layer for name, layer in network.named_modules()}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"features={name!r} is no layer of {type(network).__name__}; name one of its layers")
    return [by_name[name] for name in names]
