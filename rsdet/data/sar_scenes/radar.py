"""The radar: a band-limited system that turns scatterers into an image with speckle and sidelobes.

A scene is a map of mean backscatter, seen through complex Gaussian reflectivity (this makes fully developed speckle),
and a list of point scatterers with fixed phase (these have none). Both pass the same band-limited transfer function,
whose impulse response is a weighted sinc in range and in azimuth: the cross that strong scatterers draw. Intensity is
averaged over independent looks, so homogeneous ground is gamma distributed with that many looks.
(I. Cumming, F. Wong, "Digital Processing of Synthetic Aperture Radar Data", 2005, chapters 2 and 5.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

GHOST_BLUR_PX = 12.0  # a ghost is spread over this many pixels times the bandwidth


@dataclass(frozen=True)
class Radar:
    """What of a sensor and its processing shows in the image.

    Attributes:
        looks: Independent looks, 1 or more.
        bandwidth: Processed bandwidth by sampling rate, range and azimuth, in (0, 1]: 0.8 is sampled 1.25 times.
        weighting: Generalised Hamming weighting of the band: 1 none (first sidelobe -13 dB), 0.54 Hamming (-42 dB).
        azimuth_deg: Direction of flight against the image's y axis; the sidelobes lie along it and across it.
        ambiguity: Amplitude of azimuth ghosts, 0 for none.
        ambiguity_px: Their distance in azimuth, in pixels.
    """

    looks: int
    bandwidth: tuple[float, float] = (0.85, 0.85)
    weighting: tuple[float, float] = (0.75, 0.75)
    azimuth_deg: float = 0.0
    ambiguity: float = 0.0
    ambiguity_px: float = 90.0

    @property
    def azimuth_xy(self) -> tuple[float, float]:
        """Unit vector of the azimuth axis in image coordinates."""
        angle = math.radians(self.azimuth_deg)
        return math.sin(angle), math.cos(angle)

    @property
    def range_xy(self) -> tuple[float, float]:
        """Unit vector that points away from the radar, across the azimuth axis."""
        angle = math.radians(self.azimuth_deg)
        return math.cos(angle), -math.sin(angle)

    def transfer(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the `(H, W)` complex64 transfer function on the grid of `numpy.fft.fft2`; its value at 0 is 1."""
        fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None]
        (rx, ry), (ax, ay) = self.range_xy, self.azimuth_xy
        f_range, f_azimuth = fx * rx + fy * ry, fx * ax + fy * ay
        gain = _band(f_range, self.bandwidth[0], self.weighting[0]) * _band(
            f_azimuth, self.bandwidth[1], self.weighting[1]
        )
        if not self.ambiguity:
            return gain.astype(np.complex64)
        # A ghost is focused with the wrong Doppler rate: blurred along range and azimuth by a quadratic phase.
        blur = np.exp(1j * math.pi * GHOST_BLUR_PX * (f_range**2 + f_azimuth**2))
        ghost = 2 * self.ambiguity * np.cos(2 * math.pi * f_azimuth * self.ambiguity_px) * blur
        return (gain * (1 + ghost)).astype(np.complex64)

    def image(
        self, backscatter: np.ndarray, points_xy: np.ndarray, points_power: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Image a scene.

        Args:
            backscatter: `(H, W)` mean intensity of every pixel, 0 or more.
            points_xy: `(N, 2)` positions of point scatterers in pixels; fractions are kept.
            points_power: `(N,)` intensity of each scatterer at its peak in the image.
            rng: Source of all randomness: speckle, and the phase of the scatterers.

        Returns:
            `(H, W)` float32 intensity.
        """
        h, w = backscatter.shape
        gain = self.transfer((h, w))
        clean = np.abs(gain) if not self.ambiguity else np.abs(Radar.transfer(_without_ghosts(self), (h, w)))
        fixed = _points(points_xy, points_power, (h, w), rng) * (gain / clean.mean())
        # Energy 1 for white reflectivity: the mean of the image is the mean backscatter.
        spread = gain / math.sqrt(float((clean**2).mean()))
        root = np.sqrt(backscatter.astype(np.float32) / 2)
        total = np.zeros((h, w), np.float32)
        for _ in range(self.looks):
            noise = rng.standard_normal((2, h, w), np.float32)
            look = np.fft.ifft2(np.fft.fft2(root * (noise[0] + 1j * noise[1])) * spread + fixed)
            total += look.real**2 + look.imag**2
        return (total / self.looks).astype(np.float32)


def _without_ghosts(radar: Radar) -> Radar:
    return Radar(radar.looks, radar.bandwidth, radar.weighting, radar.azimuth_deg)


def _band(frequency: np.ndarray, bandwidth: float, weighting: float) -> np.ndarray:
    inside = np.abs(frequency) <= bandwidth / 2
    return inside * (weighting + (1 - weighting) * np.cos(2 * math.pi * frequency / bandwidth))


def _points(xy: np.ndarray, power: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Spectrum of points at their exact places: a sum of phase ramps, each the product of one in x and one in y."""
    if not len(xy):
        return np.zeros(shape, np.complex64)
    amplitude = np.sqrt(power) * np.exp(2j * math.pi * rng.random(len(power)))
    y = np.exp(-2j * math.pi * np.fft.fftfreq(shape[0])[:, None] * xy[None, :, 1])
    x = np.exp(-2j * math.pi * xy[:, 0, None] * np.fft.fftfreq(shape[1])[None])
    return ((y * amplitude).astype(np.complex64)) @ x.astype(np.complex64)
