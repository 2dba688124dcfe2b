"""Decoded pictures kept in memory or on disk, in the depth of their files, so that a patch costs no decoding."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from rsdet.data.raster_io import read_image
from rsdet.data.sar.header import SarHeader, read_sar_header
from rsdet.errors import ConfigError, DataError
from rsdet.filestate import file_state
from rsdet.paths import home
from rsdet.writing import replacing

CACHES = ("none", "ram", "disk")
_RAM_SHARE = 0.6  # of the memory that is free
_SAMPLED = 32  # headers that the need is estimated from


class Store:
    """Gives decoded pictures, from where they were kept.

    Pictures of 8 and 16 bits are kept as they are in the file; :func:`as_float` makes [0, 1] of a patch.

    Args:
        cache: ``none`` decodes each time, ``ram`` keeps all in memory, ``disk`` writes ``.npy`` files once and maps
            them, so that only the pages under a patch are read.
        folder: For ``disk``; None takes ``$RSDET_HOME/cache/pairs``.
        reading: ``channels``, ``bands``, ``value_range`` of :func:`rsdet.data.raster_io.read_image`.
    """

    def __init__(self, cache: str = "none", folder: Path | None = None, **reading: Any):
        if cache not in CACHES:
            raise ConfigError(f"cache must be one of {', '.join(CACHES)}, received {cache!r}")
        if cache == "disk" and folder is None:
            folder = home() / "cache" / "pairs"
        self.cache, self.folder, self.reading = cache, folder, reading
        self._kept: dict[Path, np.ndarray] = {}

    def get(self, path: Path) -> np.ndarray:
        """(H, W, C) uint8, uint16 or float32 in [0, 1]; not to be written to."""
        if self.cache == "disk":
            return self._mapped(path)
        if path not in self._kept:
            picture = self._decoded(path)
            if self.cache == "none":
                return picture
            self._kept[path] = picture
        return self._kept[path]

    def fill(self, paths: Iterable[Path]) -> None:
        """Decode everything now, before worker processes are made; too much for the memory falls back to ``none``.

        Raises:
            DataError: Pictures that cannot be decoded, all in one line.
        """
        paths = sorted(set(paths))
        if self.cache == "none" or not paths:
            return
        if self.cache == "ram" and not self._fits(paths):
            self.cache = "none"
            return
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            problems = [said for said in pool.map(self._try, paths) if said]
        if problems:
            more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
            raise DataError(f"{len(problems)} of {len(paths)} pictures cannot be used: {' '.join(problems[:3])}{more}")

    def _try(self, path: Path) -> str:
        try:
            self.get(path)
        except DataError as e:
            return str(e)
        return ""

    def _fits(self, paths: list[Path]) -> bool:
        few = paths[:: max(1, len(paths) // _SAMPLED)]
        need = sum(_bytes(read_sar_header(p)) for p in few) * len(paths) / len(few)
        free = psutil.virtual_memory().available
        if need > _RAM_SHARE * free:
            logging.getLogger("rsdet").warning(
                "cache=ram would need about %.1f GB of %.1f GB that are free: pictures are decoded each time; use "
                "cache=disk", need / 1e9, free / 1e9,
            )  # fmt: skip
            return False
        return True

    def _decoded(self, path: Path) -> np.ndarray:
        x, meta = read_image(path, **self.reading)
        # Averaged channels and a chosen range are no longer whole numbers of the file.
        whole = self.reading.get("value_range") is None and meta.dtype in ("uint8", "uint16")
        if not whole:
            return x
        full = np.float32(np.iinfo(meta.dtype).max)
        raw = np.rint(x * full)
        return raw.astype(meta.dtype) if np.abs(raw - x * full).max() < 1e-2 else x

    def _mapped(self, path: Path) -> np.ndarray:
        facts = (str(path.resolve()), file_state([path]), sorted(self.reading.items()))
        target = self.folder / f"{hashlib.sha256(repr(facts).encode('utf-8', 'surrogateescape')).hexdigest()}.npy"
        with suppress(Exception):  # not there yet, cut, damaged or planted
            return np.load(target, mmap_mode="r", allow_pickle=False)
        with replacing(target) as part:
            np.save(part, self._decoded(path))
        return np.load(target, mmap_mode="r", allow_pickle=False)


def _bytes(header: SarHeader) -> int:
    return (
        header.width
        * header.height
        * header.bands
        * (1 if header.dtype == "uint8" else 2 if "16" in header.dtype else 4)
    )


def as_float(picture: np.ndarray) -> np.ndarray:
    """(H, W, C) float32 in [0, 1] of what :class:`Store` gives."""
    if picture.dtype.kind != "u":
        return np.asarray(picture, np.float32)
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)
