"""Strong augmentations that change how a batch looks and not where anything is.

``noise`` is Mean Teacher's, ``jitter`` UniMatch's, ``intensity`` AugSeg's, the rest are the variants of AugIN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torchvision.transforms.v2.functional as T

from rsdet.data.semi.augin import augin
from rsdet.errors import ConfigError, nearest

NOISE = 0.15  # in deviations of the channel (A. Tarvainen, H. Valpola, NeurIPS 2017)
MOST_CHANGES = 3  # of AugSeg, per picture (Z. Zhao et al., CVPR 2023)
Picture = torch.Tensor  # (C, H, W) in [0, 1]


def noise(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Add Gaussian noise to a batch (B, C, H, W) of any range."""
    drawn = torch.from_numpy(rng.standard_normal(pictures.shape, np.float32)).to(pictures)
    return pictures + NOISE * pictures.std((2, 3), keepdim=True, correction=0) * drawn


def jitter(picture: Picture, rng: np.random.Generator) -> Picture:
    """Brightness, contrast, saturation, hue (p 0.8), grey (p 0.2), blur (p 0.5) (L. Yang et al., CVPR 2023)."""
    if rng.random() < 0.8:
        for change in rng.permutation(4):
            picture = (_brightness, _contrast, _saturation, _hue)[change](picture, rng.uniform(-0.5, 0.5))
    if rng.random() < 0.2:
        picture = _saturation(picture, -1.0)
    return T.gaussian_blur(picture, [9, 9], [rng.uniform(0.1, 2.0)] * 2) if rng.random() < 0.5 else picture


def intensity(picture: Picture, rng: np.random.Generator) -> Picture:
    """One to three different changes, each of a strength drawn evenly from its whole range."""
    count = 1 + int(rng.integers(MOST_CHANGES))
    for change in rng.permutation(len(_CHANGES))[:count]:
        picture = _CHANGES[change](picture, rng)
    return picture


def _brightness(picture: Picture, by: float) -> Picture:
    return (picture * (1 + by)).clamp(0, 1)


def _contrast(picture: Picture, by: float) -> Picture:
    mean = picture.mean()
    return (mean + (picture - mean) * (1 + by)).clamp(0, 1)


def _saturation(picture: Picture, by: float) -> Picture:
    """As it is without three channels, of which alone colours are made."""
    return T.adjust_saturation(picture, 1 + by) if len(picture) == 3 else picture


def _hue(picture: Picture, by: float) -> Picture:
    return T.adjust_hue(picture, by / 2) if len(picture) == 3 else picture


def _by_band(change: Callable[..., torch.Tensor], picture: Picture, *args: float) -> Picture:
    """A change of grey pictures, done to each band by itself."""
    return change(picture[:, None], *args)[:, 0]


_CHANGES: tuple[Callable[[Picture, np.random.Generator], Picture], ...] = (
    lambda p, rng: p,
    lambda p, rng: _by_band(T.autocontrast, p),
    lambda p, rng: _by_band(T.equalize, p),
    lambda p, rng: T.gaussian_blur(p, [9, 9], [rng.uniform(0.1, 2.0)] * 2),
    lambda p, rng: _contrast(p, rng.uniform(-0.95, -0.05)),
    lambda p, rng: _brightness(p, rng.uniform(-0.95, -0.05)),
    lambda p, rng: _saturation(p, rng.uniform(-0.95, -0.05)),
    lambda p, rng: _hue(p, rng.uniform(0.0, 1.0)),
    lambda p, rng: _by_band(T.adjust_sharpness, p, rng.uniform(0.05, 0.95)),
    lambda p, rng: _by_band(T.posterize, p, int(rng.integers(4, 9))),
    lambda p, rng: _by_band(T.solarize, p, rng.uniform(0.0, 1.0)),
)  # fmt: skip


def _each(change: Callable[[Picture, np.random.Generator], Picture]) -> Callable[..., torch.Tensor]:
    return lambda pictures, rng, valid: torch.stack([change(p, rng) for p in pictures])


def _exchange(variant: str) -> Callable[..., torch.Tensor]:
    return lambda pictures, rng, valid: augin(pictures, rng.permutation(len(pictures)), variant, valid)


APPEARANCES: dict[str, Callable[..., torch.Tensor]] = {
    "none": lambda pictures, rng, valid: pictures,
    "noise": lambda pictures, rng, valid: noise(pictures, rng),
    "jitter": _each(jitter),
    "intensity": _each(intensity),
    "augin-sigma": _exchange("sigma"),
    "augin-mu": _exchange("mu"),
    "augin-both": _exchange("both"),
}


def change_appearance(
    pictures: torch.Tensor, name: str, rng: np.random.Generator, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Change how a batch looks.

    Args:
        pictures: (B, C, H, W) float; for ``jitter`` and ``intensity`` in [0, 1].
        name: One of :data:`APPEARANCES`.
        rng: Source of all randomness.
        valid: (B, H, W) bool, pixels that hold data; statistics of AugIN are those of these.

    Raises:
        ConfigError: No such augmentation.
    """
    check_appearance(name)
    return APPEARANCES[name](pictures, rng, valid)


def check_appearance(name: str) -> None:
    """Raise `ConfigError` where there is no such augmentation."""
    if name not in APPEARANCES:
        known = ", ".join(APPEARANCES)
        raise ConfigError(f"appearance={name!r} received; expected one of {known}.{nearest(str(name), APPEARANCES)}")
