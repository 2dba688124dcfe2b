"""Pictures of any kind as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from rsdet.errors import DataError


def as_hwc(image: Any) -> np.ndarray:
    """(H, W, C) float64 of an array (H, W) or (H, W, C), or of a tensor (C, H, W) or (1, C, H, W), in [0, 1].

    Raises:
        DataError: Anything else, integers (their range is not known), or values that are not finite.
    """
    if hasattr(image, "detach"):
        image = image.detach().cpu().double().numpy()
        image = image[0] if image.ndim == 4 and image.shape[0] == 1 else image
        image = image.transpose(1, 2, 0) if image.ndim == 3 else image
    x = np.asarray(image)
    if x.ndim not in (2, 3) or not x.size or x.dtype.kind != "f":
        raise DataError(f"a picture of floats in [0, 1] is needed, (H, W, C); received {x.dtype} of shape {x.shape}")
    if not np.isfinite(x).all():
        raise DataError("a picture holds values that are no finite numbers; look at what made it")
    return np.atleast_3d(x).astype(np.float64)
