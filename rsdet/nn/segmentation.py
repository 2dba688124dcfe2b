"""What every network for semantic segmentation has in common: any size in, one map of logits per class out."""

from __future__ import annotations

import torch
from torch import nn

from rsdet.nn.networks import Network, check_counts


class SegmentationNetwork(Network):
    """Base of all semantic networks: (B, C, H, W) to logits (B, nc, H, W).

    A subclass implements :meth:`encode` and :meth:`decode` for sizes that are multiples of :attr:`multiple`; padding
    (reflection, right and bottom) and cropping are done here, unseen. With one class the logit is that of a sigmoid.

    Args:
        channels: Channels of the image.
        nc: Number of classes.

    Attributes:
        names: Names of the classes; their numbers until somebody sets them.
        features: A layer that does nothing between :meth:`encode` and :meth:`decode`; hooks on it get the tuple.

    Raises:
        ConfigError: Arguments out of range.
    """

    def __init__(self, channels: int, nc: int):
        super().__init__()
        check_counts(type(self).__name__, channels=channels, nc=nc)
        self.channels, self.nc = channels, nc
        self.names = {i: str(i) for i in range(nc)}
        self.features = nn.Identity()  # what the encoder gives passes here

    @property
    def stride(self) -> int:
        """:attr:`multiple` by the name that Ultralytics has for it."""
        return self.multiple

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of an image, finest first."""
        raise NotImplementedError

    def decode(self, features: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        """Logits at the size of the image ``x`` from its features."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of images of any size.

        Args:
            x: (B, C, H, W), float.

        Returns:
            (B, nc, H, W).
        """
        height, width = int(x.shape[-2]), int(x.shape[-1])
        x = self.padded(x)
        y = self.decode(self.features(self.encode(x)), x)
        return y[..., :height, :width] if height % self.multiple or width % self.multiple else y

    def load_pretrained(self) -> str | None:
        """Load the weights that the arguments ask for, from the network if need be; for the start of a training.

        Nothing is fetched when a network is built, since it is built again whenever its weights are loaded.

        Returns:
            What was loaded, in words; None where nothing was asked for.
        """
        return None
