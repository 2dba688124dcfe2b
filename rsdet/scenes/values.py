"""The one rule by which samples of a scene become the picture that a model takes: the same for all of its tiles.

Bytes stay as they are. Deeper samples are stretched between limits that were given, that the model learnt (``sar:`` of
its weights), or that were measured once on the whole scene; never on a tile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.classical.reader import AmplitudeReader, as_picture
from rsdet.data.pictures import PictureReader, check_bands
from rsdet.data.sar.check import sar_problem, type_problem
from rsdet.data.sar.coherence import coherence_file, say_missing
from rsdet.data.sar.colours import velocity_colours
from rsdet.data.sar.header import SarHeader
from rsdet.data.sar.picture import SarReader
from rsdet.data.sar.reader import to_image
from rsdet.data.sar.stretch import Stretch
from rsdet.errors import ConfigError, DataError
from rsdet.scenes.info import SceneInfo
from rsdet.scenes.raster import Raster
from rsdet.scenes.resampling import floats

PERCENTILES = (2.0, 98.0)


@dataclass(frozen=True)
class Values:
    """From samples to picture; picklable.

    Attributes:
        channels: Of the picture.
        bands: Of the file that are read, counted from 1.
        limits: Of each of these bands: samples that become 0 and 255; None where bytes stay as they are.
        sar: ``sar:`` section that makes the picture instead.
        asked: Whether the user named the bands: four of them are then not taken for colours and a fourth.
        told: How the limits came about, for :meth:`describe`.
        units: The limits as values (sample * scale + offset), for :meth:`describe`.
        amplitude: Whether ``sar`` says what amplitudes are made of instead, for a method that measures them.
        coherence: Raster of the coherence of velocities, and its identity; None without one.
    """

    channels: int
    bands: tuple[int, ...]
    limits: tuple[tuple[float, float], ...] | None = None
    sar: dict[str, Any] | None = None
    asked: bool = False
    told: str = ""
    units: tuple[tuple[float, float], ...] = ()
    amplitude: bool = False
    coherence: tuple[str, str] | None = None

    @classmethod
    def of(
        cls,
        raster: Raster,
        reader: PictureReader | SarReader | AmplitudeReader,
        bands: Sequence[int] | None = None,
        stretch: Sequence[Any] | None = None,
    ) -> Values:
        """The rule for a scene.

        Args:
            raster: The scene; a sample of it is read where limits must be measured.
            reader: Of the model.
            bands: Bands to take; the reader's without.
            stretch: Values that become black and white, one pair or a pair for each band.

        Raises:
            ConfigError: Bands or limits that make no sense, or bands that the scene does not have.
            DataError: The scene does not fit the model, or holds nothing to measure.
        """
        if isinstance(reader, SarReader):
            return _of_sar(raster, reader, bands, stretch)
        if isinstance(reader, AmplitudeReader):
            return _of_amplitude(raster, reader, stretch)
        info = raster.info
        reader = reader if bands is None else replace(reader, bands=check_bands(bands, reader.channels))
        if info.dtype.startswith("complex"):
            raise DataError(f"{info.path} holds complex samples; make amplitudes of them first.")
        header = SarHeader(info.path, 1, 1, info.count, "uint8", alpha=info.alpha is not None)
        if problem := reader.header_problem(header):
            raise DataError(f"{info.path} {problem}.")
        taken = reader.bands
        if taken is None and reader.channels == info.count:  # alpha is one of the channels
            taken = tuple(range(1, info.count + 1))
        values = cls(reader.channels, raster.bands_of(taken), asked=reader.bands is not None)
        pairs = None if stretch is None else _pairs(stretch, len(values.bands))
        if (info.dtype == "uint8" or pairs is not None) and not raster.has_data(values.bands):
            raise nothing_valid(info)
        if info.dtype == "uint8" and pairs is None:
            return values
        told = "as stretch= says"
        if pairs is None:
            pairs, told = _measured(raster, values.bands), "measured once on the whole scene; stretch= sets them"
        scaled = [(info.scales[b - 1], info.offsets[b - 1]) if info.scales else (1.0, 0.0) for b in values.bands]
        limits = tuple(((low - o) / s, (high - o) / s) for (low, high), (s, o) in zip(pairs, scaled, strict=True))
        return replace(values, limits=limits, told=told, units=pairs)

    @property
    def nodata(self) -> float | None:
        """What means "no data" besides what the file says."""
        return None if self.sar is None else Stretch.from_dict(self.sar).nodata

    def limit(self, raster: Raster) -> None:
        """Let pixels without enough coherence be not valid, where these values have one."""
        if self.coherence is not None and self.sar is not None:
            raster.limit_to(Path(self.coherence[0]), self.sar["coherence_min"])

    def picture(self, raw: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """The picture of samples.

        Args:
            raw: (h, w, C) samples of ``bands``.
            valid: (h, w) bool.

        Returns:
            (h, w, channels) uint8, BGR where these are three; 0 where not valid. Amplitudes, (h, w, 1) as
            :class:`rsdet.classical.reader.AmplitudeReader` gives them.

        Raises:
            DataError: Samples that the ``sar:`` section of the model says cannot be.
        """
        if self.amplitude:
            image = to_image(raw, str(raw.dtype), [self.nodata], valid, "the scene")
            return AmplitudeReader(Stretch.from_dict(self.sar)).of_image(image, "the scene")
        if self.sar is not None:
            stretch = Stretch.from_dict(self.sar)
            image = to_image(raw, str(raw.dtype), [stretch.nodata], valid, "the scene")
            gray = stretch.apply(image.values, image.valid, "the scene")[..., None]
            return gray if self.channels == 1 else np.repeat(gray, self.channels, axis=2)
        picture = raw if self.limits is None else self._stretched(raw)
        if picture.shape[2] == 3 or (picture.shape[2] == 4 and not self.asked):
            how = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
            picture = cv2.cvtColor(np.ascontiguousarray(picture), how)
        if picture.shape[2] != self.channels:  # gray for colour or colour for gray
            how = cv2.COLOR_BGR2GRAY if self.channels == 1 else cv2.COLOR_GRAY2BGR
            picture = cv2.cvtColor(np.ascontiguousarray(picture), how).reshape(*valid.shape, self.channels)
        return picture if valid.all() else np.where(valid[..., None], picture, np.uint8(0))

    def shown(self, raw: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """The picture of samples for people, (h, w, C) uint8."""
        picture = self.picture(raw, valid)
        if self.sar is not None and Stretch.from_dict(self.sar).signed:
            return velocity_colours(raw[..., 0], valid, self.sar["stretch"]["range"][1])[..., ::-1]
        return as_picture(picture) if self.amplitude else picture

    def _stretched(self, raw: np.ndarray) -> np.ndarray:
        low, high = np.array(self.limits, np.float64).T
        x = floats(raw)
        np.subtract(x, low.astype(x.dtype), out=x)
        np.multiply(x, (255 / (high - low)).astype(x.dtype), out=x)
        np.nan_to_num(x, copy=False)
        return np.rint(x.clip(0, 255, out=x), out=x).astype(np.uint8)

    def describe(self) -> str | None:
        """How values become a picture, in one line; None where bytes stay as they are."""
        if self.amplitude:
            return None
        if self.sar is not None:
            return f"values: {Stretch.from_dict(self.sar).describe()} (sar: of the weights)"
        if self.limits is None:
            return None
        parts = [f"{low:.6g} to {high:.6g}" for low, high in self.units]
        each = parts[0] if len(set(parts)) == 1 else ", ".join(
            f"{part} (band {band})" for part, band in zip(parts, self.bands, strict=True)
        )  # fmt: skip
        return f"values {each} become 0 to 255 ({self.told})"

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain values for JSON; :meth:`of_dict` reads it back."""
        said = asdict(self)
        return said if self.coherence else {k: v for k, v in said.items() if k != "coherence"}

    @classmethod
    def of_dict(cls, said: Mapping[str, Any]) -> Values:
        """What :meth:`to_dict` gave, also after JSON."""
        pairs = {k: said[k] and tuple((float(a), float(b)) for a, b in said[k]) for k in ("limits", "units")}
        coherence = said.get("coherence") and tuple(said["coherence"])
        more = {"bands": tuple(said["bands"]), "units": pairs["units"] or (), "coherence": coherence}
        return cls(**{**said, **pairs, **more})


