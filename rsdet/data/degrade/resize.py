"""Shrinking and enlarging as MATLAB's ``imresize`` does, which is how the inputs of super-resolution papers are made.

Where a picture is shrunk, the kernel is widened by the factor (antialiasing), which the bicubic of OpenCV and PyTorch
do not do by themselves: numbers of the two kinds differ by decibels and must not stand in one column. Borders are
mirrored with the border pixel repeated, the kernel is that of Keys with a = -1/2.

Source: Keys, Cubic Convolution Interpolation for Digital Image Processing, IEEE TASSP 29(6), 1981; the sizes, phases
and borders are those of MATLAB's imresize.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from rsdet.data.degrade.base import Degradation, check_bits, check_keys
from rsdet.errors import ConfigError

METHODS = ("bicubic", "bilinear")
_SUPPORT = {"bicubic": 4.0, "bilinear": 2.0}  # width of the kernel in source pixels


def _kernel(x: np.ndarray, method: str) -> np.ndarray:
    d = np.abs(x)
    if method == "bilinear":
        return np.clip(1 - d, 0, None)
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d <= 2, far, 0.0))


@lru_cache(maxsize=128)
def _taps(n_in: int, n_out: int, factor: float, method: str, antialias: bool) -> tuple[np.ndarray, np.ndarray]:
    """For each output pixel, the source pixels (n_out, taps) and their weights, which sum to one."""
    shrink = min(factor, 1.0) if antialias else 1.0
    width = _SUPPORT[method] / shrink
    centre = (np.arange(n_out) + 0.5) / factor - 0.5
    at = np.floor(centre - width / 2).astype(int)[:, None] + np.arange(math.ceil(width) + 2)
    weights = _kernel((centre[:, None] - at) * shrink, method)
    weights /= weights.sum(axis=1, keepdims=True)
    used = np.any(weights != 0, axis=0)
    mirrored = at % (2 * n_in)
    return np.where(mirrored < n_in, mirrored, 2 * n_in - 1 - mirrored)[:, used], weights[:, used].astype(np.float32)


def imresize(
    image: np.ndarray,
    factor: float | None = None,
    *,
    size: tuple[int, int] | None = None,
    method: str = "bicubic",
    antialias: bool = True,
) -> np.ndarray:
    """Resize a picture.

    Args:
        image: (H, W, C) floating point.
        factor: Output pixels per input pixel; the output is ceil(H * factor) high, as in MATLAB.
        size: Height and width instead of the factor.
        method: ``bicubic`` or ``bilinear``.
        antialias: Widen the kernel where the picture is shrunk.

    Returns:
        (h, w, C) float32; bicubic overshoots the range of the input a little, nothing is cut here.

    Raises:
        ConfigError: Neither or both of ``factor`` and ``size``, or an unknown method.
    """
    if (factor is None) == (size is None) or method not in METHODS or (factor is not None and not factor > 0):
        raise ConfigError(f"imresize takes a factor or a size, and a method of {METHODS}; received {factor}, {size}")
    out = np.asarray(image, np.float32)
    for axis in (0, 1):
        n_in = out.shape[axis]
        n_out = size[axis] if size is not None else math.ceil(round(n_in * factor, 9))
        ratio = n_out / n_in if factor is None else float(factor)
        places, weights = _taps(n_in, n_out, ratio, method, antialias)
        shape = (n_out, 1, 1) if axis == 0 else (1, n_out, 1)
        total = np.zeros((n_out, out.shape[1], out.shape[2]) if axis == 0 else (out.shape[0], n_out, out.shape[2]), "f")
        for place, weight in zip(places.T, weights.T, strict=True):
            total += np.take(out, place, axis=axis) * weight.reshape(shape)
        out = total
    return out


def crop_to_multiple(image: np.ndarray, scale: int) -> np.ndarray:
    """Cut rows and columns at the bottom and the right, so that both sizes are multiples of ``scale``.

    Raises:
        ConfigError: Less than one multiple is there.
    """
    height, width = (n - n % scale for n in image.shape[:2])
    if not height or not width:
        raise ConfigError(f"a picture of {image.shape[1]}x{image.shape[0]} px is too small for scale={scale}")
    return image[:height, :width]


class Resize(Degradation):
    """The ``bicubic`` and ``bilinear`` degradations: the clear picture shrunk by the scale of the model.

    Keys of the section, all optional:
        antialias: ``true`` (default) widens the kernel as MATLAB and BasicSR do; ``false`` is OpenCV's way.
        bits: Rounding of the result; see :class:`Degradation`.
    """

    kind = "superres"

    def __init__(self, spec: dict[str, Any], scale: int):
        check_keys(spec, ("antialias", "bits"))
        self.name = spec["name"]
        if scale == 1:
            raise ConfigError(f"degrade: {self.name} shrinks, and the model keeps the size; give it a scale, upscale=2")
        antialias = spec.get("antialias", True)
        if not isinstance(antialias, bool):
            raise ConfigError(f"degrade: antialias must be true or false, received {antialias!r}")
        self.antialias, self.scale, self.bits = antialias, scale, check_bits(spec)
        reach = math.ceil(_SUPPORT[self.name] / 2) + 1
        self.margin_px = reach * scale

    def __call__(self, clear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Shrink a picture whose sizes are multiples of the scale; see :class:`Degradation`."""
        small = imresize(clear, 1 / self.scale, method=self.name, antialias=self.antialias)
        return np.clip(small, 0, 1)

    def describe(self) -> str:
        """Such as ``bicubic x4, antialiased``."""
        return f"{self.name} x{self.scale}, {'' if self.antialias else 'not '}antialiased"
