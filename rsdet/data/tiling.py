"""The one tiler: a large picture in overlapping tiles through any function, and back without seams.

Every tile has the full tile size where the picture allows it: the last one of a row or column is moved inside. Where
tiles overlap they are blended (:mod:`rsdet.data.blend`) with weights that sum to one at every pixel and are zero at
the rim of a tile, where a network has seen padding and not the picture. For a network whose output depends on no more
than a quarter of the overlap around a pixel, tiles therefore equal the whole.

Memory: :func:`tiled` holds the output and the tiles of one call. :func:`tiled_rows` holds one row of tiles and hands
out finished rows of pixels, for rasters that do not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsdet.data.blend import axis_weights, starts
from rsdet.errors import ConfigError, DataError

Run = Callable[[np.ndarray], np.ndarray]
"""(h, w, C) floating point to (scale * h, scale * w, C'); with ``batch`` above 1, both with N in front."""

ReadWindow = Callable[[int, int, int, int], np.ndarray]
"""(top, left, height, width) in pixels to that window of a picture, (height, width, C) floating point."""

Progress = Callable[[int, int], Any]
"""Called after each call of the function with the number of tiles done and of all."""


@dataclass(frozen=True)
class Tile:
    """A window of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that it covers."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Grid:
    """How a picture of ``size_hw`` is cut.

    Attributes:
        size_hw: Height and width of the picture, pixels.
        tile_hw: Height and width of every tile.
        tops: First row of each row of tiles.
        lefts: First column of each column of tiles.
    """

    size_hw: tuple[int, int]
    tile_hw: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __iter__(self) -> Iterator[Tile]:
        """Tiles row by row."""
        return (Tile(t, n, *self.tile_hw) for t in self.tops for n in self.lefts)

    def weights(self, scale: int = 1) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights of each row and each column of tiles, in output pixels; a tile's are their outer product."""
        return tuple(  # type: ignore[return-value]
            axis_weights(n * scale, [s * scale for s in begins], size * scale)
            for n, begins, size in zip(self.size_hw, (self.tops, self.lefts), self.tile_hw, strict=True)
        )


def tile_grid(size_hw: tuple[int, int], tile_px: int | tuple[int, int], overlap_px: int) -> Grid:
    """Cut a picture into tiles.

    Args:
        size_hw: Height and width of the picture, pixels.
        tile_px: Side of a tile, or its height and width; cut to the picture.
        overlap_px: Pixels that neighbours share at least; the last tile of a row shares more with the one before.

    Raises:
        ConfigError: No whole numbers, or an overlap that is no smaller than the tile.
        DataError: The picture has no pixels.
    """
    sides = tuple(tile_px) if isinstance(tile_px, (tuple, list)) else (tile_px, tile_px)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in (*sides, overlap_px))
    if len(sides) != 2 or not whole or min(sides) < 1 or not 0 <= overlap_px < min(sides):
        raise ConfigError(
            f"tile={tile_px} overlap={overlap_px} must be whole numbers of pixels, the overlap smaller than the tile; "
            "e.g. tile=512 overlap=64."
        )
    if min(size_hw) < 1:
        raise DataError(f"a picture of {size_hw[1]}x{size_hw[0]} pixels cannot be cut into tiles.")
    height, width = (min(int(side), int(n)) for side, n in zip(sides, size_hw, strict=True))
    tops = starts(size_hw[0], height, min(overlap_px, height - 1))
    lefts = starts(size_hw[1], width, min(overlap_px, width - 1))
    return Grid((int(size_hw[0]), int(size_hw[1])), (height, width), tuple(tops), tuple(lefts))


def partition(size_hw: tuple[int, int], side_px: int) -> list[Tile]:
    """Cut a picture into windows of which each pixel is in one, row by row; those at the far edges are smaller.

    Args:
        size_hw: Height and width of the picture, pixels.
        side_px: Side of the windows.
    """
    height, width = size_hw
    return [
        Tile(top, left, min(side_px, height - top), min(side_px, width - left))
        for top in range(0, height, side_px)
        for left in range(0, width, side_px)
    ]


def tile_count(size_hw: tuple[int, int], tile_px: int | tuple[int, int], overlap_px: int) -> int:
    """Number of tiles of a picture; the arguments are those of :func:`tile_grid`."""
    return len(tile_grid(size_hw, tile_px, overlap_px))


