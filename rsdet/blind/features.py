"""f_c of Eq. 8: in which respects a picture may not depart from its own history.

The paper uses a CLIP image encoder. Its weights are no part of this toolkit and nothing is fetched unasked, so the
default is a stated substitute: ``pyramid``, the picture and the strength of its edges at four sizes. ``clip`` takes a
CLIP checkpoint that lies on disk; ``none`` leaves the term out (and saves one pass of the network per step).

Source: Zhao et al., HAC-MoE, arXiv 2511.20045, Eq. 8; Radford et al., CLIP, ICML 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from rsdet.errors import ConfigError, MissingDependencyError, nearest

FEATURES = ("pyramid", "clip", "none")
_CLIP_PX = 224
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))

Encoder = Callable[[torch.Tensor], torch.Tensor]


def build_encoder(
    name: str, device: torch.device, weights: str | None = None, clip_model: str = "ViT-B-32"
) -> Encoder | None:
    """Build f_c: a picture (1, C, H, W) in [0, 1] to a vector of length one.

    Args:
        name: ``pyramid``, ``clip`` or ``none``.
        device: Where it runs.
        weights: For ``clip``: a folder as transformers saves it, or a checkpoint file for open_clip.
        clip_model: For ``clip`` with open_clip: its name of the architecture.

    Returns:
        The encoder; None for ``none``.

    Raises:
        ConfigError: Unknown name, or ``clip`` without weights on disk.
        MissingDependencyError: The package that reads those weights is not installed.
    """
    if name == "none":
        return None
    if name == "pyramid":
        return pyramid
    if name == "clip":
        check_clip_weights(weights)
        return _clip(device, weights, clip_model)
    raise ConfigError(f"feature must be one of {', '.join(FEATURES)}, received {name!r}.{nearest(str(name), FEATURES)}")


def pyramid(x: torch.Tensor, levels: int = 4) -> torch.Tensor:
    """The picture and its Sobel magnitudes at ``levels`` sizes, halved by averaging; each part of equal weight.

    Args:
        x: (1, C, H, W).
        levels: Sizes.

    Returns:
        Vector of length one.
    """
    sobel = x.new_tensor(_SOBEL) / 8
    kernels = torch.stack((sobel, sobel.t()))[:, None]
    parts = []
    for level in range(levels):
        x = F.avg_pool2d(x, 2, ceil_mode=True) if level else x
        edges = F.conv2d(F.pad(x.transpose(0, 1), (1, 1, 1, 1), mode="replicate"), kernels)
        # The slope of a root is infinite at zero; without the addend a flat picture gives NaN.
        magnitude = (edges.square().sum(1) + 1e-8).sqrt()
        parts += [F.normalize(part.flatten(), dim=0) for part in (x, magnitude)]
    return torch.cat(parts) / len(parts) ** 0.5


def feature_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distance of two vectors of length one: 0 to 4."""
    return (a - b).square().sum()


def check_clip_weights(weights: str | None) -> None:
    """Raise `ConfigError` where there are no weights of CLIP; none are fetched."""
    if not weights or not Path(weights).exists():
        raise ConfigError(
            f"feature=clip needs the weights of CLIP on disk and clip_weights={weights!r} is none; pass a file (of "
            "open_clip) or a folder (of transformers), or use feature=pyramid"
        )


def _clip(device: torch.device, weights: str, model: str) -> Encoder:
    network, run = _from_transformers(weights) if Path(weights).is_dir() else _from_open_clip(weights, model)
    network.to(device).eval().requires_grad_(False)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (_CLIP_MEAN, _CLIP_STD))

    def encode(x: torch.Tensor) -> torch.Tensor:
        rgb = x if x.shape[1] == 3 else x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        small = F.interpolate(rgb, (_CLIP_PX, _CLIP_PX), mode="bicubic", antialias=True, align_corners=False)
        return F.normalize(run((small - mean) / std).flatten(), dim=0)

    return encode


def _from_open_clip(weights: str, model: str) -> tuple[torch.nn.Module, Encoder]:
    try:
        import open_clip
    except ImportError as e:
        raise MissingDependencyError(
            f"clip_weights={weights} is read by open_clip, which is not installed; `pip install open_clip_torch`, "
            "or use feature=pyramid"
        ) from e
    network = open_clip.create_model(model, pretrained=weights)
    return network, network.encode_image


def _from_transformers(weights: str) -> tuple[torch.nn.Module, Encoder]:
    try:
        from transformers import CLIPVisionModelWithProjection
    except ImportError as e:
        raise MissingDependencyError(
            f"clip_weights={weights} is a folder, read by transformers, which is not installed; `pip install "
            "transformers`, or use feature=pyramid"
        ) from e
    network = CLIPVisionModelWithProjection.from_pretrained(weights, local_files_only=True)
    return network, lambda x: network(pixel_values=x).image_embeds
