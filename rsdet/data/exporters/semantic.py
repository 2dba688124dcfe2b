"""Masks of class numbers beside the pictures of a data set, as Ultralytics' ``semantic`` task reads them."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from rsdet.data.annotations import ImageRecord
from rsdet.data.masks.maps import ClassMaps
from rsdet.writing import write_bytes

MASKS = "masks"  # the folder


class MaskWriter:
    """Writes the masks of one split.

    Attributes:
        counts: (256,) int64 pixels of each class number.
        how: What became of pixels where they had two meanings or none, see :class:`ClassMaps`.
    """

    def __init__(self, maps: ClassMaps):
        self.maps = maps
        self.counts = np.zeros(256, np.int64)
        self.how: Counter[tuple[str, str]] = Counter()

    def write(self, record: ImageRecord, folder: Path) -> None:
        """Write the mask of a picture or tile, unless it lies there already."""
        mask = self.maps.draw(record, self.how)
        self.counts += np.bincount(mask.ravel(), minlength=256)
        data = cv2.imencode(".png", mask)[1].tobytes()
        path = folder / f"{record.stem}.png"
        with suppress(OSError):
            if not path.is_symlink() and path.read_bytes() == data:
                return
        write_bytes(path, data)
