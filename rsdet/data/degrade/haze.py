"""Haze by atmospheric scattering, on any clear picture: I(x) = J(x) t(x) + A (1 - t(x)).

J is the clear picture, t the share of light that reaches the camera (transmission) and A the light of the haze itself
(airlight). The ranges of LHID (Zhang et al., HRSD) are the defaults: t from 0.35 to 0.65, A from 0.7 to 1. LHID takes
one t for a whole picture (``field: uniform``); real haze drifts, so the default is a smooth random field. Transmission
maps measured elsewhere (as DHID uses) or depth maps can stand in a folder: ``maps:``.

Source: McCartney, Optics of the Atmosphere, 1976; Narasimhan and Nayar, Vision and the Atmosphere, IJCV 48, 2002; the
form above is Eq. 1 of He et al., Single Image Haze Removal Using Dark Channel Prior, TPAMI 33(12), 2011.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.data.degrade.base import Degradation, check_bits, check_keys, number_range
from rsdet.data.images import SUFFIXES
from rsdet.data.raster_io import read_image
from rsdet.errors import ConfigError, nearest

# Ranges of t by the names that people use; the three do not overlap.
DENSITIES = {"light": (0.65, 0.9), "medium": (0.4, 0.65), "dense": (0.15, 0.4)}
FIELDS = ("uniform", "noise", "maps")
_LHID_T, _LHID_A = (0.35, 0.65), (0.7, 1.0)
_KEYS = ("t", "density", "airlight", "tint", "field", "blob_px", "octaves", "maps", "depth", "beta", "bits")
_LOGISTIC = 1.702  # 1 / (1 + exp(-1.702 z)) is within 0.01 of the normal distribution function


def add_haze(clear: np.ndarray, transmission: np.ndarray | float, airlight: np.ndarray | float) -> np.ndarray:
    """Apply the scattering model.

    Args:
        clear: (H, W, C) in [0, 1].
        transmission: A number or (H, W), 0 (nothing but haze) to 1 (clear).
        airlight: A number or one per channel, in [0, 1].

    Returns:
        (H, W, C) float32 in [0, 1].
    """
    t = np.asarray(transmission, np.float32)
    t = t[..., None] if t.ndim == 2 else t
    return (clear * t + np.asarray(airlight, np.float32) * (1 - t)).astype(np.float32)


def noise_field(shape: tuple[int, int], blob_px: float, octaves: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth random field, all values from 0 to 1 about equally common over many fields.

    Each octave is a grid of normal numbers, half as wide and half as strong as the one before, made smooth by cubic
    B-splines; the sum goes through the normal distribution function.

    Args:
        shape: Height and width in pixels; any, for a field has no period.
        blob_px: Grid distance of the first octave.
        octaves: 1 or more.
        rng: Where the numbers come from.

    Returns:
        (H, W) float32 in (0, 1).
    """
    total, variance = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        cell = max(blob_px / 2**octave, 1.0)
        rows, columns = (_spline(n, cell, rng.random()) for n in shape)
        grid = rng.standard_normal((rows.shape[1], columns.shape[1])).astype(np.float32)
        total += 0.5**octave * (rows @ grid @ columns.T)
        variance += 0.25**octave * _SPLINE_POWER**2
    return 1 / (1 + np.exp(-_LOGISTIC / math.sqrt(variance) * total))


def _spline(n: int, cell: float, phase: float) -> np.ndarray:
    """(n, knots) weights of the cubic B-spline at n pixels; each row sums to one."""
    at = (np.arange(n) + 0.5) / cell + phase
    knots = np.arange(int(at[-1]) + 4)
    d = np.abs(at[:, None] - (knots[None] - 1))
    return np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.clip(2 - d, 0, None) ** 3 / 6).astype(np.float32)


# Mean over the cell of the sum of squared B-spline weights: how much the spline damps the variance along one axis.
_SPLINE_POWER = 151 / 315


