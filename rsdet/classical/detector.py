"""CFAR as one detector: an image of amplitudes in, ship boxes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsdet.classical.cfar import METHODS, cfar, checked
from rsdet.classical.factors import check_parameters
from rsdet.classical.looks import estimate_looks
from rsdet.classical.objects import Objects, check_sizes, find_objects
from rsdet.classical.windows import Ring
from rsdet.errors import ConfigError, nearest


@dataclass(frozen=True)
class Cfar:
    """Settings of a CFAR detector; every one can be given by name (``rsdet predict model=cfar pfa=1e-6``).

    Attributes:
        method: ``"ca"`` (mean of the background) or ``"os"`` (order statistic, see ``rank``).
        pfa: False-alarm rate per pixel that the threshold is made for, in (0, 1). It is met by homogeneous gamma
            clutter of independent pixels. Real sea has heavier tails and correlated pixels, 8-bit files are cut at 255
            and rounded: there it is a nominal figure, and useful values are far smaller than the rate that is met.
        guard: Odd side of the guard window in pixels.
        background: Odd side of the background window in pixels.
        looks: Number of looks, or ``"auto"`` to estimate it for each image.
        rank: Share of the background cells below the order statistic, in (0, 1]; for ``"os"``.
        closing: Odd side in pixels by which detected pixels are closed to objects; 1 for none.
        min_length: Shortest object in pixels, by the diagonal of its box.
        max_length: Longest object in pixels; 0 for no limit.
        min_area: Fewest pixels of an object.

    Raises:
        ConfigError: A setting out of its range.
    """

    method: str = "os"
    pfa: float = 1e-12
    guard: int = 31
    background: int = 61
    looks: float | str = 1.0
    rank: float = 0.75
    closing: int = 3
    min_length: float = 12.0
    max_length: float = 0.0
    min_area: int = 1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(
                f"method={self.method!r} must be one of {list(METHODS)}.{nearest(str(self.method), METHODS)}"
            )
        if isinstance(self.looks, str) and self.looks != "auto":
            raise ConfigError(f"looks={self.looks!r} must be a number above 0, or auto to estimate it for each image.")
        check_parameters(self.pfa, 1.0 if self.looks == "auto" else self.looks, self.rank)
        Ring(self.guard, self.background)
        check_sizes(self.closing, self.min_length, self.max_length)

    def __call__(self, values: np.ndarray, valid: np.ndarray | None = None, quantity: str = "amplitude") -> Objects:
        """Find the objects of one image.

        Args:
            values: (H, W) linear amplitude or intensity; NaN is no data.
            valid: (H, W) bool, False where there are no data.
            quantity: ``"amplitude"`` or ``"intensity"``.

        Raises:
            DataError: Values that are no amplitude or intensity.
        """
        # Half a grey level is lost in rounding; 8-bit files of dark sea are 0 over whole rings.
        least = (0.25 if quantity == "amplitude" else 0.5) if np.asarray(values).dtype == np.uint8 else 0.0
        looks = self.looks
        if looks == "auto":
            known, where = checked(values, valid, quantity)
            known = known[where]
            varies = known.size > 0 and known.min() < known.max()  # else nothing stands out, whatever the looks
            # Rounded, so that images of one kind share their tables of factors.
            looks = max(round(estimate_looks(values, quantity, valid), 2), 0.01) if varies else 1.0
        found = cfar(
            values,
            self.method,
            pfa=self.pfa,
            guard_px=self.guard,
            background_px=self.background,
            looks=looks,
            rank=self.rank,
            quantity=quantity,
            valid=valid,
            least_level=least,
        )
        return find_objects(
            found,
            closing_px=self.closing,
            min_length_px=self.min_length,
            max_length_px=self.max_length,
            min_area_px=self.min_area,
        )
