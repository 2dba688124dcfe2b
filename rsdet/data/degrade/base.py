"""What all degradations have in common, and how their names are found."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from rsdet.errors import ConfigError, nearest

# Name in data YAMLs -> module and class; imported when asked for.
_KNOWN = {
    "haze": ("rsdet.data.degrade.haze", "Haze"),
    "bicubic": ("rsdet.data.degrade.resize", "Resize"),
    "bilinear": ("rsdet.data.degrade.resize", "Resize"),
    "blind": ("rsdet.data.degrade.blind", "Blind"),
}


class Degradation:
    """From a clear picture to the one that a network gets.

    A subclass takes ``(spec, scale)``, the section of the data YAML and the scale of the model; checks every key of
    it; and implements :meth:`__call__`.

    Attributes:
        name: Name in data YAMLs.
        kind: What undoes it: ``dehaze`` or ``superres``.
        scale: Clear pixels per pixel of the result, along each axis.
        margin_px: Clear pixels beyond a patch that its result depends on; patches are cut with this margin, degraded,
            and cut to size, so that they equal the same patch of the whole degraded picture. A multiple of ``scale``.
        bits: Depth that the result is rounded to, as if it came from a file: a number, None for none, or ``"source"``
            for that of the clear picture's file.
        is_random: Two calls with different generators differ.
    """

    name: str = ""
    kind: str = "superres"
    scale: int = 1
    margin_px: int = 0
    bits: int | str | None = "source"
    is_random: bool = False

    def __call__(self, clear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Degrade a picture.

        Args:
            clear: (s * h, s * w, C) float32 in [0, 1].
            rng: Source of all randomness, so that a sample is the same in any worker and any process.

        Returns:
            (h, w, C) float32 in [0, 1].
        """
        raise NotImplementedError

    def describe(self) -> str:
        """The convention in a few words, to stand beside numbers."""
        raise NotImplementedError


def names() -> list[str]:
    """Names that ``degrade: {name: ...}`` takes."""
    return sorted(_KNOWN)


def build_degradation(spec: dict[str, Any] | str, scale: int = 1) -> Degradation:
    """Build what a ``degrade:`` section asks for.

    Args:
        spec: ``{name: haze, t: [0.35, 0.65]}``; a bare name stands for its defaults.
        scale: Scale of the model: clear pixels per input pixel.

    Raises:
        ConfigError: No such degradation, an unknown key, or a value that it does not take.
    """
    spec = {"name": spec} if isinstance(spec, str) else spec
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        raise ConfigError(f"degrade: must be a mapping with a name, such as {{name: haze}}, received {spec!r}")
    if not isinstance(scale, int) or isinstance(scale, bool) or scale < 1:
        raise ConfigError(f"scale must be a whole number from 1, received {scale!r}")
    if spec["name"] not in _KNOWN:
        known = names()
        raise ConfigError(
            f"degrade: name must be one of {', '.join(known)}, received {spec['name']!r}.{nearest(spec['name'], known)}"
        )
    module, cls = _KNOWN[spec["name"]]
    return getattr(import_module(module), cls)(dict(spec), scale)


def check_keys(spec: dict[str, Any], known: tuple[str, ...]) -> None:
    """Raise `ConfigError` for a key of a ``degrade:`` section that the degradation does not have."""
    for key in spec:
        if key != "name" and key not in known:
            raise ConfigError(
                f"degrade: {spec['name']} has no key {key!r}; it takes {', '.join(known)}.{nearest(str(key), known)}"
            )


def number_range(
    spec: dict[str, Any], key: str, default: tuple[float, float], low: float, high: float
) -> tuple[float, float]:
    """A key that holds a number or two, smaller first, within ``[low, high]``.

    Raises:
        ConfigError: It holds anything else.
    """
    value = spec.get(key, default)
    pair = value if isinstance(value, (list, tuple)) else (value, value)
    good = len(pair) == 2 and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in pair)
    if not good or not low <= pair[0] <= pair[1] <= high:
        raise ConfigError(
            f"degrade: {key} must be a number from {low:g} to {high:g} or two, the smaller first; received {value!r}"
        )
    return float(pair[0]), float(pair[1])


def check_bits(spec: dict[str, Any]) -> int | str | None:
    """The ``bits`` key: 8 or 16, ``source`` (default), or null for no rounding."""
    bits = spec.get("bits", "source")
    if bits not in (8, 16, None, "source"):
        raise ConfigError(f"degrade: bits must be 8, 16, source or null, received {bits!r}; leave it out for source")
    return bits
