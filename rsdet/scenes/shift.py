"""How far two pictures of one place lie apart, tile by tile, by phase correlation.

Kuglin and Hines, The phase correlation image alignment method, 1975: a shift turns the phases of all frequencies, so
the normalised cross power spectrum of both pictures has one peak where it lies. The place of the peak between pixels is
found as in Guizar-Sicairos, Thurman and Fienup, Efficient subpixel image registration algorithms, Optics Letters 33(2),
2008: the inverse transform is written out as a product of matrices on a fine grid around it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

TELL_PX = 2.0  # dates that lie farther apart than this are told
MOST_TILES = 1024  # that are looked at in a pair of rasters
_FINE = 20  # places per pixel around the peak
_CUT = 0.25  # standard deviation of the low-pass, in cycles a pixel: higher frequencies are noise and aliases
_REACH = 4  # a peak may lie by this part of the side from the middle
# Standard deviations of the correlation: noise of 256 x 256 places has its highest at about 4.5, houses and fields of
# other places at up to 12 somewhere. Far from the middle there are more places where chance may have one.
_LEAST_PEAK, _LEAST_PEAK_FAR, _FAR_PX = 8.0, 13.0, 16
_BESIDE_PX, _MOST_SECOND = 4, 0.7  # a second peak farther away must be so much lower: edges and rows look alike
_LEAST_CONTRAST = 1.0  # grey levels of 255
_LEAST_VALID = 0.75  # of the pixels


@dataclass(frozen=True)
class Shift:
    """How far what is seen at a place lies from where it was before.

    Attributes:
        x_px: Columns to the right.
        y_px: Rows down.
        peak: Height of the peak in standard deviations of the correlation.
    """

    x_px: float
    y_px: float
    peak: float

    @property
    def length_px(self) -> float:
        """Distance in pixels."""
        return float(np.hypot(self.x_px, self.y_px))


def tile_shift(before: np.ndarray, after: np.ndarray, valid: np.ndarray | None = None) -> Shift | None:
    """Measure how far one picture lies from another.

    Args:
        before: (H, W) or (H, W, C), values on a scale of 255.
        after: The same place later, of the same size.
        valid: (H, W) bool, where both show anything; None for everywhere.

    Returns:
        Where the content of ``after`` lies, seen from ``before``, up to a quarter of the side; None where the pictures
        do not say: too little contrast, too few valid pixels, or no peak that stands out.
    """
    planes = []
    height, width = before.shape[:2]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    there = np.ones((height, width), bool) if valid is None else valid
    if there.mean() < _LEAST_VALID:
        return None
    for picture in (before, after):
        grey = np.asarray(picture, np.float64).reshape(height, width, -1).mean(2)
        values = grey[there]
        if values.std() < _LEAST_CONTRAST:
            return None
        planes.append(np.where(there, grey - values.mean(), 0.0) * window)
    one, other = (np.fft.rfft2(p) for p in planes)
    power = other * one.conj()
    size = np.abs(power)
    power = np.divide(power, size, out=np.zeros_like(power), where=size > 1e-9 * size.max()) * _low_pass(height, width)
    surface = np.fft.irfft2(power, s=(height, width))
    reach = tuple(np.abs(_signed(n)) <= n // _REACH for n in (height, width))
    near = np.where(np.outer(*reach), surface, -np.inf)
    y, x = (int(i) for i in np.unravel_index(near.argmax(), near.shape))
    peak = float((surface[y, x] - surface.mean()) / surface.std())
    dy, dx = (int(_signed(n)[i]) for n, i in ((height, y), (width, x)))
    beside = [np.abs(_signed(n) - d) <= _BESIDE_PX for n, d in ((height, dy), (width, dx))]
    second = np.where(np.outer(*beside), -np.inf, near).max()
    least = float(np.interp(np.hypot(dy, dx), [0, _FAR_PX], [_LEAST_PEAK, _LEAST_PEAK_FAR]))
    if not (peak >= least and second < _MOST_SECOND * surface[y, x]):
        return None
    dy, dx = _refined(power, (height, width), dy, dx)
    return Shift(dx, dy, peak)


def _refined(power: np.ndarray, size_hw: tuple[int, int], dy: int, dx: int) -> tuple[float, float]:
    """The peak of the transform of half a spectrum (H, W // 2 + 1) within a pixel of a place, between pixels."""
    height, width = size_hw
    steps = np.arange(-_FINE, _FINE + 1) / _FINE
    rows = np.exp(2j * np.pi * np.outer(dy + steps, np.fft.fftfreq(height)))
    columns = np.exp(2j * np.pi * np.outer(np.fft.rfftfreq(width), dx + steps))
    twice = np.full(power.shape[1], 2.0)  # each stands for its mirror, too, but for the first and, of even widths, last
    twice[0] = 1
    twice[-1] = 1 if width % 2 == 0 else 2
    fine = (rows @ (power * twice) @ columns).real
    i, j = np.unravel_index(fine.argmax(), fine.shape)
    return dy + _vertex(steps, fine[:, j], int(i)), dx + _vertex(steps, fine[i], int(j))


def _vertex(steps: np.ndarray, values: np.ndarray, i: int) -> float:
    """Where the parabola through the highest value and its neighbours has its top."""
    if not 0 < i < len(values) - 1:
        return float(steps[i])
    low, high = values[i - 1] - values[i], values[i + 1] - values[i]
    bend = low + high
    return float(steps[i] + (0.5 * (low - high) / bend / _FINE if bend < 0 else 0.0))


@lru_cache(maxsize=4)
def _low_pass(height: int, width: int) -> np.ndarray:
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    return np.exp(-(y**2 + x**2) / (2 * _CUT**2))


def _signed(n: int) -> np.ndarray:
    """(n,) shifts that the places of a transform stand for."""
    return np.rint(np.fft.fftfreq(n) * n).astype(int)


def spread(count: int, most: int = MOST_TILES) -> list[int]:
    """Numbers of the tiles of so many that are looked at: all, or some evenly spread from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int)).tolist()


def told(shifts: Collection[Shift], least_px: float = TELL_PX) -> str:
    """What to tell of shifts, in a line; empty where none of them is larger than what may be.

    Args:
        shifts: Of tiles.
        least_px: What may be, in pixels.
    """
    far = [s for s in shifts if s.length_px > least_px]
    if not far:
        return ""
    x, y = (float(np.median(values)) for values in ([s.x_px for s in far], [s.y_px for s in far]))
    most = max(s.length_px for s in far)
    return (
        f"the dates lie more than {least_px:g} px apart in {len(far)} of {len(shifts)} tiles that say where "
        f"(there by {x:+.1f} px along x and {y:+.1f} px along y, in the middle; {most:.1f} px at most): what has only "
        "moved looks changed; register one date to the other first"
    )
