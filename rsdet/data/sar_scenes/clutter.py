"""Clutter of synthetic aperture radar: speckle, correlated gamma texture and their product, the K distribution.

The product model: intensity = mean x texture x speckle. Speckle of L looks is gamma distributed with mean 1 and
variance 1/L; texture is gamma distributed with shape nu and mean 1; the product has the moments

    E[I] = mean,    E[I^2] / E[I]^2 = (1 + 1/nu) (1 + 1/L)

(E. Jakeman, P. Pusey, "A model for non-Rayleigh sea echo", IEEE Trans. Antennas and Propagation 24 (1976) 806-814;
K. Ward, "Compound representation of high resolution sea clutter", Electronics Letters 17 (1981) 561-563).
Texture is correlated from pixel to pixel (wind streaks, swell), speckle is not.
"""

from __future__ import annotations

import math

import numpy as np

from rsdet.errors import ConfigError


def _positive(name: str, value: float, *, infinite: bool = False) -> float:
    number = float(value) if isinstance(value, int | float | np.number) else math.nan
    if not number > 0 or (math.isinf(number) and not infinite):
        upto = "above 0 (inf allowed)" if infinite else "above 0"
        raise ConfigError(f"{name}={value} received; expected a number {upto}; change {name}")
    return number


def _lengths(correlation_px: float | tuple[float, float]) -> tuple[float, float]:
    pair = (correlation_px,) * 2 if np.isscalar(correlation_px) else tuple(correlation_px)
    if len(pair) != 2 or not all(isinstance(c, int | float | np.number) and 0 <= c < math.inf for c in pair):
        raise ConfigError(
            f"correlation_px={correlation_px} received; expected one number or two of 0 or more; change correlation_px"
        )
    return float(pair[0]), float(pair[1])


def _grid_shape(shape: tuple[int, int]) -> tuple[int, int]:
    try:
        h, w = (int(n) for n in shape)
    except (TypeError, ValueError):
        h = w = 0
    if min(h, w) < 1:
        raise ConfigError(f"shape={shape!r} received; expected (height, width), each 1 or more; change shape")
    return h, w


def gaussian_field(
    shape: tuple[int, int],
    correlation_px: float | tuple[float, float],
    rng: np.random.Generator,
    angle_deg: float = 0.0,
    wavelength_px: float | None = None,
) -> np.ndarray:
    """Draw a correlated Gaussian field of mean about 0 and variance 1.

    The autocorrelation at distance d along an axis is `exp(-(d / c)^2)`, c the correlation length along that axis; with
    a wavelength it is multiplied by `cos(2 pi x / wavelength)`, x along the first axis: swell.

    Args:
        shape: `(H, W)`.
        correlation_px: Correlation length in pixels, one number or `(along x', along y')` of the turned axes.
        rng: Source of all randomness.
        angle_deg: Angle of x' against the image's x axis, towards y.
        wavelength_px: Length of the waves that travel along x', or None for no waves.

    Raises:
        ConfigError: A correlation length is negative or no number.

    Returns:
        `(H, W)` float32. The field is periodic over the image (it is made with a Fourier transform).
    """
    h, w = _grid_shape(shape)
    cx, cy = _lengths(correlation_px)
    fy, fx = np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None]
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    u, v = fx * c + fy * s, -fx * s + fy * c
    # The amplitude filter is the square root of the power spectrum exp(-(pi c f)^2), the transform of exp(-(d/c)^2).
    across = np.exp(-0.5 * (math.pi * cy * v) ** 2)
    if wavelength_px is None:
        gain = np.exp(-0.5 * (math.pi * cx * u) ** 2) * across
    else:
        k = 1.0 / wavelength_px
        power = np.exp(-((math.pi * cx * (u - k)) ** 2)) + np.exp(-((math.pi * cx * (u + k)) ** 2))
        gain = np.sqrt(power) * across
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((h, w), np.float32)) * gain, s=(h, w))
    return (field / max(float(field.std()), 1e-12)).astype(np.float32)


def gamma_speckle(shape: tuple[int, int], looks: float, rng: np.random.Generator) -> np.ndarray:
    """Draw uncorrelated speckle of an intensity image.

    Args:
        shape: `(H, W)`.
        looks: Number of looks L > 0; fractions are allowed (the equivalent number of looks of real products).
        rng: Source of all randomness.

    Returns:
        `(H, W)` float32, mean 1, variance 1/L.

    Raises:
        ConfigError: The number of looks is not above 0, or the shape is no image's.
    """
    looks = _positive("looks", looks)
    return (rng.standard_gamma(looks, _grid_shape(shape)) / looks).astype(np.float32)


def gamma_texture(
    shape: tuple[int, int],
    nu: float,
    rng: np.random.Generator,
    *,
    correlation_px: float | tuple[float, float] = 8.0,
    angle_deg: float = 0.0,
    field: np.ndarray | None = None,
) -> np.ndarray:
    """Draw spatially correlated gamma texture.

    Independent gamma samples are put in the order of a correlated Gaussian field, so the values are exactly gamma
    distributed whatever the correlation, and no quantile function is needed.

    Args:
        shape: `(H, W)`.
        nu: Shape > 0; small is spiky, `inf` gives no texture (ones).
        rng: Source of all randomness.
        correlation_px: Correlation length of the field, as in `gaussian_field`; 0 gives uncorrelated texture.
        angle_deg: Its direction.
        field: `(H, W)` field whose order is taken instead of drawing one.

    Returns:
        `(H, W)` float32, mean 1, variance 1/nu.

    Raises:
        ConfigError: nu is not above 0, or a correlation length is negative.
    """
    nu = _positive("nu", nu, infinite=True)
    shape = _grid_shape(shape)
    if math.isinf(nu):
        return np.ones(shape, np.float32)
    values = rng.standard_gamma(nu, shape[0] * shape[1]) / nu
    if field is None:
        if not any(_lengths(correlation_px)):
            return values.reshape(shape).astype(np.float32)
        field = gaussian_field(shape, correlation_px, rng, angle_deg)
    texture = np.empty(values.size, np.float32)
    texture[np.argsort(field, axis=None, kind="stable")] = np.sort(values)
    return texture.reshape(shape)


def k_clutter(
    shape: tuple[int, int],
    *,
    looks: float,
    nu: float,
    mean: float = 1.0,
    correlation_px: float | tuple[float, float] = 8.0,
    angle_deg: float = 0.0,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw K distributed clutter, or homogeneous gamma clutter with `nu=inf`.

    Args:
        shape: `(H, W)`.
        looks: Number of looks L > 0.
        nu: Shape of the texture > 0; `inf` gives speckle alone.
        mean: Mean intensity > 0.
        correlation_px: Correlation length of the texture, as in `gaussian_field`.
        angle_deg: Its direction.
        rng: Source of all randomness.

    Returns:
        `(H, W)` float32 intensity; its square root is the amplitude.

    Raises:
        ConfigError: looks, nu or mean is not above 0, or a correlation length is negative.
    """
    mean = _positive("mean", mean)
    texture = gamma_texture(shape, nu, rng, correlation_px=correlation_px, angle_deg=angle_deg)
    return np.float32(mean) * texture * gamma_speckle(shape, looks, rng)
