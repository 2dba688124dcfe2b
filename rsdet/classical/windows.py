"""A square ring around each pixel, cut at borders and missing data: its sums, its counts, its cells one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from rsdet.errors import ConfigError

_STRIP_PIXELS = 2**21  # some 100 MiB of float64 maps, whatever the size of the scene


@dataclass(frozen=True)
class Ring:
    """The background cells of a pixel: a square of ``background_px`` without the square of ``guard_px`` inside it.

    Attributes:
        guard_px: Odd side of the inner square in pixels; 1 leaves out the pixel under test only. Should be as long as
            the longest ship, which else raises its own background.
        background_px: Odd side of the outer square in pixels, more than ``guard_px``.
        dy: (N,) row offsets of the cells.
        dx: (N,) column offsets of the cells.

    Raises:
        ConfigError: An even side, or a guard that leaves no background.
    """

    guard_px: int
    background_px: int
    dy: np.ndarray = field(init=False, repr=False, compare=False)
    dx: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, side in (("guard", self.guard_px), ("background", self.background_px)):
            whole = isinstance(side, (int, np.integer)) and not isinstance(side, bool)
            if not whole or side < 1 or side % 2 == 0:
                raise ConfigError(f"{name}={side!r} must be the odd side of a square window in pixels, such as 21.")
        if self.guard_px >= self.background_px:
            raise ConfigError(
                f"guard={self.guard_px} must be smaller than background={self.background_px}; the ring between them "
                "is where the clutter is measured."
            )
        r, g = self.reach_px, self.guard_px // 2
        dy, dx = np.mgrid[-r : r + 1, -r : r + 1]
        outside = np.maximum(abs(dy), abs(dx)) > g
        object.__setattr__(self, "dy", dy[outside])
        object.__setattr__(self, "dx", dx[outside])

    @property
    def reach_px(self) -> int:
        """Farthest row or column that belongs to the ring."""
        return self.background_px // 2

    @property
    def cells(self) -> int:
        """Background cells of a pixel far from borders and missing data."""
        return len(self.dy)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum over the ring of each pixel; outside the array there is nothing.

        Running sums (box filters) in float64, so that the cost does not depend on the size of the windows.

        Args:
            values: (H, W) float64.
        """
        return _box(values, self.background_px, cv2.CV_64F) - _box(values, self.guard_px, cv2.CV_64F)

    def counts(self, flags: np.ndarray) -> np.ndarray:
        """Number of set cells in the ring of each pixel, int32; outside the array there are none.

        Args:
            flags: (H, W) bool.
        """
        flags = np.ascontiguousarray(flags).view(np.uint8)
        return _box(flags, self.background_px, cv2.CV_32S) - _box(flags, self.guard_px, cv2.CV_32S)

    def strips(self, height: int, width: int) -> Iterator[tuple[slice, slice, slice]]:
        """Bands of rows that keep memory bounded.

        Yields:
            Rows of the band; the same with all that its rings reach; where the band lies in those.
        """
        # Long rings need high bands, or most of the work would be done twice.
        rows = max(_STRIP_PIXELS // max(width, 1), 4 * self.reach_px, 16)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            first, last = max(top - self.reach_px, 0), min(bottom + self.reach_px, height)
            yield slice(top, bottom), slice(first, last), slice(top - first, bottom - first)

    def take(self, values: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Cells of single pixels.

        Args:
            values: (H + 2 reach, W + 2 reach), padded by ``reach_px`` on each side.
            y: (M,) rows, counted without the padding.
            x: (M,) columns, counted without the padding.

        Returns:
            (M, N) in the order of ``dy`` and ``dx``.
        """
        stride, r = values.shape[1], self.reach_px
        offsets = (self.dy + r) * stride + self.dx + r
        return values.ravel()[(y * stride + x)[:, None] + offsets]


def _box(values: np.ndarray, side: int, depth: int) -> np.ndarray:
    return cv2.boxFilter(values, depth, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
