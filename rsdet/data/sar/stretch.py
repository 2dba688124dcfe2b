"""The rule by which SAR values become 0..255: what they are, where they are cut, and how they are spread between.

A picture must look the same in training, in validation, in prediction and in every exported format, so the rule holds
its numbers and its own way through ``sar:`` of a data YAML, ``model.yaml["sar"]`` and the metadata of an artifact.
Grey levels are found by comparing values with the 255 limits between them, which are computed once in float64: the
picture does not depend on how a processor rounds logarithms, and brighter values never come out darker.

Velocities (InSAR) have limits of -v and v and the grey levels 1 to 255 in steps of v / 127: zero is 128, and so is
whatever has no velocity, which a network then takes for ground at rest.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from rsdet.data.sar.section import INNER, MM_Y, VELOCITY, read_section
from rsdet.errors import ConfigError, DataError, nearest

_CHOICES = {
    "quantity": ("amplitude", "intensity", "complex", VELOCITY),
    "units": ("linear", "db", MM_Y),
    "domain": ("db", "linear", MM_Y),
    "method": ("percentile", "sigma", "range"),
}
_CHUNK = 1 << 22  # pixels compared at once
_ENOUGH = 1 << 22  # pixels that per_image limits are taken from
_REST = 128  # grey level of a velocity of zero
_STEPS = 127  # grey levels from there to v
_SLOWEST = 0.5  # mm/y; limits below are those of metres or centimetres taken for millimetres


@dataclass(frozen=True)
class Stretch:
    """How the values of a SAR data set become 0..255; the ``sar:`` section of a data YAML.

    With ``x`` a value in ``domain`` and ``(lo, hi) = range``, the grey level is ``round(255 (x - lo) / (hi - lo))``
    cut to 0..255. Decibels are ``20 log10`` of an amplitude and ``10 log10`` of an intensity.

    Attributes:
        quantity: ``amplitude``, ``intensity``, ``complex`` (its magnitude, an amplitude, is taken), or ``velocity``
            along the line of sight.
        units: ``linear`` or ``db``: what the numbers in the files are; ``mm/y`` of velocities.
        nodata: Value that means "no data", in the units of the files.
        domain: ``db`` or ``linear``: where ``low``, ``high`` and ``range`` are meant; ``mm/y`` of velocities.
        method: ``percentile``, ``sigma``, ``range``, or ``none`` for 8-bit values that are taken as they are.
        low: Percentile 0..100; standard deviations below the mean; or the value itself.
        high: Percentile 0..100; standard deviations above the mean; or the value itself.
        per_image: Cut each image by its own limits.
        range: Limits in ``domain``, once measured; with ``per_image`` those of the whole set, for augmentation only.
        dtype: Sample type of the files that it was measured on.
        coherence: Of velocities: folder beside ``images`` with the coherence of each file.
        coherence_min: Velocities of less coherence are no data.

    Raises:
        ConfigError: A value that is not one of these, or limits in the wrong order.
    """

    quantity: str = "amplitude"
    units: str = "linear"
    nodata: float | None = None
    domain: str = "db"
    method: str = "percentile"
    low: float = 1.0
    high: float = 99.5
    per_image: bool = False
    range: tuple[float, float] | None = None
    dtype: str | None = None
    coherence: str | None = None
    coherence_min: float | None = None

    def __post_init__(self) -> None:
        self._check_velocity()
        for key, known in _CHOICES.items():
            value = getattr(self, key)
            if value not in known and not (key == "method" and value == "none"):
                raise ConfigError(f"sar: {key}: {value!r} must be one of {list(known)}.{nearest(str(value), known)}")
        if self.quantity == "complex" and self.units == "db":
            raise ConfigError("sar: complex data cannot be in dB; say units: linear.")
        if self.method == "none":
            return
        low, high = (-self.low, self.high) if self.method == "sigma" else (self.low, self.high)
        if low >= high:
            raise ConfigError(
                f"sar: stretch: low {self.low:g} and high {self.high:g} of method {self.method} leave nothing between; "
                "low must be below high, e.g. low: 1, high: 99.5."
            )
        if self.method == "percentile" and not (self.low >= 0 and self.high <= 100):
            raise ConfigError(f"sar: stretch: percentiles {self.low:g} and {self.high:g} must lie in 0..100.")
        if self.per_image and self.method == "range":
            raise ConfigError("sar: stretch: method range is the same for every image; leave per_image out.")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ConfigError(f"sar: stretch: range {list(self.range)} must be [low, high] with low below high.")

    def _check_velocity(self) -> None:
        """What velocities need, and what nothing else has."""
        if self.quantity != VELOCITY:
            if MM_Y in (self.units, self.domain) or self.coherence is not None or self.coherence_min is not None:
                key = "coherence:" if self.coherence is not None or self.coherence_min is not None else MM_Y
                raise ConfigError(f"sar: {key} is for quantity: velocity, received {self.quantity}.")
            return
        if self.as_is or self.per_image:
            raise ConfigError(
                f"sar: a velocity has one scale for all files; leave {'stretch: none' if self.as_is else 'per_image'} "
                "out, and of coloured pictures of velocities the whole sar: section."
            )
        if (self.units, self.domain) != (MM_Y, MM_Y):
            said = self.units if self.units != MM_Y else self.domain
            raise ConfigError(
                f"sar: velocities are read in {MM_Y}, received {said!r}; leave units: and domain: out, and multiply "
                "files in m/y by 1000, those in cm/y by 10."
            )
        if self.method == "range" and self.low != -self.high:
            raise ConfigError(
                f"sar: stretch: velocities of {self.low:g} to {self.high:g} {MM_Y} leave zero no grey level; "
                f"say v_max: {max(abs(self.low), abs(self.high)):g}."
            )
        least = self.coherence_min
        if (self.coherence is None) != (least is None) or (least is not None and not 0 <= least <= 1):
            raise ConfigError(
                f"sar: coherence: {self.coherence} and coherence_min: {least} must be a folder and a number from 0 to "
                "1, both or neither; e.g. coherence: coherence, coherence_min: 0.3."
            )
        if self.coherence is not None and (self.coherence.startswith(("/", "\\")) or ".." in self.coherence):
            raise ConfigError(f"sar: coherence: {self.coherence} must be the name of a folder, such as coherence.")

    @property
    def signed(self) -> bool:
        """Values have both signs: velocities."""
        return self.quantity == VELOCITY

    @property
    def blank(self) -> int:
        """Grey level of what is no data."""
        return _REST if self.signed else 0

    @property
    def as_is(self) -> bool:
        """8-bit values are taken as they are."""
        return self.method == "none"

    @property
    def decibels(self) -> float:
        """Factor of the logarithm: 10 for an intensity, 20 for an amplitude."""
        return 10.0 if self.quantity == "intensity" else 20.0

    @property
    def key(self) -> str:
        """Short name of exactly this rule, for files made with it."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    # -- dictionaries ---------------------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, section: Any, where: str = "sar:") -> Stretch:
        """Read the ``sar:`` section of a data YAML, measured or not.

        Args:
            section: The section: ``quantity``, ``units``, ``nodata``, ``stretch`` (a mapping or ``none``), ``dtype``.
            where: Where it stands, for messages.

        Raises:
            ConfigError: No mapping, an unknown key, or a value of a wrong type.
        """
        return cls(**read_section(section, where))

    def to_dict(self) -> dict[str, Any]:
        """Return the section as plain values for YAML, JSON and checkpoints; ``from_dict`` reads it back."""
        out: dict[str, Any] = {"quantity": self.quantity, "units": self.units}
        said = {k: getattr(self, k) for k in ("nodata", "coherence", "coherence_min")}
        out |= {k: v for k, v in said.items() if v is not None}
        if self.as_is:
            out["stretch"] = "none"
        else:
            out["stretch"] = {k: getattr(self, k) for k in INNER if k != "range"}
            if self.range is not None:
                out["stretch"]["range"] = list(self.range)
        return {**out, "dtype": self.dtype} if self.dtype else out

    def describe(self) -> str:
        """Say in one line how a picture is made."""
        what = f"{self.quantity}{' in dB' if self.units == 'db' else ''} ({self.dtype or 'not measured yet'})"
        if self.signed:
            if self.range is None:
                return f"{what}, not measured yet"
            v = self.range[1]
            masked = f", coherence below {self.coherence_min:g} is none" if self.coherence else ""
            return (
                f"{what}, {-v:.6g} to {v:.6g} {MM_Y} become 1..255 in steps of {v / _STEPS:.2g}, none becomes "
                f"{_REST} as zero does{masked}"
            )
        if self.as_is:
            return f"{what}, 8-bit values as they are"
        unit = "dB" if self.domain == "db" else "linear"
        if self.per_image:
            cut = f"{self.method} {self.low:g} to {self.high:g} of each image, {unit}"
        else:
            cut = "not measured yet" if self.range is None else f"{self.range[0]:.6g} to {self.range[1]:.6g} {unit}"
        return f"{what}, {cut} become 0..255"

    # -- values ---------------------------------------------------------------------------------------------------

    def to_domain(self, values: np.ndarray) -> np.ndarray:
        """Values of the files in the units of ``domain``, float64; zeros have no decibels and are left out.

        Args:
            values: Any shape, valid values only.

        Returns:
            (N,) values.
        """
        x = np.asarray(values, np.float64).ravel()
        if self.units == self.domain:
            return x
        return self.decibels * np.log10(x[x > 0]) if self.domain == "db" else 10 ** (x / self.decibels)

    def limits(self, values: np.ndarray) -> tuple[float, float] | None:
        """Return the limits by ``method`` on these valid values, in ``domain``; None where there is nothing between."""
        if self.method == "range":
            return self.low, self.high
        x = self.to_domain(values)
        if not x.size:
            return None
        if self.signed:
            speed = np.abs(x)
            v = np.percentile(speed, self.high) if self.method == "percentile" else self.high * np.sqrt((x**2).mean())
            return (-float(v), float(v)) if v > 0 else None
        if self.method == "percentile":
            lo, hi = np.percentile(x, (self.low, self.high))
        else:
            lo, hi = x.mean() - self.low * x.std(), x.mean() + self.high * x.std()
        return (float(lo), float(hi)) if lo < hi else None

    def measured(self, values: np.ndarray, dtype: str) -> Stretch:
        """Return this rule with its numbers.

        Args:
            values: Valid values of the training images, or a sample of them.
            dtype: Sample type of the files.

        Raises:
            DataError: The values are all the same, or there are none.
        """
        if self.as_is:
            return replace(self, dtype=dtype)
        found = self.limits(values)
        if found is None:
            raise DataError(
                f"the stretch cannot be measured: the training images hold {'a single' if values.size else 'no'} valid "
                "value; check nodata: and quantity:, or give the limits with method: range."
            )
        if self.signed and self.method != "range" and found[1] < _SLOWEST:
            raise DataError(
                f"the velocities of the training images reach {found[1]:.2g} and should be in {MM_Y}; multiply those "
                "in m/y by 1000, or, where they are right, say stretch: {v_max: ...} in the sar: section."
            )
        return replace(self, range=found, dtype=dtype)

    def check_values(self, values: np.ndarray, valid: np.ndarray | bool = True, name: str = "the image") -> None:
        """Make sure that values can be what they are said to be.

        Args:
            values: Any shape.
            valid: Bool of the same shape; values elsewhere are not looked at.
            name: Whose they are, for the message.

        Raises:
            DataError: Negative values that are said to be linear.
        """
        if self.units != "linear" or self.as_is:
            return
        lowest = float(values.min(initial=0.0, where=valid))
        if lowest < 0:
            raise DataError(
                f"{name} holds negative values (lowest {lowest:g}), which no linear {self.quantity} has; say units: db "
                f"(for CFAR units=db) if it is in dB, or nodata: {lowest:g} if that means no data."
            )

    def velocities(self, grey: np.ndarray) -> np.ndarray:
        """Velocities in mm/y that grey levels stand for, to half a step; what is no data is 0."""
        return (grey.astype(np.float32) - _REST) * np.float32((self.range or (0.0, 0.0))[1] / _STEPS)

    def apply(self, values: np.ndarray, valid: np.ndarray, name: str = "the image") -> np.ndarray:
        """Turn values into grey levels.

        Args:
            values: (H, W) values in the units of the files, float32.
            valid: (H, W) bool; where False the picture is :attr:`blank`.
            name: Whose values they are, for messages.

        Returns:
            (H, W) uint8.

        Raises:
            DataError: Negative values that are said to be linear, or the rule has not been measured.
        """
        self.check_values(values, valid, name)
        if self.as_is:
            return np.where(valid, values, 0).astype(np.uint8)
        limits = self.range
        if self.per_image:
            sample = values[valid]
            limits = self.limits(sample[:: max(1, sample.size // _ENOUGH)])
            if limits is None:  # nothing in it, or all the same
                return np.zeros(values.shape, np.uint8)
        if limits is None:
            raise DataError("the limits of the stretch were never measured; train on this data first.")
        edges = _edges(*limits, self.domain, self.units, self.decibels)
        out = np.empty(values.size, np.uint8)
        flat = np.ascontiguousarray(values, np.float32).ravel()
        if self.dtype in ("uint8", "uint16"):
            out[:] = _table(*limits, self.domain, self.units, self.decibels)[flat.clip(0, 65535).astype(np.uint16)]
        else:
            for i in range(0, flat.size, _CHUNK):  # indices take eight bytes a pixel
                out[i : i + _CHUNK] = np.searchsorted(edges, flat[i : i + _CHUNK], side="right")
        out[~np.ravel(valid)] = self.blank
        return out.reshape(values.shape)


@lru_cache(maxsize=16)
def _edges(lo: float, hi: float, domain: str, scale: str, decibels: float) -> np.ndarray:
    """The 255 values of the files at which the grey level rises by one, (255,) float32, ascending."""
    if scale == MM_Y:
        x = hi * (np.arange(255) + 0.5 - _REST) / _STEPS
        x[0] = -np.inf  # no velocity is level 0
    else:
        x = lo + (hi - lo) * (np.arange(255) + 0.5) / 255
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if domain == "db" and scale == "linear":
            x = 10 ** (x / decibels)
        elif domain == "linear" and scale == "db":
            x = np.where(x > 0, decibels * np.log10(np.maximum(x, 0)), -np.inf)
        edges = x.astype(np.float32)
    edges.setflags(write=False)
    return edges


@lru_cache(maxsize=16)
def _table(lo: float, hi: float, domain: str, scale: str, decibels: float) -> np.ndarray:
    """The grey level of every 16-bit value, (65536,) uint8: the same comparison, made once."""
    values = np.arange(65536, dtype=np.float32)
    table = np.searchsorted(_edges(lo, hi, domain, scale, decibels), values, side="right").astype(np.uint8)
    table.setflags(write=False)
    return table
