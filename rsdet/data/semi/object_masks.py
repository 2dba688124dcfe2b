"""Masks of objects beside pictures: a JSON a picture, from which one object is chosen for each sample.

The file is a list of ``{"segmentation": COCO RLE, "predicted_iou": score, "area": pixels}``, best first, as Segment
Anything's automatic generator writes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.data.run_lengths import decode_runs
from rsdet.data.semi.regions import LARGEST, SMALLEST
from rsdet.errors import ConfigError, DataError
from rsdet.textfiles import read_json
from rsdet.writing import write_text

_BLUR = 5 / 1200  # deviation of the blur that smooths an outline, in lengths of the picture: 5 px of 1200 (S5Mars)


@dataclass(frozen=True)
class ObjectChoice:
    """Which objects may be pasted.

    Attributes:
        min_score: Smallest predicted_iou. Scores of FastSAM are confidences and lower than SAM's.
        best: How many are looked at, from the best on, and whatever is as good as the last of these.
        smallest: Share of the picture that an object must cover.
        largest: Share of the picture that it may cover.
    """

    min_score: float = 0.97
    best: int = 11
    smallest: float = SMALLEST
    largest: float = LARGEST

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1 or not 0 <= self.smallest <= self.largest <= 1 or self.best < 1:
            raise ConfigError(f"{self} received; expected shares and scores from 0 to 1, and best of 1 or more")

    def draw(self, path: Path, size_hw: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """One of the objects in a file, its outline smoothed.

        Args:
            path: The JSON file.
            size_hw: Height and width of its picture.
            rng: Source of all randomness.

        Returns:
            (H, W) bool; empty where no object is good enough.

        Raises:
            DataError: The file cannot be read, or is of a picture of another size.
        """
        entries = read_object_masks(path)
        least = max([self.min_score, *(e["predicted_iou"] for e in entries[self.best - 1 : self.best])])
        entries = [e for e in entries if e["predicted_iou"] >= least]
        for i in rng.permutation(len(entries)):  # the first that fits in a random order: any of them alike
            mask = smoothed(decoded(entries[i], size_hw, path))
            if self.smallest <= mask.mean() <= self.largest:
                return mask
        return np.zeros(size_hw, bool)


def smoothed(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool, the mask blurred and cut at one half."""
    sigma = _BLUR * math.sqrt(mask.size)
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma) > 0.5


def read_object_masks(path: Path) -> list[dict[str, Any]]:
    """Entries of a file, best first, not decoded.

    Raises:
        DataError: It cannot be read or holds something else.
    """
    entries = read_json(path, wanted="a list of masks as rsdet masks writes it")
    if not isinstance(entries, list) or not all(
        isinstance(e, dict) and "segmentation" in e and isinstance(e.get("predicted_iou"), int | float) for e in entries
    ):
        raise DataError(f"{path} holds no list of masks with segmentation and predicted_iou; make it with rsdet masks")
    return sorted(entries, key=lambda e: -e["predicted_iou"])


def decoded(entry: dict[str, Any], size_hw: tuple[int, int], path: Path) -> np.ndarray:
    """(H, W) bool, the mask of an entry.

    Raises:
        DataError: It is damaged, or of a picture of another size.
    """
    try:
        return decode_runs(entry["segmentation"], size_hw)
    except ValueError as e:
        raise DataError(f"{path} holds a mask {e}; make it anew (rsdet masks)") from e


def write_object_masks(path: Path, masks: Sequence[np.ndarray], scores: Sequence[float]) -> Path:
    """Write the masks of a picture, best first.

    Args:
        path: The JSON file.
        masks: Each (H, W) bool.
        scores: How sure each is, 0 to 1.
    """
    from pycocotools import mask as rle

    entries = []
    for i in sorted(range(len(masks)), key=lambda i: -scores[i]):
        packed = rle.encode(np.asfortranarray(masks[i], np.uint8))
        segmentation = {"size": list(masks[i].shape), "counts": packed["counts"].decode("ascii")}
        entries.append({"segmentation": segmentation, "predicted_iou": float(scores[i]), "area": int(np.sum(masks[i]))})
    return write_text(path, json.dumps(entries))
