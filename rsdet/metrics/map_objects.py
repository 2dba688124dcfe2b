"""Accuracy of maps of classes by object: an object is a connected region of one class, corners included.

An object of the truth is hit where a connected region of the same class in the prediction has an IoU above 0.3 with it
(Hybrid-SegUFormer, Remote Sens. 2025: the sheet's per-object recall); one found is right where it hits an object of the
truth. Pixels without a class in the truth count in no area, but they do connect regions of the prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from rsdet.metrics.confusion import IGNORE

HIT_IOU = 0.3
SIZES_PX = (0, 100, 1_000, 10_000, math.inf)  # classes of size: from each to below the next


@dataclass
class MapObjects:
    """Objects of the truth and of the prediction of any number of maps.

    Attributes:
        classes: Class numbers that are looked at.
        truth: (N, 4) for each map: class, pixels, largest IoU with a region found, pixels that were given its class.
        found: (M, 3) for each map: class, pixels, largest IoU with an object of the truth.
    """

    classes: Sequence[int]
    truth: list[np.ndarray] = field(default_factory=list)
    found: list[np.ndarray] = field(default_factory=list)

    def add(self, truth: np.ndarray, found: np.ndarray) -> None:
        """Count a map.

        Args:
            truth: (H, W) class numbers, 255 where there is none.
            found: (H, W) class numbers.
        """
        known = truth != IGNORE
        for k in self.classes:
            of_truth, of_found = (_regions(x == k) for x in (truth, found))
            areas, found_areas = (np.bincount(x[known], minlength=x.max() + 1)[1:] for x in (of_truth, of_found))
            overlap = known & (of_truth > 0) & (of_found > 0)
            width = len(found_areas) + 1
            pairs, shared = np.unique(
                of_truth[overlap].astype(np.int64) * width + of_found[overlap], return_counts=True
            )
            a, b = pairs // width - 1, pairs % width - 1
            iou = shared / (areas[a] + found_areas[b] - shared)
            best, best_found, covered = np.zeros(len(areas)), np.zeros(len(found_areas)), np.zeros(len(areas))
            np.maximum.at(best, a, iou)
            np.maximum.at(best_found, b, iou)
            np.add.at(covered, a, shared)
            self.truth.append(np.stack([np.full(len(areas), k), areas, best, covered], 1))
            seen = found_areas > 0  # what lies where nobody knows is neither right nor wrong
            self.found.append(np.stack([np.full(seen.sum(), k), found_areas[seen], best_found[seen]], 1))

    def rows(self, names: Mapping[int, str], gsd: float | None = None) -> list[dict[str, Any]]:
        """A row per class and size, that of all sizes first; parts of 1, NaN where there is nothing to divide by.

        Args:
            names: Class number to name.
            gsd: Metres a pixel, where all maps have the same; the sizes are then told in square metres, too.
        """
        truth, found = (np.concatenate([np.zeros((0, n)), *x]) for n, x in ((4, self.truth), (3, self.found)))
        sizes = [(SIZES_PX[0], SIZES_PX[-1]), *pairwise(SIZES_PX)]
        return [_row(names[k], size, gsd, truth[truth[:, 0] == k], found[found[:, 0] == k])
                for k in self.classes for size in sizes]  # fmt: skip


def _row(
    name: str, size: tuple[float, float], gsd: float | None, truth: np.ndarray, found: np.ndarray
) -> dict[str, Any]:
    """What is said of the objects of a class with ``size[0]`` pixels or more and below ``size[1]``."""
    truth, found = (x[(x[:, 1] >= size[0]) & (x[:, 1] < size[1])] for x in (truth, found))
    hit, right = truth[:, 2] > HIT_IOU, found[:, 2] > HIT_IOU
    row: dict[str, Any] = {"class": name, "from_px": int(size[0]), "below_px": _finite(size[1])}
    if gsd is not None:
        row |= {"from_m2": size[0] * gsd**2, "below_m2": _finite(size[1] * gsd**2)}
    return row | {
        "objects": len(truth), "hit": int(hit.sum()), "recall": _mean(hit), "iou": _mean(truth[:, 2]),
        "pixel_recall": float(truth[:, 3].sum() / truth[:, 1].sum()) if len(truth) else math.nan,
        "found": len(found), "right": int(right.sum()), "precision": _mean(right),
    }  # fmt: skip


def say_objects(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line per class with objects: what part was hit, of all and of each size."""
    lines = []
    for name in dict.fromkeys(row["class"] for row in rows):
        whole, *sizes = (row for row in rows if row["class"] == name)
        if not whole["objects"]:
            continue
        parts = [f"{_size(r)} {r['hit']} of {r['objects']}" for r in sizes if r["objects"]]
        lines.append(
            f"{name}: {whole['hit']} of {whole['objects']} objects hit (IoU above {HIT_IOU}; {', '.join(parts)}), "
            f"{whole['right']} of {whole['found']} found are right"
        )
    return "\n".join(lines)


def _size(row: Mapping[str, Any]) -> str:
    low, high = row["from_px"], row["below_px"]
    return f"{low:,} px or more" if high is None else f"{low:,} to {high:,} px" if low else f"below {high:,} px"


def _regions(mask: np.ndarray) -> np.ndarray:
    """(H, W) number of the connected region of each pixel, 0 outside."""
    return cv2.connectedComponents(np.ascontiguousarray(mask, np.uint8), connectivity=8, ltype=cv2.CV_32S)[1]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value
