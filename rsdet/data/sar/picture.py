"""From a SAR file, or an array of its values, to the 8-bit picture that a network and a person see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rsdet.data.sar.check import check_sar_images, sar_problem, type_problem
from rsdet.data.sar.coherence import coherent
from rsdet.data.sar.header import SarHeader, read_sar_header
from rsdet.data.sar.reader import MAX_PIXELS, SarImage, read_sar, to_image
from rsdet.data.sar.stretch import Stretch
from rsdet.errors import ConfigError, DataError


def read_with(stretch: Stretch, path: str | Path) -> SarImage:
    """Decode a file as a stretch has it: without what it says is no data, or is not coherent.

    Raises:
        DataError: The file cannot be read, or its coherence does not fit.
    """
    image = read_sar(path, stretch.quantity, stretch.nodata)
    if stretch.coherence is None or stretch.coherence_min is None:
        return image
    there = coherent(read_sar_header(path), stretch.coherence, stretch.coherence_min)
    return image if there is None else replace(image, valid=image.valid & there)


@dataclass(frozen=True)
class SarReader:
    """Reads pictures with one stretch. It holds no state, so it can be sent to workers.

    Attributes:
        stretch: The rule.
        channels: 3 to repeat the gray picture three times, 1 to leave it.
        of_values: As in :class:`rsdet.data.pictures.PictureReader`.

    Raises:
        ConfigError: Another number of channels.
    """

    stretch: Stretch
    channels: int = 3
    of_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ConfigError(
                f"channels: {self.channels}, and a SAR picture has one; say channels: 1, or leave it out for 3 equal."
            )

    @classmethod
    def of(cls, section: dict[str, Any] | None, channels: int = 3) -> SarReader | None:
        """Return the reader of a ``sar:`` section; None where there is none."""
        return None if section is None else cls(Stretch.from_dict(section), channels)

    @property
    def cache_key(self) -> str:
        """Part of a file name: pictures of another key are other pictures."""
        return f".sar-{self.stretch.key}"

    def header_problem(self, header: SarHeader) -> str:
        """Say in a few words why a file cannot be taken; an empty string where it can."""
        return sar_problem(header, self.stretch)

    def check(self, paths: Iterable[str | Path]) -> None:
        """Make sure that all files can be taken; see :func:`rsdet.data.sar.check.check_sar_images`."""
        check_sar_images(paths, self.stretch)

    def __call__(self, path: str | Path) -> np.ndarray:
        """Read one file.

        Returns:
            (H, W, C) uint8 with ``channels`` equal channels.

        Raises:
            DataError: The file cannot be read, or does not fit the stretch.
        """
        return self.with_valid(path)[0]

    def with_valid(self, path: str | Path) -> tuple[np.ndarray, np.ndarray]:
        """Read one file: its picture as :meth:`__call__` gives it, and (H, W) bool: where there are data."""
        if problem := self.header_problem(read_sar_header(path)):
            raise DataError(f"{path} {problem}.")
        image = read_with(self.stretch, path)
        return self._picture(image, str(path)), image.valid

    def is_blank(self, picture: np.ndarray) -> bool:
        """Whether a picture shows nothing but "no data", or of velocities nothing but rest."""
        return bool((picture == self.stretch.blank).all())

    def array(self, values: np.ndarray, name: str = "the array") -> np.ndarray:
        """Turn the values of a file, held in memory, into its picture.

        Args:
            values: (H, W), (H, W, 1) or (H, W, C) with equal bands, in the units and the sample type of the files.
            name: Who it is, for messages.

        Returns:
            (H, W, C) uint8 with ``channels`` equal channels.

        Raises:
            DataError: The array does not fit the stretch.
        """
        return self._picture(self._image(values, name), name)

    def valid(self, image: Any) -> np.ndarray:
        """(H, W) bool, where a file, or an array of its values, holds data."""
        return self._image(image).valid if isinstance(image, np.ndarray) else read_with(self.stretch, image).valid

    def _image(self, values: np.ndarray, name: str = "the array") -> SarImage:
        if problem := self.array_problem(values):
            raise DataError(f"{name} {problem}.")
        return to_image(values, str(values.dtype), [self.stretch.nodata], name=name)

    def array_problem(self, values: np.ndarray) -> str:
        """Say in a few words why an array cannot be taken; an empty string where it can."""
        if values.ndim not in (2, 3) or not values.size:
            return f"has the shape {values.shape}; it must be (H, W) or (H, W, C)"
        if values.shape[0] * values.shape[1] > MAX_PIXELS:
            return f"has {values.shape[1]}x{values.shape[0]} pixels, more than {MAX_PIXELS}; cut it into tiles"
        return type_problem(str(values.dtype), self.stretch)

    def _picture(self, image: SarImage, name: str) -> np.ndarray:
        gray = self.stretch.apply(image.values, image.valid, name)[..., None]
        return gray if self.channels == 1 else np.repeat(gray, 3, axis=2)
