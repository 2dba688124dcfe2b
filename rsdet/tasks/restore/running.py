"""A model of this task as one function: picture in, restored picture out, whole or in tiles."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch

from rsdet.enhance import running
from rsdet.enhance.base import check_enhancer
from rsdet.enhance.network import NetworkEnhancer
from rsdet.enhance.tiler import Progress
from rsdet.errors import ConfigError, DataError
from rsdet.quiet import say


def runner_of(model: Any, device: torch.device | str = "cpu", half: bool = False) -> Any:
    """The function of a network, of a method without weights, or of what is one already.

    Args:
        model: :class:`~rsdet.tasks.restore.model.RestoreModel`, :class:`~rsdet.tasks.restore.methods.RestoreMethod` or
            an enhancer (:class:`rsdet.enhance.base.Enhancer`).
        device: Where a network runs.
        half: Run a copy of the network in FP16.

    Raises:
        ConfigError: FP16 on the CPU.
    """
    if half and torch.device(device).type == "cpu":
        raise ConfigError("half=True on the CPU would emulate its arithmetic, many times slower; leave half= out.")
    if hasattr(model, "network"):
        network = deepcopy(model.network) if half else model.network
        return NetworkEnhancer(network, model.yaml["network"], model.kind, device, half)
    if hasattr(model, "enhancer"):
        return model.enhancer()
    return check_enhancer(model)


def apply(
    run: Any,
    image: np.ndarray,
    *,
    tile: int | None = None,
    overlap: int | None = None,
    name: str = "the picture",
    progress: Progress | None = None,
) -> np.ndarray:
    """Restore one picture.

    Args:
        run: What :func:`runner_of` gave.
        image: (H, W, C) float32 in [0, 1].
        tile: Side of the tiles in input pixels; 0 for the whole at once; None cuts only what is larger than 2 Mpx, or
            than the network's ``whole_px``.
        overlap: Pixels that neighbouring tiles share, blended; an eighth of the tile, 64 at most, where None.
        name: Of the picture, for messages.
        progress: Called with the number of tiles done and of all.

    Returns:
        (scale * H, scale * W, C) float32 in [0, 1].

    Raises:
        DataError: The channels do not fit, the picture is smaller than the network takes, or the memory is full.
    """
    height, width, channels = image.shape
    if run.channels is not None and channels != run.channels:
        raise DataError(f"{name} has {channels} channels, the model takes {run.channels}; choose them with bands=.")
    if min(height, width) < run.min_px:
        raise DataError(f"{name} is {width}x{height} px, the model takes {run.min_px} px or more; enlarge it first.")
    if tile is None and not run.local and height * width > getattr(run, "whole_px", running.WHOLE_PX):
        say(f"{name}: {width}x{height} px, cut into tiles (tile=0 for the whole, if the memory allows).")
    return running.enhance(run, image, tile=tile, overlap=overlap, name=name, progress=progress)