def _of_amplitude(raster: Raster, reader: AmplitudeReader, stretch: Sequence[Any] | None) -> Values:
    """The rule of a method that measures amplitudes."""
    info = raster.info
    if stretch is not None:
        raise ConfigError("stretch= makes pictures, and this method measures the values themselves; leave it out.")
    if problem := type_problem(info.dtype, reader.stretch):
        raise DataError(f"{info.path} {problem}.")
    values = Values(1, raster.bands_of(None), sar=reader.stretch.to_dict(), amplitude=True)
    nodata = reader.stretch.nodata
    to_image(raster.sample(nodata=nodata)[None], info.dtype, [nodata], name=str(info.path))  # refuses bands that differ
    if not raster.has_data(values.bands):
        raise nothing_valid(info)
    return values


def _pairs(stretch: Sequence[Any], bands: int) -> tuple[tuple[float, float], ...]:
    given = list(stretch) if isinstance(stretch, (list, tuple)) else []
    each = given if given and all(isinstance(p, (list, tuple)) for p in given) else [given] * bands
    fit = len(each) == bands and all(len(p) == 2 and all(_number(v) for v in p) and p[0] < p[1] for p in each)
    if not fit:
        raise ConfigError(
            f"stretch={stretch} must be two numbers, the smaller first, or such a pair for each of {bands} bands; e.g. "
            "stretch=[0,3000]."
        )
    return tuple((float(low), float(high)) for low, high in each)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _measured(raster: Raster, bands: tuple[int, ...]) -> tuple[tuple[float, float], ...]:
    """Percentiles of each band, as values."""
    info = raster.info
    samples = raster.sample(bands)
    if not len(samples):
        raise nothing_valid(info)
    found = []
    for band, column in zip(bands, samples.T, strict=True):
        nodata = info.nodatas[band - 1] if info.nodatas else None
        there = column if nodata is None else column[column != nodata]
        low, high = np.percentile(there.astype(np.float64), PERCENTILES) if there.size else (0.0, 0.0)
        if not low < high and there.size:  # few pixels differ from the rest
            low, high = float(there.min()), float(there.max())
        if not low < high:
            raise DataError(
                f"{info.path}: band {band} holds a single value ({low:g}), of which no stretch can be measured; give "
                "stretch=[low,high], or other bands=."
            )
        scale, offset = (info.scales[band - 1], info.offsets[band - 1]) if info.scales else (1.0, 0.0)
        found.append(tuple(sorted((low * scale + offset, high * scale + offset))))
    return tuple(found)


