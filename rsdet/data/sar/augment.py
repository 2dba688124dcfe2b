"""Augmentation fit for SAR: no colour, but another draw of the speckle, and every turn of the look from above.

The transforms enter through Ultralytics' hook for Albumentations, so boxes follow and workers are seeded. Corners and
outlines would follow as key points, half a pixel or more beside their place: they have :class:`QuarterTurn`.
"""

from __future__ import annotations

import random
from copy import copy
from typing import Any

import numpy as np
from ultralytics.utils import LOGGER

from rsdet.data.sar.stretch import Stretch

#: Training arguments for data with a ``sar:`` section, where the user says nothing else. With ``rot90`` or ``speckle``
#: set, Ultralytics' own blur, CLAHE and conversion to gray are left out.
SAR_TRAINING_DEFAULTS: dict[str, float] = {
    "hsv_h": 0.0,
    "hsv_s": 0.0,
    "hsv_v": 0.0,
    "bgr": 0.0,
    "flipud": 0.5,
    "fliplr": 0.5,
    "rot90": 0.5,
    "speckle": 8.0,
}
#: The same for velocities, which have no speckle; a flip changes the direction of the look, which nothing else shows.
VELOCITY_TRAINING_DEFAULTS: dict[str, float] = {**SAR_TRAINING_DEFAULTS, "speckle": 0.0}
SPECKLE_SPREAD = 4.0  # looks are drawn between L and so many times L
SPECKLE_P = 0.5  # half of the images stay as they were measured: those of validation do, too


def with_sar_transforms(hyp: Any, stretch: Stretch | None = None, rect: bool = False, turn: bool = True) -> Any:
    """Return training arguments whose ``augmentations`` hold what ``hyp.speckle`` and ``hyp.rot90`` ask for.

    Args:
        hyp: Training arguments; left as they are. ``speckle`` is the number of looks L of the multiplicative noise (0
            is off; the looks of an image are drawn between L and 4 L), ``rot90`` the probability of a random turn by
            0, 90, 180 or 270 degrees.
        stretch: How the pictures were made; without it gray levels are taken for amplitudes.
        rect: Batches of oblong images, which must not be turned.
        turn: Turn the pictures here; otherwise whoever asks has a :class:`QuarterTurn`.

    Returns:
        ``hyp`` itself where neither is set, else a copy.
    """
    looks, rot90 = float(getattr(hyp, "speckle", 0.0) or 0.0), float(getattr(hyp, "rot90", 0.0) or 0.0)
    if rot90 and rect:
        LOGGER.info("rot90 is off with rect=True: the images of a batch would differ in shape.")
        rot90 = 0.0
    if not looks and not rot90:
        return hyp
    import albumentations as A

    from rsdet.data.sar.speckle import Speckle

    # The trainer has turned transforms of the user's into dictionaries; a list must be of one kind.
    given = [A.from_dict(t) if isinstance(t, dict) else t for t in getattr(hyp, "augmentations", None) or []]
    if rot90 and turn:
        given.append(A.RandomRotate90(p=rot90))
    if looks:
        given.append(Speckle.for_stretch(stretch, (looks, SPECKLE_SPREAD * looks), p=SPECKLE_P))
    hyp = copy(hyp)
    hyp.augmentations = given
    return hyp


class QuarterTurn:
    """Turns a picture, its boxes, their corners or outlines, or its map of classes by quarters, exactly.

    Args:
        p: Probability that one of the four is drawn.
    """

    def __init__(self, p: float):
        self.p = p

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Turn what Ultralytics' transforms hand on."""
        turns = random.randrange(4) if random.random() < self.p else 0
        if not turns:
            return labels
        instances, (height, width) = labels["instances"], labels["img"].shape[:2]
        instances.convert_bbox("xywh")
        instances.normalize(width, height)
        boxes, outlines = instances.bboxes, instances.segments
        for _ in range(turns):  # to the left: what was the right edge is the upper one then
            boxes = np.stack([boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3], boxes[:, 2]], 1)
            outlines = np.stack([outlines[..., 1], 1 - outlines[..., 0]], -1)
        instances.update(boxes, outlines)
        for raster in {"img", "semantic_mask"} & labels.keys():
            labels[raster] = np.ascontiguousarray(np.rot90(labels[raster], turns))
        return labels
