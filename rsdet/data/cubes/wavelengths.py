"""Wavelengths of the bands in nanometres, whatever unit a file gives them in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsdet.quiet import say

_NM = {
    "nanometers": 1.0, "nanometres": 1.0, "nanometer": 1.0, "nm": 1.0, "micrometers": 1e3, "micrometres": 1e3,
    "micrometer": 1e3, "microns": 1e3, "um": 1e3, "µm": 1e3, "μm": 1e3, "millimeters": 1e6, "mm": 1e6,
    "centimeters": 1e7, "cm": 1e7, "meters": 1e9, "m": 1e9, "angstroms": 0.1,
}  # fmt: skip
_PER = {"wavenumber": 1e7, "1/cm": 1e7, "cm-1": 1e7, "mhz": 2.99792458e11, "ghz": 2.99792458e8}  # nm = this / value
_SUNLIGHT_UM = (0.2, 20.0)
_SUNLIGHT_NM = (200.0, 20_000.0)


def in_nm(values: Sequence[float] | np.ndarray | None, unit: str, path: Path) -> np.ndarray | None:
    """Wavelengths in nanometres.

    Args:
        values: (B,) as the file has them; None without.
        unit: What the file calls their unit; empty where it does not.
        path: The file, for messages.

    Returns:
        (B,) float64; None where they are no wavelengths, which is said.
    """
    if values is None:
        return None
    x = np.asarray(values, np.float64).ravel()
    unit = unit.strip().lower()
    if not (np.isfinite(x).all() and (x > 0).all()):
        say(f"{path}: its wavelengths are not all above 0 and are left out; bands go by number.")
        return None
    if unit in _NM:
        return x * _NM[unit]
    if unit in _PER:
        return _PER[unit] / x
    if unit not in ("", "unknown"):
        say(f"{path}: its wavelengths are in {unit}, which is no unit of length, and left out; bands go by number.")
        return None
    for (low, high), factor, name in ((_SUNLIGHT_UM, 1e3, "micrometres"), (_SUNLIGHT_NM, 1.0, "nanometres")):
        if low <= x.min() and x.max() <= high:
            say(f"{path}: the unit of its wavelengths ({x.min():g} to {x.max():g}) is not said; taken as {name}.")
            return x * factor
    say(f"{path}: its wavelengths ({x.min():g} to {x.max():g}) have no unit and are left out; bands go by number.")
    return None
