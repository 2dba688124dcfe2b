"""LPIPS, the perceptual distance of AlexNet features, through torchmetrics (an optional package).

torchmetrics carries the linear layers (version 0.1 of the authors); the weights of AlexNet are those of torchvision and
are never downloaded by rsdet: they must lie in PyTorch's cache.

Source: Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import DataError, MissingDependencyError, install
from rsdet.metrics.arrays import as_hwc

ALEXNET_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
_SMALLEST_PX = 32  # AlexNet shrinks by 16 and more


def weights_path() -> Path:
    """Where PyTorch looks for the weights of AlexNet."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET_URL.rpartition("/")[2]


@lru_cache(maxsize=1)
def _network() -> Any:
    if importlib.util.find_spec("torchmetrics") is None:
        raise MissingDependencyError(f"lpips needs the package torchmetrics; {install('quality')}.")
    if not weights_path().is_file():
        raise MissingDependencyError(
            f"lpips needs the weights of AlexNet, which rsdet does not download: get {ALEXNET_URL} and put it to "
            f"{weights_path()}."
        )
    from torchmetrics.image import LearnedPerceptualImagePatchSimilarity  # takes seconds to import

    return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).eval()


def lpips(output: Any, target: Any) -> float:
    """Distance of two pictures; 0 for equal ones.

    Args:
        output: (H, W, C) array or (C, H, W) tensor in [0, 1]; gray is repeated to three channels.
        target: Likewise, of the same size.

    Raises:
        MissingDependencyError: torchmetrics or the weights of AlexNet are not there.
        DataError: Different sizes, or smaller than 32 pixels.
    """
    import torch

    a, b = as_hwc(output), as_hwc(target)
    if a.shape != b.shape or min(a.shape[:2]) < _SMALLEST_PX or a.shape[2] not in (1, 3):
        raise DataError(f"lpips takes two gray or RGB pictures of one size from 32 px, received {a.shape}, {b.shape}")
    tensors = [
        torch.from_numpy(np.repeat(x, 3 // x.shape[2], axis=2).clip(0, 1).transpose(2, 0, 1)[None]).float()
        for x in (a, b)
    ]
    with torch.inference_mode():
        return float(_network()(*tensors))
