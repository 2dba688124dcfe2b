"""Blur kernels of blind super-resolution: anisotropic Gaussians, disturbed element by element, then centred.

Where the centre lies decides where the result lies on the ground. LR pixel m is the middle of its s x s block of HR
pixels only if the kernel's centre of mass is at (K + s) / 2 - 1 (``align: center``). Code of earlier papers puts it at
(K - s) / 2 and blurs by correlation: their LR pictures are displaced by s - 1 HR pixels, which costs bicubic
interpolation 1.4 to 2.4 dB. ``align: upstream`` repeats that, only to be compared with their tables.

Source: Zhao et al., HAC-MoE, arXiv 2511.20045, Section IV-A. Its "standard deviations in [0.175 s, 2.5 s]" are
variances in the code that it builds on (FKP, DDSR, MLMC): ``axes: variance`` is the default, ``std`` takes the text at
its word.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rsdet.errors import ConfigError

ALIGN = ("center", "upstream")
AXES = ("variance", "std")
MAX_KERNEL_PX = 21
MAX_VARIANCE = 10.0  # px^2; wider kernels would not fit the largest window


def kernel_size(scale: int) -> int:
    """Side K of the kernel in HR pixels: 4 s + 3, at most 21."""
    return min(4 * scale + 3, MAX_KERNEL_PX)


def kernel_centre(size: int, scale: int, align: str = "center") -> float:
    """Where the centre of mass of a kernel belongs, counted from 0 along each axis."""
    return (size + scale) / 2 - 1 if align == "center" else (size - scale) / 2


def variance_range(scale: int, axes: str = "variance", wide: bool = False) -> tuple[float, float]:
    """Smallest and largest variance along a principal axis, in px^2; ``wide`` is the range of MLMC."""
    low, high = 0.175 * scale, 2.5 * scale
    if axes == "std":
        return low**2, high**2
    return (low + scale - 1, min(high, MAX_VARIANCE) + 6 + scale) if wide else (low, min(high, MAX_VARIANCE))


def gaussian_kernel(
    size: int,
    variances: tuple[float, float],
    angle_rad: float,
    centre: float,
    disturbance: np.ndarray | None = None,
) -> np.ndarray:
    """Anisotropic Gaussian whose centre of mass lies at ``centre``, after it was cut to its window and disturbed.

    Moving a finished kernel would need interpolation, which smooths it. The mean of the Gaussian is moved instead until
    the centre of mass is right; the disturbance stays with its element.

    Args:
        size: Side K in pixels.
        variances: Along the two principal axes, px^2.
        angle_rad: Direction of the first axis, counter-clockwise from x.
        centre: Wanted centre of mass along both axes, in pixels from the middle of element 0.
        disturbance: (K, K) factors, or None.

    Returns:
        (K, K) float32, non-negative, sums to one.
    """
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    turn = np.array([[c, -s], [s, c]])
    inverse = turn @ np.diag([1 / variances[0], 1 / variances[1]]) @ turn.T
    at = np.arange(size, dtype=np.float64)
    mean = np.array([centre, centre])  # x, y
    for _ in range(200):
        x, y = at[None, :] - mean[0], at[:, None] - mean[1]
        power = inverse[0, 0] * x * x + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y * y
        k = np.exp(-0.5 * (power - power.min()))
        k = k if disturbance is None else k * disturbance
        k /= k.sum()
        off = centre - centre_of_mass(k)
        if np.abs(off).max() < 1e-3:
            break
        mean = mean + np.clip(off, -1, 1)
    return k.astype(np.float32)


def centre_of_mass(kernel: np.ndarray) -> np.ndarray:
    """(x, y) of a kernel that sums to one, in pixels from the middle of element 0."""
    at = np.arange(kernel.shape[0])
    return np.array([kernel.sum(0) @ at, kernel.sum(1) @ at], np.float64)


def random_kernel(
    scale: int,
    rng: np.random.Generator,
    *,
    size: int | None = None,
    align: str = "center",
    axes: str = "variance",
    wide: bool = False,
    perturb: float = 0.0,
) -> np.ndarray:
    """Draw a kernel: variances uniform in their range, angle uniform in [0, pi], elements times 1 + U[-p, p].

    Returns:
        (K, K) float32, non-negative, sums to one, centre of mass at :func:`kernel_centre`.
    """
    size = size or kernel_size(scale)
    variances = rng.uniform(*variance_range(scale, axes, wide), 2)
    angle = rng.uniform(0, math.pi)
    factors = 1 + rng.uniform(-perturb, perturb, (size, size)) if perturb else None
    return gaussian_kernel(size, (variances[0], variances[1]), angle, kernel_centre(size, scale, align), factors)


def read_kernel(path: Any) -> np.ndarray:
    """Read a kernel (K, K) from a ``.npy`` file; its sum is made one.

    Raises:
        ConfigError: No such file, or no kernel in it.
    """
    try:
        kernel = np.load(str(path), allow_pickle=False)
        good = kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
        good = good and bool(np.isfinite(kernel).all() and kernel.min() >= 0 and kernel.sum() > 0)
    except Exception as e:  # whatever a foreign file makes NumPy raise
        raise ConfigError(
            f"degrade: kernel={path} cannot be read ({' '.join(str(e).split())[:80]}); pass a .npy"
        ) from e
    if not good:
        raise ConfigError(
            f"degrade: kernel={path} must be (K, K), K odd, non-negative and not zero; received {kernel.dtype} "
            f"{kernel.shape}"
        )
    return (kernel / kernel.sum()).astype(np.float32)
