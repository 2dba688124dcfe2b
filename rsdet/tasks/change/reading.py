"""Pairs of pictures as the networks of this task take them: two dates of 8 bits, stacked along the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rsdet.data.dates import DatePair, LabelReader, read_label, read_pair, read_pair_and_gaps
from rsdet.data.pictures import PictureReader
from rsdet.errors import DataError
from rsdet.metrics.confusion import IGNORE

DATES = 2


@dataclass(frozen=True)
class PairReader:
    """Reads pairs. It holds no state, so it can be sent to workers.

    Attributes:
        bands: Bands of one date that the model takes.
        taken: Which bands of the files these are, counted from 1; None for all but alpha.

    Raises:
        ConfigError: ``taken`` does not fit ``bands``.
    """

    bands: int = 3
    taken: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "taken", self.of_one_date.bands)

    @classmethod
    def of(cls, spec: Any) -> PairReader:
        """The reader of a model.

        Args:
            spec: What it says of itself: ``channels`` of both dates, and ``bands`` of the files.
        """
        return cls(int(spec.get("channels") or DATES * 3) // DATES, spec.get("bands"))

    @property
    def of_one_date(self) -> PictureReader:
        """The reader of rasters of one date, in the order red, green, blue where these are three."""
        return PictureReader(self.bands, self.taken)

    def __call__(self, pair: DatePair) -> np.ndarray:
        """Read a pair.

        Returns:
            (H, W, 2 * bands) uint8, the earlier date first, bands in the order of the files.

        Raises:
            DataError: It cannot be read, or has other bands or more bits than the model takes.
        """
        return self.checked(read_pair(pair, self.taken), f"{pair.before} and {pair.after}")

    def labelled(self, pair: DatePair, labels: LabelReader) -> tuple[np.ndarray, np.ndarray]:
        """A pair as above, and its label (H, W) uint8: 1 for changed, 255 also where a date has no data."""
        stack, gaps = read_pair_and_gaps(pair, self.taken)
        label = read_label(pair, labels)
        if gaps is not None:
            label = np.where(gaps, np.uint8(IGNORE), label)
        return self.checked(stack, f"{pair.before} and {pair.after}"), label

    def checked(self, stack: np.ndarray, name: str) -> np.ndarray:
        """A stack, once it is known to be one that the model takes.

        Raises:
            DataError: It is none.
        """
        if stack.dtype != np.uint8:
            raise DataError(
                f"{name} do not have 8 bits per sample ({stack.dtype}); stretch them to 0..255 (uint8) first, with one "
                "fixed range for both dates and the whole data set."
            )
        if stack.shape[2] != DATES * self.bands:
            have = stack.shape[2] // DATES
            raise DataError(f"{name} have {have} bands each, the model takes {self.bands}; choose them with bands=.")
        return np.ascontiguousarray(stack)
