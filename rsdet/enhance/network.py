"""A restoration network with weights as an enhancer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rsdet.nn.restoration import RestorationNetwork


class NetworkEnhancer:
    """A network of :mod:`rsdet.nn.restoration` on pictures.

    Args:
        network: The network; used as it is, and put into inference mode.
        name: For tables and messages; the name of its class where not given.
        kind: ``dehaze``, ``superres`` or ``clouds``; guessed from the scale where not given.
        device: Where it runs.
        half: Run in FP16.
        yaml: What its YAML says, where it came from one.

    Attributes:
        offline: False.
    """

    offline = False

    def __init__(
        self,
        network: RestorationNetwork,
        name: str | None = None,
        kind: str | None = None,
        device: torch.device | str = "cpu",
        half: bool = False,
        yaml: dict[str, Any] | None = None,
    ):
        self.yaml = yaml or {"network": type(network).__name__}
        self.network, self.half = network.eval(), half
        self.name = name or type(network).__name__
        self.kind = kind or ("superres" if network.scale > 1 else "dehaze")
        self.scale, self.channels = int(network.scale), network.channels
        self.local, self.min_px, self.whole_px = network.local, network.min_px, network.whole_px
        self.to(device)

    def to(self, device: torch.device | str) -> NetworkEnhancer:
        """Move the network."""
        self.device = torch.device(device)
        self.network.to(self.device)
        if self.half:
            self.network.half()
        return self

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.network.parameters())

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, C) or (N, H, W, C) float32 in [0, 1] to the same, ``scale`` times as high and wide."""
        one = image.ndim == 3
        batch = np.ascontiguousarray((image[None] if one else image).transpose(0, 3, 1, 2), dtype=np.float32)
        x = torch.from_numpy(batch).to(self.device)
        with torch.inference_mode():
            y = self.network(x.half() if self.half else x).float().clamp(0, 1)
        out = np.ascontiguousarray(y.permute(0, 2, 3, 1).cpu().numpy())
        return out[0] if one else out


def enhancer_of(model: Any, name: str, device: torch.device | str = "cpu", half: bool = False) -> Any:
    """The enhancer of a loaded model of the task ``restore``: a network, or a method without weights."""
    if hasattr(model, "network"):
        return NetworkEnhancer(model.network, name, model.kind, device, half, model.yaml)
    return model.enhancer()
