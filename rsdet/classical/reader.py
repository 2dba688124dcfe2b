"""What CFAR reads: the values of a SAR file as linear amplitude, not a picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rsdet.data.sar import SarHeader, SarImage, Stretch, read_sar, read_sar_header, sar_problem
from rsdet.data.sar.check import type_problem
from rsdet.data.sar.reader import to_image
from rsdet.errors import ConfigError, DataError

# For people only: each image by itself, in decibels. Detection never sees it.
_DISPLAY = Stretch(domain="db", method="percentile", low=1.0, high=99.9, per_image=True)


@dataclass(frozen=True)
class AmplitudeReader:
    """Reads files and arrays as amplitudes. It has the interface of :class:`rsdet.data.sar.SarReader`.

    Attributes:
        stretch: What the numbers in the files are (``quantity``, ``units``, ``nodata``); how they would be stretched
            is not used.
        channels, of_values: As in :class:`rsdet.data.pictures.PictureReader`.

    Raises:
        ConfigError: The numbers in the files are velocities.
    """

    stretch: Stretch
    channels: ClassVar[int] = 1
    of_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.stretch.signed:
            raise ConfigError("the data are velocities, and this method measures amplitudes; use a network.")

    def is_blank(self, picture: np.ndarray) -> bool:
        """Whether an amplitude is zero everywhere."""
        return not picture.any()

    def header_problem(self, header: SarHeader) -> str:
        """Say in a few words why a file cannot be taken; an empty string where it can."""
        return sar_problem(header, self.stretch)

    def __call__(self, path: str | Path) -> np.ndarray:
        """Read one file.

        Returns:
            (H, W, 1) amplitude, 0 or more: uint8 where the file holds such values and no gaps, else float32 with NaN
            where there are no data. Intensities are replaced by their square roots.

        Raises:
            DataError: The file cannot be read, has bands that differ, or holds negative linear values.
        """
        if problem := self.header_problem(read_sar_header(path)):
            raise DataError(f"{path} {problem}.")
        return self.of_image(read_sar(path, self.stretch.quantity, self.stretch.nodata), str(path))

    def array(self, values: np.ndarray, name: str = "the array") -> np.ndarray:
        """Take the values of a file, held in memory: (H, W), (H, W, 1) or (H, W, C) with equal bands."""
        if values.ndim not in (2, 3) or not values.size:
            raise DataError(f"{name} has the shape {values.shape}; it must be (H, W) or (H, W, C).")
        if values.dtype.kind not in "uifc":
            raise DataError(f"{name} holds {values.dtype}; pass numbers.")
        if (values.dtype.kind == "c") != (self.stretch.quantity == "complex"):
            raise DataError(
                f"{name} holds {values.dtype}, and quantity={self.stretch.quantity}; say quantity=complex for complex "
                "values, amplitude or intensity for all others."
            )
        if problem := type_problem(str(values.dtype), self.stretch):
            raise DataError(f"{name} {problem}.")
        return self.of_image(to_image(values, str(values.dtype), [self.stretch.nodata], name=name), name)

    def of_image(self, image: SarImage, name: str) -> np.ndarray:
        """Amplitude of values that have been read."""
        values, valid = image.values, image.valid
        self.stretch.check_values(values, valid, name)
        power = 0.5 if self.stretch.quantity == "intensity" else 1.0
        if self.stretch.units == "db":
            values = 10 ** (values.astype(np.float64) / 20)  # 20 log10 of an amplitude is 10 log10 of its intensity
        elif image.dtype == "uint8" and power == 1 and valid.all():
            return values.astype(np.uint8)[..., None]
        elif power != 1:
            values = np.sqrt(np.where(valid, values, 0))
        return np.where(valid, values, np.nan).astype(np.float32)[..., None]


def as_picture(amplitude: np.ndarray) -> np.ndarray:
    """Make a picture that a person can read: 8-bit values as they are, others stretched by themselves.

    Args:
        amplitude: (H, W) or (H, W, 1) uint8 or float32, NaN where there are no data.

    Returns:
        (H, W, 3) uint8, three equal channels.
    """
    gray = amplitude.reshape(amplitude.shape[:2])
    if gray.dtype != np.uint8:
        gray = _DISPLAY.apply(gray, ~np.isnan(gray))
    return np.repeat(gray[..., None], 3, axis=2)
