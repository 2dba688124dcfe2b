"""A loaded network as what maps tiles, for prediction of rasters and validation by tiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rsdet.errors import ConfigError
from rsdet.tasks.semantic.classmap import class_names
from rsdet.tasks.semantic.scenes import Mapper


def mapper_of(model: Any, reader: Any, tile: int, facts: Mapping[str, Any] | None = None) -> Mapper:
    """What maps tiles of a side in pixels.

    Args:
        model: Ultralytics' ``AutoBackend``.
        reader: Reads files as the model was trained on them.
        tile: The side.
        facts: Plain values that tell this model and its settings from all others.
    """
    stride = int(max(np.ravel(model.stride)))
    side = -(-tile // stride) * stride
    fixed = getattr(model, "imgsz", None) if not getattr(model, "dynamic", False) else None
    size = tuple(fixed) if fixed else (side, side)

    def run(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            given = torch.from_numpy(x).to(model.device)
            y = model(given.half() if model.fp16 else given)
        y = y[0] if isinstance(y, (tuple, list)) else y
        if y.ndim == 3:
            raise ConfigError("the graph gives classes and no logits, which tiles are blended by; export with rsdet.")
        return y.float().cpu().numpy()

    return Mapper(run, reader, class_names(model.names), len(model.names), size, facts or {})
