"""Networks of segmentation-models-pytorch for two dates: one encoder for both, its maps joined before the decoder."""

from __future__ import annotations

from typing import Any

import torch

from rsdet.errors import ConfigError
from rsdet.nn.change import DATES
from rsdet.nn.networks import check_counts, network
from rsdet.nn.smp import SMP

__all__ = ["SiameseSMP"]


@network("SiameseSMP")
class SiameseSMP(SMP):
    """A network of segmentation-models-pytorch over the absolute differences of the maps of two dates.

    Args:
        arch: See :class:`rsdet.nn.smp.SMP`.
        encoder: Likewise.
        options: Likewise.
        weights: Likewise.
        bands: Channels of one date.

    Raises:
        ConfigError: There is no such network.
    """

    def __init__(
        self,
        arch: str = "unet",
        encoder: str = "resnet18",
        options: dict[str, Any] | None = None,
        weights: str | None = None,
        bands: int = 3,
    ):
        check_counts("SiameseSMP", bands=bands)
        if arch == "segformer":
            raise ConfigError("arch=segformer has no skips to compare dates by; choose another, such as unet.")
        super().__init__(arch, encoder, options, weights, DATES * bands, 1)
        self.bands = bands

    @property
    def in_channels(self) -> int:
        """Channels of one date."""
        return self.channels // DATES

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Absolute differences of the maps of both dates."""
        before, after = (super(SiameseSMP, self).encode(date) for date in x.chunk(DATES, 1))
        return tuple((a - b).abs() for a, b in zip(before, after, strict=True))