def nothing_valid(info: SceneInfo) -> DataError:
    """The error for a scene without one valid pixel."""
    nodata = "" if info.nodata is None else f" (nodata is {info.nodata:g})"
    return DataError(f"{info.path} has no valid pixel{nodata}; check its nodata value, mask or alpha band.")


def _of_sar(raster: Raster, reader: SarReader, bands: Any, stretch: Any) -> Values:
    info = raster.info
    if bands is not None or stretch is not None:
        key = "bands" if bands is not None else "stretch"
        raise ConfigError(f"{key}= is for pictures, and the model knows its SAR values (sar: section); leave it out.")
    rule = reader.stretch
    scaled = any(s != 1 for s in info.scales) or any(o != 0 for o in info.offsets)
    header = SarHeader(info.path, 1, 1, info.bands, info.dtype, scaled=scaled)
    if problem := sar_problem(header, replace(rule, coherence=None, coherence_min=None)):
        raise DataError(f"{info.path} {problem}.")
    values = Values(reader.channels, raster.bands_of(None), sar=rule.to_dict(), coherence=_coherence_of(raster, rule))
    samples = raster.sample(nodata=rule.nodata)[None]
    image = to_image(samples, info.dtype, [rule.nodata], name=str(info.path))  # refuses bands that differ
    if rule.signed and not raster.has_data(values.bands):
        raise nothing_valid(info)
    if rule.per_image:  # of the scene, not of each window
        rule.check_values(image.values, image.valid, str(info.path))
        limits = rule.limits(image.values[image.valid])
        if limits is None:
            raise nothing_valid(info)
        values = replace(values, sar=replace(rule, per_image=False, range=limits).to_dict())
    return values


def _coherence_of(raster: Raster, rule: Stretch) -> tuple[str, str] | None:
    """The raster of the coherence of a scene, which limits it from now on, and its identity; None where none is."""
    if rule.coherence is None or rule.coherence_min is None:
        return None
    file = coherence_file(raster.info.path, rule.coherence)
    if not file.is_file():
        say_missing(file.parent)
        return None
    return str(file.absolute()), raster.limit_to(file, rule.coherence_min)
