"""Reflectances of materials from 400 to 2500 nm, built of the absorptions that laboratory spectra of them show.

They have the shapes that tell materials apart (the red edge and the water of leaves, the iron and clay of soils, the
hydrocarbons of bitumen and paint), not the values of any one sample.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BANDS = 112
WAVELENGTHS_NM = np.linspace(405.0, 2495.0, BANDS)
GOOD = ~(((WAVELENGTHS_NM > 1340) & (WAVELENGTHS_NM < 1450)) | ((WAVELENGTHS_NM > 1790) & (WAVELENGTHS_NM < 1970)))
"""False where water vapour takes all light."""

_X = WAVELENGTHS_NM


def _dip(middle: float, width: float, depth: float) -> np.ndarray:
    """What an absorption leaves, (B,): 1 far from it."""
    return 1 - depth * np.exp(-0.5 * ((_X - middle) / width) ** 2)


def _rise(middle: float, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(_X - middle) / width))


def _leaves(green: float, water: float, plateau: float) -> np.ndarray:
    """Chlorophyll below 700 nm, a plateau, water at 970, 1200, 1450 and 1940 nm."""
    visible = 0.045 + 0.07 * (1.2 - green) * np.exp(-0.5 * ((_X - 555) / 38) ** 2) + 0.06 * (1 - green) * _rise(600, 40)
    red_edge = _rise(715 + 8 * green, 13)
    infrared = (
        plateau * (1 - 0.62 * water * _rise(1300, 90)) * _dip(970, 28, 0.12 * water) * _dip(1200, 45, 0.2 * water)
    )
    infrared = infrared * _dip(1450, 70, 0.6 * water) * _dip(1940, 95, 0.75 * water) * _dip(2500, 260, 0.5 * water)
    return visible * (1 - red_edge) + infrared * red_edge


def _straw(green: float) -> np.ndarray:
    """Dry stalks with cellulose at 2100 nm, over a little green."""
    dry = (0.12 + 0.3 * _rise(640, 130)) * _dip(2100, 60, 0.22) * _dip(1940, 60, 0.2) * _dip(1450, 45, 0.12)
    return (1 - 0.6 * green) * dry + 0.6 * green * _leaves(0.6, 0.7, 0.42)


def _soil(iron: float, clay: float) -> np.ndarray:
    bright = 0.09 + 0.32 * (1 - np.exp(-(_X - 380) / 620))
    return (
        bright
        * _dip(500, 70, 0.35 * iron)
        * _dip(880, 110, 0.2 * iron)
        * _dip(2205, 28, 0.25 * clay)
        * _dip(1915, 45, 0.25)
    )


def _asphalt(age: float) -> np.ndarray:
    return (0.07 + 0.07 * age + 0.05 * (_X - 400) / 2100) * _dip(1725, 35, 0.05) * _dip(2310, 40, 0.1)


def _bitumen(age: float) -> np.ndarray:
    """A flat roof: asphalt but for its stronger hydrocarbons, so that its height tells more than its colour."""
    return _asphalt(age) * _dip(1725, 40, 0.1) * _dip(2310, 45, 0.12) * 0.96


def _concrete(age: float) -> np.ndarray:
    return (
        (0.2 + 0.1 * age) * (0.75 + 0.4 * (1 - np.exp(-(_X - 390) / 300))) * _dip(2335, 40, 0.14) * _dip(1935, 60, 0.2)
    )


def _tiles(age: float) -> np.ndarray:
    """Fired clay: iron below 600 nm and at 880 nm."""
    return (0.06 + (0.34 - 0.08 * age) * _rise(600, 28)) * _dip(880, 90, 0.16) * _dip(2200, 30, 0.05)


def _water(murk: float) -> np.ndarray:
    return (0.03 + 0.06 * murk * np.exp(-0.5 * ((_X - 570) / 70) ** 2)) * np.exp(
        -np.clip(_X - 580, 0, None) / 110
    ) + 0.004


MATERIALS: dict[str, Callable[[float], np.ndarray]] = {
    "grass": lambda v: _leaves(0.45 + 0.4 * v, 0.6 + 0.3 * v, 0.46),
    "trees": lambda v: 0.9 * _leaves(0.6 + 0.35 * v, 0.75 + 0.25 * v, 0.44),
    "stubble": lambda v: _straw(0.9 * v),
    "bare soil": lambda v: _soil(0.2 + 0.7 * v, 0.3 + 0.6 * v),
    "asphalt": _asphalt,
    "bitumen roof": _bitumen,
    "tile roof": _tiles,
    "concrete": _concrete,
    "water": _water,
}
"""Class to its reflectance (B,) for a variant from 0 to 1: ripe or young, old or new."""


def paint(hue: float) -> np.ndarray:
    """Painted metal, (B,): a colour from 0 (blue) to 1 (green), and the hydrocarbons of its binder."""
    colour = 0.34 * np.exp(-0.5 * ((_X - (465 + 70 * hue)) / 42) ** 2)
    body = 0.06 + 0.42 * _rise(840 - 60 * hue, 35)
    return (colour + body) * _dip(1195, 35, 0.2) * _dip(1725, 32, 0.45) * _dip(2310, 48, 0.55)
