"""The degradation of blind super-resolution: an unknown blur, decimation, noise. y = (x * k) decimated by s, plus z.

The kernels are those of :mod:`rsdet.data.degrade.kernels`.

Source: Zhao et al., HAC-MoE, arXiv 2511.20045, Eq. 1 and 13 and Section IV-A. Its sigma = 0.2 of the Poisson-Gaussian
noise would limit any method to 15.6 dB where its table has 26.3: the default is 0.02.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rsdet.data.degrade.base import Degradation, check_bits, check_keys, number_range
from rsdet.data.degrade.kernels import ALIGN, AXES, kernel_size, random_kernel, read_kernel
from rsdet.errors import ConfigError, DataError, nearest

NOISE = ("gaussian", "poisson", "none")
PADS = ("circular", "replicate")
MAX_SCALE = 8
GAUSSIAN_SIGMA = (0.0, 0.039)
POISSON_GAIN, POISSON_SIGMA = 3e-3, 0.02
_MODES = {"circular": "wrap", "replicate": "edge"}
_KEYS = ("align", "axes", "wide", "perturb", "kernel_px", "pad", "noise", "sigma", "gain", "kernel", "bits")


def blur_decimate(image: np.ndarray, kernel: np.ndarray, scale: int, pad: str = "circular") -> np.ndarray:
    """The forward model without noise: correlate with the kernel, keep every s-th pixel, starting with the first.

    Args:
        image: (s * h, s * w, C), any floating type.
        kernel: (K, K), K odd.
        scale: Decimation s.
        pad: What lies beyond the border: ``circular`` (the other side) or ``replicate`` (the border).

    Returns:
        (h, w, C) of the type of the image.

    Raises:
        DataError: The sizes are no multiples of the scale.
    """
    height, width = _divided(image.shape, scale)
    r = kernel.shape[0] // 2
    padded = np.pad(image, ((r, r), (r, r), (0, 0)), mode=_MODES[pad])
    out = np.zeros((height, width, image.shape[2]), image.dtype)
    for i, row in enumerate(kernel):
        for j, weight in enumerate(row):
            out += weight * padded[i : i + scale * height : scale, j : j + scale * width : scale]
    return out


def add_noise(
    image: np.ndarray, rng: np.random.Generator, noise: str, sigma: float, gain: float = POISSON_GAIN
) -> np.ndarray:
    """Add sensor noise; nothing is cut here.

    Args:
        image: (h, w, C) in [0, 1].
        rng: Where the numbers come from.
        noise: ``gaussian``: N(0, sigma^2); ``poisson``: gain * Poisson(x / gain) + N(0, sigma^2), Eq. 13; ``none``.
        sigma: Standard deviation, full scale being 1.
        gain: Full scale divided by the number of photons that fill it.

    Returns:
        (h, w, C) float32.
    """
    if noise == "none":
        return image.astype(np.float32)
    if noise == "poisson":
        image = gain * rng.poisson(np.clip(image, 0, None) / gain)
    return (image + rng.normal(0, sigma, image.shape)).astype(np.float32)


class Blind(Degradation):
    """The ``blind`` degradation: for each picture (or patch) another kernel and other noise.

    Keys of the section, all optional:
        noise: ``gaussian`` (default), ``poisson`` (Poisson-Gaussian, Eq. 13) or ``none``.
        sigma: Standard deviation of the Gaussian part, a number or a range; ``[0, 0.039]``, with poisson ``0.02``.
        gain: Of the Poisson part, ``0.003``.
        perturb: Elements of the kernel are multiplied by 1 + U[-perturb, perturb]; ``0.4``.
        axes: The range of widths holds for ``variance`` (default) or ``std``.
        wide: ``true`` for the wider range of MLMC.
        align: ``center`` (default) or ``upstream``, see above.
        kernel_px: Odd side of the kernel; ``4 s + 3``.
        kernel: ``.npy`` file of one kernel for all pictures, such as HAC-MoE estimates it of a real sensor.
        pad: ``circular`` (default, as in the paper) or ``replicate``.
        bits: Rounding of the result, ``16``; see :class:`Degradation`.
    """

    name = "blind"
    kind = "superres"
    is_random = True

    def __init__(self, spec: dict[str, Any], scale: int):
        check_keys(spec, _KEYS)
        if not 2 <= scale <= MAX_SCALE:
            raise ConfigError(
                f"degrade: blind decimates by 2 to {MAX_SCALE} and the model enlarges by {scale}; set upscale=2"
            )
        self.scale = scale
        self.noise = _choice(spec, "noise", NOISE)
        self.align, self.axes, self.pad = (
            _choice(spec, k, v) for k, v in (("align", ALIGN), ("axes", AXES), ("pad", PADS))
        )
        self.wide = spec.get("wide", False)
        if not isinstance(self.wide, bool):
            raise ConfigError(f"degrade: wide must be true or false, received {self.wide!r}")
        default = GAUSSIAN_SIGMA if self.noise == "gaussian" else (POISSON_SIGMA, POISSON_SIGMA)
        self.sigma = number_range(spec, "sigma", default, 0.0, 1.0)
        self.gain = _number(spec, "gain", POISSON_GAIN, 1e-6, 1.0)
        self.perturb = _number(spec, "perturb", 0.4, 0.0, 0.99)
        if unused := {"none": {"sigma", "gain"}, "gaussian": {"gain"}}.get(self.noise, set()) & set(spec):
            raise ConfigError(f"degrade: noise: {self.noise} has no {' and no '.join(sorted(unused))}; leave it out")
        self.kernel_px = spec.get("kernel_px", kernel_size(scale))
        if not isinstance(self.kernel_px, int) or self.kernel_px % 2 == 0 or not scale < self.kernel_px <= 99:
            raise ConfigError(
                f"degrade: kernel_px must be odd, above {scale} and below 100, received {self.kernel_px!r}"
            )
        self.fixed = read_kernel(spec["kernel"]) if "kernel" in spec else None
        if self.fixed is not None:
            if unused := {"align", "axes", "wide", "perturb", "kernel_px"} & set(spec):
                raise ConfigError(
                    f"degrade: kernel: is a file, so that {', '.join(sorted(unused))} have no use; leave out"
                )
            self.kernel_px = len(self.fixed)
        self.bits = check_bits({"bits": 16, **spec})
        self.margin_px = math.ceil((self.kernel_px // 2) / scale) * scale

    def kernel(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a kernel (K, K), or give that of the file; what :meth:`__call__` does first with its generator."""
        if self.fixed is not None:
            return self.fixed
        return random_kernel(
            self.scale, rng, size=self.kernel_px, align=self.align, axes=self.axes, wide=self.wide, perturb=self.perturb
        )

    def __call__(self, clear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Blur, decimate, add noise and cut to [0, 1]; see :class:`Degradation`."""
        return self.with_kernel(clear, self.kernel(rng), rng)

    def with_kernel(self, clear: np.ndarray, kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same with a kernel of one's own, such as one that was estimated from a real picture.

        Args:
            clear: (s * h, s * w, C) in [0, 1].
            kernel: (K, K), non-negative, sums to one.
            rng: Source of the noise.
        """
        lr = blur_decimate(clear.astype(np.float32), kernel, self.scale, self.pad)
        return np.clip(add_noise(lr, rng, self.noise, rng.uniform(*self.sigma), self.gain), 0, 1)

    def describe(self) -> str:
        """Such as ``blind x4: Gaussian kernels 19 px (variance, perturbed 0.4, center), gaussian noise 0-0.039``."""
        low, high = self.sigma
        wide = ", wide" if self.wide else ""
        sigma = "" if self.noise == "none" else f" {low:g}" if low == high else f" {low:g}-{high:g}"
        gain = f", gain {self.gain:g}" if self.noise == "poisson" else ""
        kernels = f"Gaussian kernels {self.kernel_px} px ({self.axes}{wide}, perturbed {self.perturb:g}, {self.align})"
        kernels = kernels if self.fixed is None else f"one kernel of {self.kernel_px} px from a file"
        return f"blind x{self.scale}: {kernels}, {self.noise} noise{sigma}{gain}"


def _choice(spec: dict[str, Any], key: str, known: tuple[str, ...]) -> str:
    value = spec.get(key, known[0])
    if value not in known:
        raise ConfigError(
            f"degrade: {key} must be one of {', '.join(known)}, received {value!r}.{nearest(str(value), known)}"
        )
    return value


def _number(spec: dict[str, Any], key: str, default: float, low: float, high: float) -> float:
    if isinstance(spec.get(key), (list, tuple)):
        raise ConfigError(f"degrade: {key} must be one number from {low:g} to {high:g}, received {spec[key]!r}")
    return number_range(spec, key, (default, default), low, high)[1]


def _divided(shape: tuple[int, ...], scale: int) -> tuple[int, int]:
    if shape[0] % scale or shape[1] % scale:
        raise DataError(f"a picture of {shape[1]}x{shape[0]} px is no multiple of {scale}; crop it to one")
    return shape[0] // scale, shape[1] // scale
