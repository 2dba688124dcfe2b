"""Two rasters on one grid as a change network takes them: both dates of a window, and where both show anything.

What can only be known of the whole is measured once, before the first tile: how samples become bytes, how the later
date takes the brightness of the earlier one, and how far the two lie apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsdet.data.pictures import PictureReader
from rsdet.data.tiling import Tile
from rsdet.scenes.histogram import counts_of, matched, matching_tables
from rsdet.scenes.reader import Raster, Values, View
from rsdet.scenes.shift import Shift, spread, tile_shift

_WINDOW_PX = 256  # side of what the shift of a tile is measured on


@dataclass(frozen=True)
class DatesView:
    """Two rasters on one grid.

    Attributes:
        before: The earlier date.
        after: The later one.
        tables: What the values of the later one become; None for what they are.
    """

    before: View
    after: View
    tables: np.ndarray | None = None

    @classmethod
    def of(
        cls, before: Raster, after: Raster, read_as: Raster, reader: PictureReader, stretch: Sequence[Any] | None = None
    ) -> DatesView:
        """Both dates as a model reads them.

        Args:
            before: The earlier date.
            after: The later one; how its samples become bytes is measured on it as it lies.
            read_as: The same on the grid of the earlier one.
            reader: Of one date.
            stretch: Values that become black and white, where rasters are not of bytes.

        Raises:
            DataError: One of them does not fit the model.
        """
        if reader.bands is None and reader.channels == 4:  # four bands are then not taken for colours and opacity
            reader = replace(reader, bands=(1, 2, 3, 4))
        one, other = (Values.of(raster, reader, None, stretch) for raster in (before, after))
        return cls(View(before, one), View(read_as, other))

    @property
    def raster(self) -> Raster:
        """The earlier date, whose grid counts."""
        return self.before.raster

    def describe(self) -> list[str]:
        """How values become bytes, in a line for each date; nothing where they are bytes."""
        said = {name: view.values.describe() for name, view in (("earlier", self.before), ("later", self.after))}
        return [f"{name} date: {text}" for name, text in said.items() if text]

    def dates(self, window: Tile) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read a window.

        Returns:
            Both dates, (h, w, bands) uint8 each in the order of the model, 0 where one of them shows nothing; and
            (h, w) bool: where both show anything.

        Raises:
            DataError: A part of a file cannot be read.
        """
        (before, there), (after, seen) = (view.read(window) for view in (self.before, self.after))
        return self._pair(before, after, there & seen)

    def read(self, window: Tile) -> tuple[np.ndarray, np.ndarray]:
        """(h, w, 2 * bands) uint8, the earlier date first, and (h, w) bool; see :meth:`dates`."""
        before, after, valid = self.dates(window)
        return np.concatenate([before, after], axis=2), valid

    def overview(self, longest_px: int) -> tuple[np.ndarray, np.ndarray]:
        """The whole, small, in the form of :meth:`read`."""
        pictures, valid = [], []
        for view in (self.before, self.after):
            raw, there = view.raster.overview(longest_px, view.values.bands, view.values.nodata)
            pictures.append(view.values.picture(raw, there))
            valid.append(there)
        before, after, both = self._pair(*pictures, valid[0] & valid[1])
        return np.concatenate([before, after], axis=2), both

    def _pair(
        self, before: np.ndarray, after: np.ndarray, valid: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if before.shape[2] == 3:  # as pictures are held elsewhere: blue first
            before, after = before[..., ::-1], after[..., ::-1]
        if self.tables is not None:
            after = matched(after, self.tables)
        if not valid.all():  # a house on one date and nothing on the other is no change
            before, after = (np.where(valid[..., None], x, np.uint8(0)) for x in (before, after))
        return before, after, valid

    def surveyed(self, cells: Sequence[Tile], match: bool) -> tuple[DatesView, dict[int, Shift]]:
        """Look at cells all over the rasters, the same each time.

        Args:
            cells: Of which some are looked at, see :func:`rsdet.scenes.shift.spread`.
            match: Give the later date the brightness of the earlier one.

        Returns:
            The view, with tables where these are wanted, and the shift of cells that say one.

        Raises:
            DataError: A part of a file cannot be read.
        """
        shifts: dict[int, Shift] = {}
        counts: list[Any] = [0, 0]
        for i in spread(len(cells)):
            before, after, valid = self.dates(_middle(cells[i]))
            counts = [n + counts_of(x[valid]) for n, x in zip(counts, (before, after), strict=True)]
            if (shift := tile_shift(before, after, valid)) is not None:
                shifts[i] = shift
        return (replace(self, tables=matching_tables(counts[1], counts[0])) if match else self), shifts


def _middle(cell: Tile) -> Tile:
    height, width = min(cell.height, _WINDOW_PX), min(cell.width, _WINDOW_PX)
    return Tile(cell.top + (cell.height - height) // 2, cell.left + (cell.width - width) // 2, height, width)
