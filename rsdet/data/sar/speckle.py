"""Speckle: the multiplicative noise of coherent imaging, applied to pictures that may show decibels.

The intensity of a homogeneous surface seen with L looks is its reflectivity times ``G ~ Gamma(L, 1 / L)``, of mean 1
and variance 1 / L (Goodman, J. Opt. Soc. Am. 66, 1976; Oliver and Quegan, Understanding Synthetic Aperture Radar
Images, 2004, ch. 4). An amplitude is multiplied by ``sqrt(G)``; decibels of either gain ``10 log10(G)``.
"""

from __future__ import annotations

import albumentations as A
import numpy as np

from rsdet.data.sar.stretch import Stretch
from rsdet.errors import ConfigError

LAWS = ("db", "amplitude", "intensity")


class Speckle(A.ImageOnlyTransform):
    """Multiply by speckle of a random number of looks, in the domain of the values behind the gray levels.

    One draw serves all channels. Black (0), which is also "no data", stays black.

    Args:
        looks_range: Least and most looks; fewer are noisier.
        law: What gray levels are proportional to: ``amplitude``, ``intensity``, or ``db``.
        low: The value that became 0, in units of ``law``.
        high: The value that became full scale (255 of uint8, 1 of float32).
        p: Probability.

    Raises:
        ConfigError: Looks that are not positive, an unknown law, or no range.
    """

    def __init__(
        self,
        looks_range: tuple[float, float] = (8.0, 32.0),
        law: str = "amplitude",
        low: float = 0.0,
        high: float = 1.0,
        p: float = 0.5,
    ):
        super().__init__(p=p)
        if not 0 < looks_range[0] <= looks_range[1]:
            raise ConfigError(f"speckle: looks {tuple(looks_range)} must be positive and in order, such as (8, 32).")
        if law not in LAWS or not low < high:
            raise ConfigError(f"speckle: law {law!r} must be one of {list(LAWS)}, low {low} below high {high}.")
        self.looks_range, self.law, self.low, self.high = tuple(looks_range), law, low, high

    @classmethod
    def for_stretch(cls, stretch: Stretch | None, looks_range: tuple[float, float], p: float = 0.5) -> Speckle:
        """Return the speckle of pictures made with a stretch; without one gray levels are amplitudes.

        Raises:
            ConfigError: The pictures show velocities, which have no speckle.
        """
        if stretch is not None and stretch.signed:
            raise ConfigError("speckle= is for magnitudes, and the data are velocities; set speckle=0.")
        law = "intensity" if stretch is not None and stretch.quantity == "intensity" else "amplitude"
        if stretch is None or stretch.as_is or stretch.range is None:
            return cls(looks_range, law, p=p)
        return cls(looks_range, "db" if stretch.domain == "db" else law, *stretch.range, p=p)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Arguments to write down."""
        return ("looks_range", "law", "low", "high")

    def get_params_dependent_on_data(self, params: dict, data: dict) -> dict:
        """Draw the noise of one image."""
        looks = self.py_random.uniform(*self.looks_range)
        shape = params["shape"][:2]
        return {"noise": self.random_generator.standard_gamma(looks, shape, dtype=np.float32) / np.float32(looks)}

    def apply(self, img: np.ndarray, noise: np.ndarray, **params: object) -> np.ndarray:
        """Return the noisy picture.

        Args:
            img: (H, W) or (H, W, C), uint8, or float32 in [0, 1].
            noise: (H, W) draw of the gamma distribution of mean 1.
            **params: Not used.
        """
        full = 255.0 if img.dtype == np.uint8 else 1.0
        noise = noise if img.ndim == 2 else noise[..., None]
        x = img.astype(np.float32) * np.float32((self.high - self.low) / full) + np.float32(self.low)
        if self.law == "db":
            x += 10 * np.log10(np.maximum(noise, np.finfo(np.float32).tiny))
        else:
            x *= np.sqrt(noise) if self.law == "amplitude" else noise
        x = ((x - self.low) * (full / (self.high - self.low))).clip(0, full)
        x[img == 0] = 0
        return (x + 0.5).astype(np.uint8) if img.dtype == np.uint8 else x.astype(img.dtype)
