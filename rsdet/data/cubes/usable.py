"""Which bands of a cube say something: those that are constant or hold no number are refused, or left out if asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rsdet.data.cubes.bands import USABLE, asks_usable, bands_of, parts_of, shown
from rsdet.data.cubes.cube import CubeFile
from rsdet.errors import DataError
from rsdet.quiet import say

_MOST_NAMED = 8  # parts of a request that are repeated in a message
_BLOCK_VALUES = 1 << 24  # of float32 that are read at once: 64 MB


@dataclass(frozen=True)
class BandRanges:
    """Ranges of the bands of a cube.

    Attributes:
        low: (b,) float64 smallest value of each band; inf of a band without values.
        high: (b,) float64 largest; -inf likewise.
        missing: (b,) int, pixels without a value.
        incomplete_px: Pixels without a value in any band that has some elsewhere.
        pixels: Pixels of the cube.
    """

    low: np.ndarray
    high: np.ndarray
    missing: np.ndarray
    incomplete_px: int
    pixels: int


def row_blocks(cube: CubeFile, bands: int) -> Iterator[slice]:
    """Rows of a cube, as many at once as the memory takes."""
    height, width = cube.size_hw
    step = max(1, _BLOCK_VALUES // (width * bands))
    yield from (slice(top, min(top + step, height)) for top in range(0, height, step))


def band_ranges(cube: CubeFile, bands: Sequence[int]) -> BandRanges:
    """Ranges of some bands, read once by blocks of rows.

    Args:
        cube: The cube.
        bands: Places from 0.
    """
    low, high = np.full(len(bands), np.inf), np.full(len(bands), -np.inf)
    missing, holes = np.zeros(len(bands), np.int64), []
    for rows in row_blocks(cube, len(bands)):
        values = cube.read(rows, bands=bands)
        absent = np.isnan(values)
        missing += absent.sum((0, 1))
        holes.append(np.unique(np.packbits(absent[absent.any(2)], axis=1), axis=0, return_counts=True))
        low = np.minimum(low, np.where(absent, np.inf, values).min((0, 1)))
        high = np.maximum(high, np.where(absent, -np.inf, values).max((0, 1)))
    pixels = cube.shape[0] * cube.shape[1]
    some = np.packbits(missing < pixels)
    incomplete = sum(int(n[(patterns & some).any(1)].sum()) for patterns, n in holes)
    return BandRanges(low, high, missing, incomplete, pixels)


def usable_bands(spec: object, cube: CubeFile) -> tuple[list[int], BandRanges]:
    """The bands that are meant, which must all say something; with ``usable`` in the request, those that do.

    Args:
        spec: As :func:`rsdet.data.cubes.bands.bands_of` takes it.
        cube: The cube; it is read once.

    Returns:
        Places from 0, and the ranges of these bands.

    Raises:
        ConfigError: There are no such bands.
        DataError: Some are constant or hold no number, and nobody said to leave them out; or none is left.
    """
    bands = bands_of(spec, cube)
    ranges = band_ranges(cube, bands)
    empty, constant = ranges.missing == ranges.pixels, ranges.low == ranges.high
    kept = ~(empty | constant)
    if not kept.any():
        raise DataError(f"{cube.path}: every band is constant or holds no number; check key=, axes= and the file.")
    told = [
        f"{what}: {shown([b for b, out in zip(bands, which, strict=True) if out])}"
        for which, what in ((empty, "no number in"), (constant, "one value everywhere in")) if which.any()
    ]  # fmt: skip
    if told and not asks_usable(spec):
        raise DataError(
            f"{cube.path} has {'; '.join(told)}; bands={_remedy(spec)} takes the {kept.sum()} others, or name some."
        )
    if told:
        say(f"{cube.path} has {'; '.join(told)}; {len(bands) - kept.sum()} bands are left out.", logging.WARNING)
    if ranges.incomplete_px:
        some = ranges.incomplete_px
        say(f"{cube.path}: {some} of {ranges.pixels} pixels lack a number in some band and are left out.")
    if ranges.incomplete_px == ranges.pixels:
        worst = [bands[k] for k in np.flatnonzero(kept & (ranges.missing == ranges.missing[kept].max()))]
        raise DataError(f"{cube.path}: no pixel has a number in every band; leave out {shown(worst)} by bands=.")
    places = [b for b, keep in zip(bands, kept, strict=True) if keep]
    found = BandRanges(ranges.low[kept], ranges.high[kept], ranges.missing[kept], ranges.incomplete_px, ranges.pixels)
    return places, found


def _remedy(spec: object) -> str:
    """The request with ``usable`` in it."""
    named = [str(part).strip() for part in parts_of(spec) if part is not None and str(part).strip().lower() != "all"]
    return ",".join([*named, USABLE]) if len(named) <= _MOST_NAMED else USABLE
