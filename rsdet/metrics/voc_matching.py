"""Matching and average precision of Pascal VOC, as DOTA's evaluation has them.

Each detection belongs to the true object of its class that it overlaps most, whether that one is taken or not. It is a
hit where the overlap is above the threshold and no better scored detection hit the same object; on a difficult object
it counts neither way; else it is false.

Sources: Everingham et al., The Pascal VOC Challenge (IJCV 2010); Xia et al., DOTA (CVPR 2018), and its DOTA_devkit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsdet.metrics.detection_records import ImageDetections, ImageTruth
from rsdet.metrics.overlap import overlaps


def voc_arrays(
    pairs: Sequence[tuple[ImageTruth, ImageDetections]],
    classes: Sequence[int],
    iou_thresholds: Sequence[float],
    recall_points: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return AP at recall points, AP as the area below the curve, and recall: each (IoU, class), -1 for absent.

    Equal scores are ranked by image, then by the order given; DOTA's kit leaves that to its sort.

    Args:
        pairs: Truth and detections of each image.
        classes: Class numbers.
        iou_thresholds: What an overlap must be above.
        recall_points: Number of recalls, evenly from 0 to 1, at which precision is averaged; 11 in VOC 2007.
    """
    rows, n, objects = [np.zeros((0, 5))], dict.fromkeys(classes, 0), 0
    for t, d in pairs:
        for c in t.classes[~t.crowd].tolist():
            n[c] += 1
        ious = np.where(d.classes[:, None] == t.classes[None], overlaps(d, t), -1)
        ious = np.concatenate([ious, np.full((len(ious), 1), -1.0)], 1)  # a last one, for want of any of its class
        best = ious.argmax(1)
        hard = np.append(t.crowd, False)[best]
        rows.append(np.stack([d.classes, d.scores, ious.max(1), best + objects, hard], 1))
        objects += len(t.classes) + 1
    label, score, iou, target, hard = np.concatenate(rows).T
    out = np.full((3, len(iou_thresholds), len(classes)), -1.0)
    for k, c in enumerate(classes):
        rank = np.flatnonzero(label == c)
        rank = rank[np.argsort(-score[rank], kind="stable")]
        for i, threshold in enumerate(iou_thresholds if n[c] else ()):
            over = iou[rank] > threshold
            hit = np.zeros(len(rank), bool)
            hit[np.flatnonzero(over)[np.unique(target[rank][over], return_index=True)[1]]] = True
            hit = hit[~(over & (hard[rank] > 0))]
            out[:, i, k] = at_recalls(hit, n[c], recall_points), below_curve(hit, n[c]), hit.sum() / n[c]
    return tuple(out)


def at_recalls(hit: np.ndarray, n_true: int, recall_points: int) -> float:
    """AP as the mean, over recalls evenly from 0 to 1, of the largest precision at that recall or above.

    Args:
        hit: (N,) bool, the detections that count, best first.
        n_true: Objects to find.
        recall_points: Number of recalls.
    """
    tp = np.cumsum(hit)
    precision, recall = tp / np.arange(1, len(hit) + 1), tp / n_true
    return float(np.mean([precision[recall >= r].max(initial=0) for r in np.linspace(0, 1, recall_points)]))


def below_curve(hit: np.ndarray, n_true: int) -> float:
    """AP as the area below the envelope of the precision-recall curve; the arguments are those of `at_recalls`."""
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hit].sum() / n_true)  # recall grows by 1 / n at each hit
