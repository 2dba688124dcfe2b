"""What all networks for changes between two dates have in common: both stacked in the channels, one logit a pixel."""

from __future__ import annotations

import torch

from rsdet.nn.segmentation import SegmentationNetwork

DATES = 2


class ChangeNetwork(SegmentationNetwork):
    """Base of all change networks: (B, 2 * bands, H, W), the earlier date first, to logits (B, 1, H, W).

    Args:
        bands: Channels of one date.

    Attributes:
        bands: The same.
    """

    def __init__(self, bands: int = 3):
        super().__init__(DATES * bands, 1)
        self.bands = bands

    def dates(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both dates (B, bands, H, W) of a stack."""
        return x[:, : self.bands], x[:, self.bands :]
