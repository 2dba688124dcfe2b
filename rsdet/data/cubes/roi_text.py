"""Regions of interest as ENVI exports them to text: the form in which the pixels of Houston 2013 are handed out.

The head names the regions and the size of the picture; below, the pixels of one region after the other, counted from 1
in each, with column X and row Y, which count from 1 as well.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rsdet.errors import DataError
from rsdet.textfiles import text_of

_SIZE = re.compile(r"^;\s*File Dimension:\s*(\d+)\s*x\s*(\d+)", re.MULTILINE)
_POINTS = re.compile(r"^;\s*ROI npts:\s*(\d+)", re.MULTILINE)
_BYTES = 256 << 20


def is_roi_text(head: bytes) -> bool:
    """Whether a file begins as such an export does."""
    return head.lstrip().startswith(b"; ENVI Output of ROIs")


def read_roi_text(path: Path) -> np.ndarray:
    """Number of the region of each pixel.

    Returns:
        (H, W) int64: 0 outside of all, 1 for the first region of the file, ...

    Raises:
        DataError: Its numbers do not fit together, or a pixel is in two regions.
    """
    text = text_of(path, DataError, "an export of regions in plain text", _BYTES, "latin-1")
    size, counts = _SIZE.search(text), [int(n) for n in _POINTS.findall(text)]
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(";")]
    if size is None or not counts or len(rows) != sum(counts):
        stated = f"{sum(counts)} pixels of {len(counts)} regions" if size else "no size of the picture"
        raise DataError(f"{path} states {stated} and has {len(rows)}; export the regions again.")
    width, height = int(size[1]), int(size[2])
    try:
        x, y = np.array([row[1:3] for row in rows], np.int64).T - 1
    except ValueError:
        raise DataError(f"{path} has rows without the whole numbers ID, X and Y; export the regions again.") from None
    if min(x.min(), y.min()) < 0 or x.max() >= width or y.max() >= height:
        raise DataError(f"{path} has pixels outside of {width}x{height}; export the regions again.")
    out = np.zeros((height, width), np.int64)
    numbers = np.repeat(np.arange(1, len(counts) + 1), counts)
    out[y, x] = numbers
    if twice := int((out[y, x] != numbers).sum()):
        raise DataError(f"{path} has {twice} pixels in two regions; leave each in one.")
    return out
