"""Samples of a raster on disk by windows, as GDAL gives them: bands first, nothing interpreted.

Files of tiles are decoded where a window touches them, with one dataset for each thread. Files of rows (strips, PNG,
JPEG) are decoded row after row and kept for a while: a decoder of rows starts from the top at each step back, and the
next tile of a row needs the same rows again.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import DataError
from rsdet.scenes.opening import gdal, open_dataset

ROWS_BYTES = 640 << 20  # of decoded rows: 640 rows of 316228 pixels of 3 bands
_BLOCK_BYTES = 512 << 20
_LEAST_ROWS = 64


def sample_type(name: str) -> np.dtype:
    """Type of the arrays that samples are read into; NumPy has no complex integers."""
    return np.dtype("complex64" if name.startswith("complex_int") else name)


class Blocks:
    """One level of a file: its pixels, or a stored overview of them.

    Args:
        path: The file.
        level: Number of the stored overview, from 0; None for the pixels themselves.
        masked: Whether a mask in the file says which pixels are valid.
        factor: Pixels of the file a pixel along each side, about.

    Raises:
        DataError: Its blocks are larger than the memory that they may take.
    """

    def __init__(self, path: Path, level: int | None, masked: bool, factor: float = 1.0):
        self.path, self.level, self.masked, self.factor = path, level, masked, factor
        self._mine = threading.local()
        self._lock = threading.RLock()
        self._open: list[Any] = []
        self._of_rows = False
        self._rows: OrderedDict[tuple[Any, ...], tuple[np.ndarray, np.ndarray | None]] = OrderedDict()
        self._needed, self._warned = 0, False  # pieces that the tallest window lies in
        with self._dataset() as f:
            self.size_hw, self._block_hw = f.shape, f.block_shapes[0]
            self._tiff = f.driver == "GTiff"
            self._planar = f.count > 1 and f.interleaving is not None and f.interleaving.value == "BAND"
            sample = max(sample_type(d).itemsize for d in f.dtypes)
        height, width = self._block_hw
        self._of_rows = width >= self.size_hw[1]
        self._chunk = min(height * -(-_LEAST_ROWS // height), self.size_hw[0])
        self._grid_hw = tuple(-(-n // b) for n, b in zip(self.size_hw, self._block_hw, strict=True))
        self._stored: dict[tuple[int, ...], dict[int, bytes]] = {}
        if height * width * sample > _BLOCK_BYTES:
            raise DataError(
                f"{path} is stored in blocks of {width}x{height} pixels, too large to decode by windows; "
                "gdal_translate -co TILED=YES -co BIGTIFF=YES makes a file of tiles of it."
            )

    @contextmanager
    def _dataset(self) -> Iterator[Any]:
        """A dataset that no other thread uses meanwhile."""
        if self._of_rows:  # a second one would decode all rows again
            with self._lock:
                yield self._open[0]
            return
        dataset = getattr(self._mine, "dataset", None)
        if dataset is None:
            dataset = self._mine.dataset = open_dataset(self.path, self.level)
            with self._lock:
                self._open.append(dataset)
        yield dataset

    def close(self) -> None:
        """Close the files of all threads."""
        with self._lock:
            for dataset in self._open:
                dataset.close()
            self._open.clear()
            self._rows.clear()

    def read(
        self, bands: tuple[int, ...], top: int, left: int, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """A window that lies inside.

        Args:
            bands: Counted from 1.
            top: First row.
            left: First column.
            height: Rows.
            width: Columns.

        Returns:
            (C, h, w) samples, and the (h, w) mask of the file, 0 where there are no data; None without one.

        Raises:
            DataError: A block cannot be read; the message names the window.
        """
        if not self._of_rows:
            return self._decoded(bands, top, left, height, width)
        planes, masks = [], []
        with self._lock:
            for start in range(top - top % self._chunk, top + height, self._chunk):
                rows, mask = self._chunk_at(bands, start, height)
                part = slice(max(top - start, 0), top + height - start)
                planes.append(rows[:, part, left : left + width])
                masks.append(None if mask is None else mask[part, left : left + width])
            return np.concatenate(planes, 1), None if masks[0] is None else np.concatenate(masks)

    def _chunk_at(self, bands: tuple[int, ...], start: int, needed: int) -> tuple[np.ndarray, np.ndarray | None]:
        key = (start, bands)
        if key not in self._rows:
            height, width = min(self._chunk, self.size_hw[0] - start), self.size_hw[1]
            rows, mask = self._decoded(bands, start, 0, height, width)
            self._needed = max(self._needed, -(-needed // self._chunk) + 1)
            room = ROWS_BYTES // max(1, rows.nbytes + (0 if mask is None else mask.nbytes))
            while len(self._rows) >= max(1, min(room, 2 * self._needed)):  # two rows of tiles may be in work
                self._rows.popitem(last=False)
            self._rows[key] = rows, mask
            if room < self._needed and not self._warned:
                self._warned = True
                logging.getLogger("rsdet").warning(
                    "%s is stored in rows of %d pixels, too many to keep: reading is slow; gdal_translate -co "
                    "TILED=YES -co BIGTIFF=YES makes a file of tiles of it", self.path, width,
                )  # fmt: skip
        self._rows.move_to_end(key)
        return self._rows[key]

    def _decoded(
        self, bands: tuple[int, ...], top: int, left: int, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        with self._dataset() as f:
            level = "" if self.level is None else f" of overview {self.level}"
            with gdal(self.path, f"the window of {width}x{height} px at column {left}, row {top}{level}") as rasterio:
                window = rasterio.windows.Window(left, top, width, height)
                out = None
                if len(kinds := {f.dtypes[b - 1] for b in bands}) == 1:  # as pictures lie in memory, for what follows
                    out = np.empty((height, width, len(bands)), sample_type(kinds.pop())).transpose(2, 0, 1)
                planes = f.read(list(bands), window=window, out=out)
                return planes, f.read_masks(1, window=window) if self.masked else None

    def is_sparse(self, bands: tuple[int, ...], top: int, left: int, height: int, width: int) -> bool:
        """Whether a TIFF stores nothing at all of these bands in a window: known without reading it."""
        if not self._tiff:
            return False
        stored = self._stored.setdefault(bands if self._planar else (1,), {})
        (bh, bw), (rows, columns) = self._block_hw, self._grid_hw
        ys = range(max(0, top // bh), min(rows, -(-(top + height) // bh)))
        first, past = max(0, left // bw), min(columns, -(-(left + width) // bw))
        for y in ys:
            if y not in stored:
                stored[y] = self._stored_in(y, bands if self._planar else (1,))
            if 1 in stored[y][first:past]:
                return False
        return True

    def _stored_in(self, y: int, bands: tuple[int, ...]) -> bytes:
        """Of each block of a row of blocks 1 where it is stored, else 0."""
        with self._dataset() as f:
            tags = ([f"BLOCK_OFFSET_{x}_{y}", b] for x in range(self._grid_hw[1]) for b in bands)
            found = [f.get_tag_item(tag, "TIFF", bidx=b) is not None for tag, b in tags]
        return np.array(found).reshape(-1, len(bands)).any(axis=1).tobytes()


class Held:
    """The same of samples in memory: a file that must be turned upright.

    Args:
        planes: (C, H, W), all bands of the file.
        mask: (H, W), as in :meth:`Blocks.read`.
    """

    factor = 1.0

    def __init__(self, planes: np.ndarray, mask: np.ndarray | None):
        self._planes, self._mask, self.size_hw = planes, mask, planes.shape[1:]

    def read(
        self, bands: tuple[int, ...], top: int, left: int, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """As :meth:`Blocks.read`."""
        place = slice(top, top + height), slice(left, left + width)
        planes = self._planes[([b - 1 for b in bands], *place)]
        return planes, None if self._mask is None else self._mask[place]

    def is_sparse(self, bands: tuple[int, ...], top: int, left: int, height: int, width: int) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Nothing is open."""
