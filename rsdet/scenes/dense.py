"""Pictures out: any function of tiles over a scene of any size, in the memory of one row of tiles.

Finished bands of rows are kept in a hidden folder beside the result. A run that was stopped, however, goes on after the
last of them and makes the same bytes as one that was not: tiles above a band that reach into it are run again. In the
end the bands are copied, in order, into a GeoTIFF of tiles, which is renamed into place; until then both are on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.geotiff import BLOCK_PX, new_tiff
from rsdet.data.tiling import Progress, Run, Tile, tile_grid, tiled_rows
from rsdet.errors import DataError
from rsdet.scenes.ledger import fingerprint
from rsdet.scenes.parts import Parts
from rsdet.writing import alone, replacing

Encode = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray | None]]
"""(rows, scale * W, C') of the function and the first of these rows to samples (rows, scale * W, bands) and, where some
are not, (rows, scale * W) bool which are valid."""


Join = Callable[[Parts, tuple[int, int], "Form"], None]
"""Makes files of all parts of a scene of a height and width."""


@dataclass(frozen=True)
class Form:
    """What kind of file is made.

    Attributes:
        bands: Alpha among them.
        dtype: NumPy's name of the type of samples.
        geo: Place on Earth, nodata, compression and what is said of bands (:func:`rsdet.data.geotiff.geo_of`). Samples
            that are not valid become its nodata; without one NaN where they are floats, else 0 and a mask says so.
        scale: Pixels per pixel of the scene along each side.
        alpha: The last band is opacity.
    """

    bands: int
    dtype: str
    geo: dict[str, Any]
    scale: int = 1
    alpha: bool = False

    @property
    def fill(self) -> float:
        """Sample where there are no data."""
        nodata = self.geo["nodata"]
        return nodata if nodata is not None else float("nan") if np.dtype(self.dtype).kind == "f" else 0


def write_dense(
    run: Run,
    read: Callable[[Tile], np.ndarray],
    encode: Encode,
    size_hw: tuple[int, int],
    out: Path,
    form: Form,
    *,
    tile: int | tuple[int, int],
    overlap: int,
    facts: Mapping[str, Any],
    batch: int = 1,
    progress: Progress | None = None,
    join: Join | None = None,
) -> Path:
    """Write what a function makes of a scene.

    Args:
        run: The function of a tile; see :data:`rsdet.data.tiling.Run`.
        read: Gives a window, (h, w, C) floating point; a pixel must depend on its place alone.
        encode: Makes samples of what comes back, row by row; the same rule.
        size_hw: Height and width of the scene, pixels.
        out: GeoTIFF to write.
        form: Its kind.
        tile: Side of a tile in pixels of the scene, or its height and width; cut to the scene.
        overlap: Pixels that neighbours share at least; blended.
        facts: Plain values of all else that decides the outcome, such as the digest of weights and scene.
        batch: Tiles at a time.
        progress: Called with the number of tiles done, those of an earlier run among them, and of all.
        join: What makes files of all parts, ``out`` last; None makes ``out`` alone.

    Returns:
        The path.

    Raises:
        ConfigError: A tile or an overlap that cannot be.
        DataError: A window cannot be read (what was done before it is kept), or the folder holds an unfinished file of
            other facts.
        WriteError: The disk is full (what was done is kept), or another process writes the same file.
    """
    grid = tile_grid(size_hw, tile, overlap)
    decides = {"size_hw": size_hw, "tile_hw": grid.tile_hw, "overlap": overlap, "form": vars(form), **facts}
    parts = Parts(out, fingerprint(decides), len(grid.tops))
    if parts.finished:
        return out

    def read_at(top: int, left: int, height: int, width: int) -> np.ndarray:
        return read(Tile(top, left, height, width))

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(len(grid) - total + done, len(grid))

    with alone(parts.folder, "run"):
        bands = tiled_rows(
            run, read_at, size_hw, tile, overlap, form.scale, batch=batch, progress=tell, first_row=parts.done
        )
        try:
            for number, (top, band) in enumerate(bands, parts.done):
                samples, valid = encode(band, top)
                if valid is not None:
                    samples[~valid] = form.fill
                parts.add(number, samples, valid)
        except DataError as e:
            kept = f"; {parts.done} of {parts.count} rows of tiles are done and kept" if parts.done else ""
            raise DataError(f"{str(e).rstrip('.')}{kept}.") from e
        (join or _join)(parts, size_hw, form)
    parts.close()
    return out


def _join(parts: Parts, size_hw: tuple[int, int], form: Form) -> None:
    """Copy all parts into the file, block by block, and put it in place."""
    height, width = (n * form.scale for n in size_hw)
    geo, masked = form.geo, parts.any_invalid
    if masked and geo["nodata"] is None and np.isnan(form.fill):
        geo = {**geo, "nodata": form.fill}
    masked = masked and not form.alpha and geo["nodata"] is None
    shape = (height, width, form.bands)
    with replacing(parts.out) as made, new_tiff(made, shape, form.dtype, geo, form.scale, form.alpha) as f:
        for top, samples, valid in parts.rows(BLOCK_PX):
            rows = (top, top + len(samples)), (0, width)
            f.write(np.moveaxis(samples, -1, 0), window=rows)
            if masked:
                f.write_mask(valid, window=rows)
