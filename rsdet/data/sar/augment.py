"""Augmentation fit for SAR: no colour, but another draw of the speckle, and every turn of the look from above.

The transforms enter through Ultralytics' hook for Albumentations, so boxes follow and workers are seeded.
"""

from __future__ import annotations

from copy import copy
from typing import Any

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
SPECKLE_SPREAD = 4.0  # looks are drawn between L and so many times L
SPECKLE_P = 0.5  # half of the images stay as they were measured: those of validation do, too


def with_sar_transforms(hyp: Any, stretch: Stretch | None = None, rect: bool = False) -> Any:
    """Return training arguments whose ``augmentations`` hold what ``hyp.speckle`` and ``hyp.rot90`` ask for.

    Args:
        hyp: Training arguments; left as they are. ``speckle`` is the number of looks L of the multiplicative noise (0
            is off; the looks of an image are drawn between L and 4 L), ``rot90`` the probability of a random turn by
            0, 90, 180 or 270 degrees.
        stretch: How the pictures were made; without it gray levels are taken for amplitudes.
        rect: Batches of oblong images, which must not be turned.

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
    if rot90:
        given.append(A.RandomRotate90(p=rot90))
    if looks:
        given.append(Speckle.for_stretch(stretch, (looks, SPECKLE_SPREAD * looks), p=SPECKLE_P))
    hyp = copy(hyp)
    hyp.augmentations = given
    return hyp