def tiled(
    run: Run,
    image: np.ndarray,
    tile_px: int | tuple[int, int],
    overlap_px: int = 0,
    scale: int = 1,
    *,
    batch: int = 1,
    progress: Progress | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Run a function over a picture tile by tile.

    Args:
        run: The function; see :data:`Run`.
        image: (H, W, C) floating point; read through slices only, so a memory map will do.
        tile_px: Side of a tile in input pixels, or its height and width; cut to the picture.
        overlap_px: Input pixels that neighbours share at least. The outer quarter of what is shared is left out of the
            result, the half between is blended: choose four times the radius that the function sees.
        scale: Output pixels per input pixel along each axis.
        batch: Tiles per call.
        progress: Called with the number of tiles done and of all.
        out: Where to put the result, zeros (scale * H, scale * W, C') of the same type, such as a memory map.

    Returns:
        (scale * H, scale * W, C') of the type of ``image``; ``out`` where given.

    Raises:
        ConfigError: A tile or an overlap that cannot be.
        DataError: No floating point (H, W, C), or the function returns another size than it should.
    """
    image = _checked(image)
    grid = tile_grid(image.shape[:2], tile_px, overlap_px)
    rows, columns = grid.weights(scale)
    done = _Counter(len(grid), progress)

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        return image[top : top + height, left : left + width]

    for i, top in enumerate(grid.tops):
        for left, weight, y in _row(run, read, grid, top, columns, scale, batch, done):
            if out is None:
                out = np.zeros((image.shape[0] * scale, image.shape[1] * scale, y.shape[2]), image.dtype)
            _add(out[top * scale :], left * scale, rows[i], weight, y)
    return out


def tiled_rows(
    run: Run,
    read: ReadWindow,
    size_hw: tuple[int, int],
    tile_px: int | tuple[int, int],
    overlap_px: int = 0,
    scale: int = 1,
    *,
    batch: int = 1,
    progress: Progress | None = None,
    first_row: int = 0,
    last_row: int | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Do what :func:`tiled` does for a picture that does not fit into memory: windows in, bands of finished rows out.

    Args:
        run: The function; see :data:`Run`.
        read: Gives a window of the picture; see :data:`ReadWindow`.
        size_hw: Height and width of the picture, pixels.
        tile_px: As in :func:`tiled`.
        overlap_px: As in :func:`tiled`.
        scale: As in :func:`tiled`.
        batch: As in :func:`tiled`.
        progress: As in :func:`tiled`; the tiles of this call count.
        first_row: Row of tiles whose band is the first that is wanted. Tiles above that reach into it are run as well,
            so that bands are the same whatever call makes them.
        last_row: Row of tiles before which to stop; all where None.

    Yields:
        First output row of a band, and the band: (rows, scale * W, C'). Bands, one for each row of tiles, come in order
        and cover the output.
    """
    grid = tile_grid(size_hw, tile_px, overlap_px)
    rows, columns = grid.weights(scale)
    stop = len(grid.tops) if last_row is None else last_row
    if not 0 <= first_row <= stop <= len(grid.tops):
        raise ConfigError(f"rows {first_row} to {stop} of tiles; there are {len(grid.tops)}.")
    if first_row == stop:
        return
    begin = next(i for i, top in enumerate(grid.tops) if top + grid.tile_hw[0] > grid.tops[first_row])
    done = _Counter((stop - begin) * len(grid.lefts), progress)
    strip: np.ndarray | None = None
    for i, top in enumerate(grid.tops[:stop]):
        if i < begin:
            continue
        for left, weight, y in _row(run, read, grid, top, columns, scale, batch, done):
            if strip is None:
                strip = np.zeros((y.shape[0], size_hw[1] * scale, y.shape[2]), y.dtype)
            _add(strip, left * scale, rows[i], weight, y)
        last = i + 1 == len(grid.tops)
        ready = len(strip) if last else (grid.tops[i + 1] - top) * scale
        if i >= first_row:
            yield top * scale, strip[:ready].copy()
        if not last:
            strip[: len(strip) - ready] = strip[ready:]
            strip[len(strip) - ready :] = 0


class _Counter:
    def __init__(self, total: int, progress: Progress | None):
        self.total, self.progress, self.done = total, progress, 0

    def add(self, n: int) -> None:
        self.done += n
        if self.progress is not None:
            self.progress(self.done, self.total)


def _row(
    run: Run,
    read: ReadWindow,
    grid: Grid,
    top: int,
    columns: list[np.ndarray],
    scale: int,
    batch: int,
    done: _Counter,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Outputs of one row of tiles: first column in input pixels, weights along the row, output."""
    height, width = grid.tile_hw
    for first in range(0, len(grid.lefts), batch):
        lefts = grid.lefts[first : first + batch]
        tiles = [np.ascontiguousarray(read(top, left, height, width)) for left in lefts]
        outs = run(np.stack(tiles)) if batch > 1 else run(tiles[0])[None]
        wanted = (len(lefts), height * scale, width * scale)
        if outs.ndim != 4 or outs.shape[:3] != wanted:
            raise DataError(
                f"a tile of {width}x{height} px came back as {outs.shape[1:]}, but scale={scale} makes it "
                f"({wanted[1]}, {wanted[2]}, C); mend the function or its scale."
            )
        done.add(len(lefts))
        yield from ((left, columns[first + j], outs[j]) for j, left in enumerate(lefts))


def _add(out: np.ndarray, left: int, rows: np.ndarray, columns: np.ndarray, y: np.ndarray) -> None:
    weight = np.outer(rows, columns).astype(out.dtype)[..., None]
    out[: y.shape[0], left : left + y.shape[1]] += y * weight


def _checked(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or image.dtype.kind != "f":
        raise DataError(
            f"tiles are cut from floating point (H, W, C), received {image.dtype} {image.shape}; divide integers by "
            "the largest value of their type first, such as x / 255 or x / 65535."
        )
    return image
