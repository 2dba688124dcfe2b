"""What every image-to-image network has in common: any size in, that size times the scale out.

A restoration network is a class, not rows of a YAML. Its YAML (``task: restore``) names the class and its arguments::

    network: DWTMANet
    args: {width: 24}

A class enters :data:`NETWORKS` by ``@network``; the task, the enhancers and the exporters know no more of it than what
:class:`RestorationNetwork` says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from rsdet.bounds import bounded, check_numbers
from rsdet.errors import ConfigError, nearest

NETWORKS: dict[str, type[RestorationNetwork]] = {}
_Class = TypeVar("_Class", bound="type[RestorationNetwork]")


class RestorationNetwork(nn.Module):
    """Base of all image-to-image networks: (B, C, H, W) in [0, 1] to (B, C, scale * H, scale * W).

    A subclass implements :meth:`restore` for sizes that are multiples of :attr:`multiple`; padding (reflection, right
    and bottom) and cropping are done here, unseen. The result is clamped to [0, 1] outside training only.

    Attributes:
        scale: Output pixels per input pixel along each axis; 1 for dehazing.
        multiple: Height and width that :meth:`restore` gets are multiples of this.
        channels: Channels of the image, in and out.
        min_px: Smallest height and width that the network takes.
        local: Output depends on a bounded neighbourhood only, so that tiles equal the whole away from their borders.
        whole_px: Images of more input pixels than this are cut into tiles where nothing else is asked for.
    """

    scale: int = 1
    multiple: int = 1
    channels: int = 3
    min_px: ClassVar[int] = 16
    local: ClassVar[bool] = False
    whole_px: int = 2**21

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        """Restore an image whose height and width are multiples of :attr:`multiple`."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Restore images of any size.

        Args:
            x: (B, C, H, W), float in [0, 1].

        Returns:
            (B, C, scale * H, scale * W).
        """
        height, width = int(x.shape[-2]), int(x.shape[-1])
        down, right = -height % self.multiple, -width % self.multiple
        y = self.restore(pad_reflect(x, right, down) if down or right else x)
        if down or right:
            y = y[..., : height * self.scale, : width * self.scale]
        return y if self.training else y.clamp(0, 1)


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


def build_network(name: str, args: dict[str, object] | None = None) -> RestorationNetwork:
    """Build a network by the name that YAMLs use.

    Raises:
        ConfigError: No such network, or arguments that it does not take.
    """
    if name not in NETWORKS:
        known = sorted(NETWORKS)
        raise ConfigError(f"network: must be one of {known}, received {name!r}.{nearest(name, known)}")
    check_numbers(args, "args:")
    try:
        with bounded():
            return NETWORKS[name](**(args or {}))
    except TypeError as e:
        raise ConfigError(f"network: {name} cannot be built from args: {args} ({e}); mend them.") from e
