"""From what a detector puts out to boxes in pixels of the picture, by the rules of Ultralytics' predictors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rsdet.errors import CheckpointError
from rsdet.runtime.geometry import Placement
from rsdet.tasks.detect.runtime.facts import Facts
from rsdet.tasks.detect.runtime.nms import class_aware_nms

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # (N, 4) boxes, (N,) scores, (N,) classes


@dataclass(frozen=True)
class Rules:
    """What is kept.

    Attributes:
        conf: Lowest score, itself left out.
        iou: Largest overlap of two boxes of a class; only where the network leaves suppression to us.
        max_det: Most boxes of an image.
        classes: Class numbers to keep; all when None.
        agnostic: Suppress across classes.
    """

    conf: float = 0.25
    iou: float = 0.7
    max_det: int = 300
    classes: tuple[int, ...] | None = None
    agnostic: bool = False


class Found(NamedTuple):
    """Objects of one image that the rules keep, best first; the boxes are as the network puts them out.

    Attributes:
        boxes: (N, 4).
        scores: (N,).
        classes: (N,).
        extra: (N, E), what the task has besides: an angle, coefficients of a mask.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    extra: np.ndarray


def check_output(out: np.ndarray, batch: int, facts: Facts, extra: int = 0) -> None:
    """Make sure that an output can be what the metadata say.

    Args:
        out: First output of the network.
        batch: Images that went in.
        facts: What the file says about itself.
        extra: Values of each object beyond box and score.

    Raises:
        CheckpointError: Another shape, or values that are not numbers.
    """
    raw = (batch, 4 + len(facts.names) + extra)
    fits = out.ndim == 3 and out.shape[0] == batch
    if fits and not (_is_final(out, facts) and out.shape[2] == 6 + extra):
        fits = facts.family == "yolo" and not facts.end2end and out.shape[:2] == raw
    if not fits:
        final = f"(B, N, {6 + extra})"
        alone = facts.family == "rtdetr" or facts.end2end
        # An output of six columns is taken for final rows, as Ultralytics takes it.
        expected = final if alone else f"(B, {raw[1]}, N)" + (f" or {final}" if not extra else "")
        raise CheckpointError(
            f"{facts.file} puts out {out.shape}; expected {expected} of a {facts.family} model with "
            f"{len(facts.names)} classes; export it again."
        )
    if np.isnan(out).any():
        raise CheckpointError(
            f"{facts.file} puts out values that are not numbers (NaN); a graph that overflows, most often in FP16; "
            "export it again with half=False."
        )


def _is_final(out: np.ndarray, facts: Facts) -> bool:
    return facts.family == "rtdetr" or facts.end2end or out.shape[-1] == 6


def rows(out: np.ndarray, facts: Facts, placement: Placement, rules: Rules) -> Rows:
    """Boxes of one image.

    Args:
        out: ``rtdetr``: (Q, 6) of cx, cy, w, h in [0, 1] of the input, score, class. ``yolo``: (4 + nc, N) of cx, cy,
            w, h in pixels of the input and a score for each class, or final rows (N, 6) of x1, y1, x2, y2 in pixels
            of the input, score, class.
        facts: What the file says about itself.
        placement: Where the picture lies in the input.
        rules: What is kept.

    Returns:
        (N, 4) float32 x1, y1, x2, y2 in pixels of the picture, (N,) float32 scores, (N,) int64 classes.
    """
    found, final = kept(out, facts, rules, upright), _is_final(out, facts)
    if facts.family == "rtdetr":
        height, width = placement.size_hw
        boxes = corners(found.boxes) * np.array([width, height, width, height], np.float32)  # not cut off at the rim
    else:
        boxes = placement.to_picture(found.boxes if final else corners(found.boxes))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])  # crossed edges: a box without area
    return boxes.astype(np.float32), found.scores.astype(np.float32), found.classes.astype(np.int64)


def kept(out: np.ndarray, facts: Facts, rules: Rules, suppress: Callable[[Found, Rules], np.ndarray]) -> Found:
    """Objects of one image that the rules keep.

    Args:
        out: (4 + nc + E, N) of a box, a score for each class and E values more, or final rows (N, 6 + E) of a box,
            score, class and those values.
        facts: What the file says about itself.
        rules: What is kept.
        suppress: Numbers of the objects that remain of overlapping ones, best first; not asked about final rows.
    """
    if _is_final(out, facts):
        keep = np.flatnonzero((out[:, 4] > rules.conf) & _among(out[:, 5], rules.classes))[: rules.max_det]
        return Found(out[keep, :4], out[keep, 4], out[keep, 5], out[keep, 6:])
    of_classes = out[4 : 4 + len(facts.names)]
    scores = of_classes.max(0)
    near = np.flatnonzero(scores > rules.conf)  # first of all: nearly everything goes here
    classes, scores = of_classes[:, near].argmax(0), scores[near]
    wanted = _among(classes, rules.classes)
    near, classes, scores = near[wanted], classes[wanted], scores[wanted]
    found = Found(out[:4, near].T, scores, classes, out[4 + len(facts.names) :, near].T)
    keep = suppress(found, rules)
    return Found(*(values[keep] for values in found))


def upright(found: Found, rules: Rules) -> np.ndarray:
    """Suppress upright boxes that come as cx, cy, w, h."""
    return class_aware_nms(corners(found.boxes), found.scores, found.classes, rules.iou, rules.max_det, rules.agnostic)


def corners(boxes_cxcywh: np.ndarray) -> np.ndarray:
    """(N, 4) of cx, cy, w, h as x1, y1, x2, y2."""
    centre, half = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:4] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def _among(classes: np.ndarray, wanted: Sequence[int] | None) -> np.ndarray:
    return np.ones(len(classes), bool) if wanted is None else np.isin(classes, wanted)
