"""What every image-to-image network has in common: any size in, that size times the scale out."""

from __future__ import annotations

from typing import ClassVar

import torch

from rsdet.nn.networks import Network


class RestorationNetwork(Network):
    """Base of all image-to-image networks: (B, C, H, W) in [0, 1] to (B, C, scale * H, scale * W).

    A subclass implements :meth:`restore` for sizes that are multiples of :attr:`multiple`; padding (reflection, right
    and bottom) and cropping are done here, unseen. The result is clamped to [0, 1] outside training only.

    Attributes:
        scale: Output pixels per input pixel along each axis; 1 for dehazing.
        local: Output depends on a bounded neighbourhood only, so that tiles equal the whole away from their borders.
        whole_px: Images of more input pixels than this are cut into tiles where nothing else is asked for.
    """

    scale: int = 1
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
        y = self.restore(self.padded(x))
        if height % self.multiple or width % self.multiple:
            y = y[..., : height * self.scale, : width * self.scale]
        return y if self.training else y.clamp(0, 1)
