"""COCO's run lengths of a mask, decoded with every number checked: pycocotools writes beyond its memory for wrong ones.

Runs go down the columns, from the first column on; the first counts pixels outside of the mask. As text, a run is a
number in groups of five bits, lowest first, and from the fourth on the difference to the run before the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def decode_runs(segmentation: Any, size_hw: tuple[int, int]) -> np.ndarray:
    """The mask of an entry of a file.

    Args:
        segmentation: ``{"size": [height, width], "counts": text or list}``.
        size_hw: Size of its picture.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: It is no such mapping, of another size, or its runs do not fill the picture; in words.
    """
    if not isinstance(segmentation, dict) or not isinstance(segmentation.get("counts"), str | list):
        raise ValueError("no run lengths with size and counts")
    if segmentation.get("size") != list(size_hw):
        raise ValueError(f"of size {segmentation.get('size')!r}, its picture has {list(size_hw)}")
    counts = segmentation["counts"]
    runs = _from_text(counts) if isinstance(counts, str) else counts
    if not all(isinstance(r, int) and r >= 0 for r in runs) or sum(runs) != size_hw[0] * size_hw[1]:
        raise ValueError("runs that do not fill its picture")
    inside = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(inside, runs).reshape(size_hw[::-1]).T)


def _from_text(text: str) -> Sequence[int]:
    runs: list[int] = []
    value = shift = 0
    for code in text.encode("utf-8"):
        bits = code - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("text that is no run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("text cut short")
    return runs