class Haze(Degradation):
    """The ``haze`` degradation.

    Keys of the section, all optional:
        t: Range of the transmission, ``[0.35, 0.65]``; or ``density: light | medium | dense``.
        airlight: Range of A, ``[0.7, 1.0]``; one number is drawn for a picture.
        tint: Each channel's A differs from it by up to this much; 0.
        field: ``noise`` (default) for a field that covers the range of t within a picture, ``uniform`` for one t,
            ``maps`` for maps from a folder.
        blob_px: Size of the largest wisps in pixels, 256. ``octaves``: 4.
        maps: Folder of maps: transmission, 0 to 1 over the range of the files; ``depth: true`` for depth, of which
            t = exp(-beta d) with d from 0 to 1 and ``beta`` drawn from a range, ``[0.5, 2.0]``.
        bits: Rounding of the result; see :class:`Degradation`.
    """

    name, kind, is_random = "haze", "dehaze", True

    def __init__(self, spec: dict[str, Any], scale: int = 1):
        check_keys(spec, _KEYS)
        if scale != 1:
            raise ConfigError(f"degrade: haze keeps the size and the model enlarges by {scale}; use name: bicubic")
        if "t" in spec and "density" in spec:
            raise ConfigError("degrade: t and density both say how dense the haze is; give one of them")
        density = spec.get("density")
        if density is not None and density not in DENSITIES:
            known = ", ".join(DENSITIES)
            raise ConfigError(
                f"degrade: density must be one of {known}, received {density!r}.{nearest(str(density), DENSITIES)}"
            )
        self.t = DENSITIES[density] if density else number_range(spec, "t", _LHID_T, 0.0, 1.0)
        self.airlight = number_range(spec, "airlight", _LHID_A, 0.0, 1.0)
        self.tint = number_range(spec, "tint", (0.0, 0.0), 0.0, 1.0)[1]
        self.blob_px = number_range(spec, "blob_px", (256.0, 256.0), 2.0, 1e6)
        self.octaves = int(number_range(spec, "octaves", (4, 4), 1, 12)[0])
        self.beta = number_range(spec, "beta", (0.5, 2.0), 0.0, 100.0)
        self.depth = bool(spec.get("depth", False))
        self.field = spec.get("field", "maps" if "maps" in spec else "noise")
        self.bits = check_bits(spec)
        if self.field not in FIELDS:
            raise ConfigError(f"degrade: field must be one of {', '.join(FIELDS)}, received {self.field!r}")
        self.maps = _list_maps(spec.get("maps")) if self.field == "maps" else []

    def transmission(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray | np.float32:
        """Draw t: a number for ``uniform``, else (H, W), within the range of ``t`` unless it comes from maps."""
        low, high = self.t
        if self.field == "uniform":
            return np.float32(rng.uniform(low, high))
        if self.field == "noise":
            return low + (high - low) * noise_field(shape, rng.uniform(*self.blob_px), self.octaves, rng)
        values = _fitted(_read_map(self.maps[rng.integers(len(self.maps))]), shape, rng)
        return np.exp(-np.float32(rng.uniform(*self.beta)) * values) if self.depth else values

    def __call__(self, clear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Haze a picture (H, W, C) in [0, 1]; see :class:`Degradation`."""
        t = self.transmission(clear.shape[:2], rng)
        airlight = rng.uniform(*self.airlight) + self.tint * rng.uniform(-1, 1, clear.shape[2])
        return add_haze(clear, t, np.clip(airlight, 0, 1))

    def describe(self) -> str:
        """Such as ``haze: t 0.35-0.65 (noise), A 0.7-1``."""
        t = f"{len(self.maps)} maps" if self.field == "maps" else f"t {self.t[0]:g}-{self.t[1]:g} ({self.field})"
        return f"haze: {t}, A {self.airlight[0]:g}-{self.airlight[1]:g}"


def _list_maps(folder: Any) -> list[Path]:
    if not isinstance(folder, (str, Path)):
        raise ConfigError("degrade: field: maps needs maps: with the folder of transmission or depth maps")
    root = Path(folder).expanduser()
    found = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES) if root.is_dir() else []
    if not found:
        raise ConfigError(f"degrade: maps={folder} holds no pictures; expected a folder of transmission or depth maps")
    return found


@lru_cache(maxsize=64)
def _read_map(path: Path) -> np.ndarray:
    return read_image(path, channels=1)[0][..., 0]


def _fitted(plane: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A random place of a map, turned or mirrored at random; enlarged where the map is too small."""
    plane = np.rot90(plane, rng.integers(4))
    plane = plane[:, ::-1] if rng.random() < 0.5 else plane
    factor = max(shape[0] / plane.shape[0], shape[1] / plane.shape[1], 1.0)
    if factor > 1:
        size = tuple(max(math.ceil(n * factor), m) for n, m in zip(plane.shape[::-1], shape[::-1], strict=True))
        plane = cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_LINEAR)
    y, x = (int(rng.integers(have - want + 1)) for have, want in zip(plane.shape, shape, strict=True))
    return np.ascontiguousarray(plane[y : y + shape[0], x : x + shape[1]])
