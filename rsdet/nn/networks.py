"""Networks that are classes, not rows: the names by which model YAMLs know them, and sizes that they do not take.

The YAML of such a network names its class and its arguments::

    network: DWTMANet
    args: {width: 24}

A class enters :data:`NETWORKS` by ``@network`` and derives from the :class:`Network` of its task
(:mod:`rsdet.nn.restoration`, :mod:`rsdet.nn.segmentation`), which is all that the task, the enhancers and the exporters
know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.bounds import bounded, check_numbers
from rsdet.errors import ConfigError, nearest

NETWORKS: dict[str, type[Network]] = {}
_Class = TypeVar("_Class", bound="type[Network]")
_Kind = TypeVar("_Kind", bound="Network")


class Network(nn.Module):
    """Base of all networks that model YAMLs know by name.

    Attributes:
        multiple: Height and width that the layers get are multiples of this; :meth:`padded` makes them so.
        channels: Channels of the image.
        min_px: Smallest height and width that the network takes.
    """

    multiple: int = 1
    channels: int = 3
    min_px: ClassVar[int] = 16

    def padded(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) reflected to the right and downwards until both sides are multiples of :attr:`multiple`."""
        down, right = (-int(n) % self.multiple for n in x.shape[-2:])
        return pad_reflect(x, right, down) if down or right else x


def pad_reflect(x: torch.Tensor, right: int, down: int) -> torch.Tensor:
    """Reflect an image to the right and downwards; by repeating the border where it is too small to be reflected."""
    mode = "reflect" if right < x.shape[-1] and down < x.shape[-2] else "replicate"
    return F.pad(x, (0, right, 0, down), mode=mode)


def network(name: str) -> Callable[[_Class], _Class]:
    """Class decorator: make a network known to ``network:`` of model YAMLs by this name."""

    def enter(cls: _Class) -> _Class:
        NETWORKS[name] = cls
        return cls

    return enter


def build_network(name: str, args: dict[str, object] | None = None, kind: type[_Kind] = Network) -> _Kind:
    """Build a network by the name that YAMLs use.

    Args:
        name: One of :data:`NETWORKS`.
        args: Arguments of its class.
        kind: Base class of the networks of the task.

    Raises:
        ConfigError: No such network of this kind, or arguments that it does not take.
    """
    known = sorted(n for n, cls in NETWORKS.items() if issubclass(cls, kind))
    if name not in known:
        raise ConfigError(f"network: must be one of {known}, received {name!r}.{nearest(name, known)}")
    check_numbers(args, "args:")
    try:
        with bounded():
            return NETWORKS[name](**(args or {}))
    except TypeError as e:
        raise ConfigError(f"network: {name} cannot be built from args: {args} ({e}); mend them.") from e


def check_counts(what: str, least: int = 1, **values: object) -> None:
    """Make sure that arguments of a network are whole numbers, or lists of them.

    Args:
        what: Name of the network, for the message.
        least: Smallest number allowed.
        **values: The arguments by name.

    Raises:
        ConfigError: One is not.
    """
    for name, value in values.items():
        each = value if isinstance(value, (list, tuple)) else [value]
        if not each or not all(isinstance(n, int) and not isinstance(n, bool) and n >= least for n in each):
            raise ConfigError(f"{name} of {what} must be whole numbers, {least} or more, received {value!r}.")
