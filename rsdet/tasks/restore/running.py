"""A model of this task as one function: picture in, restored picture out, whole or in tiles."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from rsdet.data.tiling import Progress, tiled
from rsdet.deploy.artifact import weights_sha256
from rsdet.enhance import running
from rsdet.enhance.base import check_enhancer
from rsdet.errors import ConfigError, DataError
from rsdet.quiet import say


def runner_of(model: Any, device: Any = "cpu", half: bool = False) -> Any:
    """The function of a network, of a method without weights, or of what is one already.

    Args:
        model: :class:`~rsdet.tasks.restore.model.RestoreModel`, :class:`~rsdet.tasks.restore.methods.RestoreMethod` or
            an enhancer (:class:`rsdet.enhance.base.Enhancer`).
        device: Where a network runs.
        half: Run a copy of the network in FP16.

    Raises:
        ConfigError: FP16 on the CPU.
    """
    if half and str(device) == "cpu":
        raise ConfigError("half=True on the CPU would emulate its arithmetic, many times slower; leave half= out.")
    if hasattr(model, "network"):
        from rsdet.enhance.network import NetworkEnhancer  # brings PyTorch, which exported files do without

        network = deepcopy(model.network) if half else model.network
        return NetworkEnhancer(network, model.yaml["network"], model.kind, device, half)
    if hasattr(model, "enhancer"):
        return model.enhancer()
    return check_enhancer(model)


def check_tiles(run: Any, tile: Any, overlap: Any) -> None:
    """Refuse tiles that a model does not take, and tell what the size of an exported graph changes.

    Args:
        run: What :func:`runner_of` gave.
        tile: As in :func:`apply`.
        overlap: As there.

    Raises:
        ConfigError: They cannot be, are smaller than the model takes, or of another size than an exported graph's.
    """
    running.check_tiling(tile, overlap, prefix="")
    fixed = getattr(run, "tile_hw", None)
    if tile is not None and fixed is not None and (tile, tile) != fixed:
        raise ConfigError(f"tile={tile}: {run.name} takes tiles of {fixed[1]}x{fixed[0]} px; leave tile= out.")
    if tile and tile < getattr(run, "min_px", 1):
        raise ConfigError(f"tile={tile} is smaller than the {run.min_px} px that the model takes.")
    if fixed is not None and not run.local:
        say(
            f"{run.name} takes {fixed[1]}x{fixed[0]} px and its network looks at all of a picture: of larger ones it "
            "sees tiles, smaller ones are continued by reflection, and both differ from what weights make of the whole."
        )


def digest_of(model: Any, run: Any) -> str:
    """What tells a model from every other that restores in another way.

    Args:
        model: As :func:`runner_of` takes it.
        run: What it gave.
    """
    if hasattr(run, "network"):
        return weights_sha256(run.network)
    settings = getattr(model, "yaml", {})
    return getattr(run, "key", None) or str([settings.get("method"), settings.get("vars"), run.name])


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
    return running.enhance(run, image, tile=tile, overlap=overlap, name=name, prefix="", progress=progress)


def in_tiles(
    run: Callable[[np.ndarray], np.ndarray], image: np.ndarray, size: tuple[int, int], scale: int, batch: int = 1
) -> np.ndarray:
    """Restore one picture by a graph that takes so many tiles of one size at a time.

    Args:
        run: (batch, C, h, w) float32 to (batch, C, scale * h, scale * w).
        image: (H, W, C) float32 in [0, 1]; continued by its border where it is smaller than a tile.
        size: h and w.
        scale: Output pixels per input pixel along each axis.
        batch: Tiles at a time.

    Returns:
        (scale * H, scale * W, C) float32 in [0, 1].
    """

    def tiles(x: np.ndarray) -> np.ndarray:
        stack = x if batch > 1 else x[None]
        filled = np.concatenate([stack, np.repeat(stack[-1:], batch - len(stack), axis=0)])
        y = run(np.ascontiguousarray(filled.transpose(0, 3, 1, 2)))[: len(stack)].clip(0, 1).transpose(0, 2, 3, 1)
        return y if batch > 1 else y[0]

    height, width = image.shape[:2]
    down, right = (max(0, n - have) for n, have in zip(size, (height, width), strict=True))
    x = np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge") if down or right else image
    overlap = min(running.AUTO_OVERLAP_PX, min(size) // 8)
    return tiled(tiles, x, size, overlap, scale, batch=batch)[: height * scale, : width * scale]
