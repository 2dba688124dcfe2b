"""One enhancer on one picture of any size: whole where the memory allows, else in tiles."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from rsdet.arguments import check_whole
from rsdet.data.tiling import Progress, tiled
from rsdet.enhance.base import Enhancer, check_output
from rsdet.errors import ConfigError, DataError

WHOLE_PX = 2**21  # pictures with more input pixels are cut into tiles unless told otherwise, or the network says less
AUTO_TILE_PX, AUTO_OVERLAP_PX = 1024, 64


def check_tiling(tile: object, overlap: object, prefix: str = "enhance_") -> None:
    """Refuse tiles that cannot be; ``prefix`` stands before ``tile`` and ``overlap`` where the user says so.

    Raises:
        ConfigError: No whole numbers, or an overlap that is no smaller than the tile.
    """
    for key, value in (("tile", tile), ("overlap", overlap)):
        if value is not None:
            check_whole(f"{prefix}{key}", value, 0, f"a whole number of pixels; e.g. {prefix}{key}=64")
    if tile and overlap is not None and overlap >= tile:  # type: ignore[operator]
        raise ConfigError(
            f"{prefix}overlap={overlap} must be smaller than {prefix}tile={tile}; e.g. {prefix}overlap=64."
        )
    if tile == 0 and overlap:
        raise ConfigError(f"{prefix}overlap= is for tiles, and {prefix}tile=0 asks for none; leave it out.")


def enhance(
    enhancer: Enhancer,
    image: np.ndarray,
    *,
    tile: int | None = None,
    overlap: int | None = None,
    name: str = "the picture",
    prefix: str = "enhance_",
    progress: Progress | None = None,
) -> np.ndarray:
    """Enhance one picture.

    Pictures smaller than the enhancer takes are continued by their border and cut back.

    Args:
        enhancer: What to run.
        image: (H, W, C) float32 in [0, 1].
        tile: Side of the tiles in input pixels; 0 for the whole at once; None cuts only what is larger than 2 Mpx, or
            than the network's ``whole_px``.
        overlap: Pixels that neighbouring tiles share, blended; an eighth of the tile, 64 at most, where None.
        name: Of the picture, for messages.
        prefix: As in :func:`check_tiling`.
        progress: Called with the number of tiles done and of all.

    Returns:
        (scale * H, scale * W, C) float32 in [0, 1].

    Raises:
        DataError: The channels do not fit, the memory does not suffice, or what comes back is no such picture.
    """
    height, width, channels = image.shape
    if enhancer.channels is not None and channels != enhancer.channels:
        raise DataError(
            f"{name} has {channels} channels, {enhancer.name} takes {enhancer.channels}; choose another enhancer."
        )
    down, right = max(0, enhancer.min_px - height), max(0, enhancer.min_px - width)
    x = np.pad(image, ((0, down), (0, right), (0, 0)), mode="symmetric") if down or right else image
    hw, overlap = tiling(enhancer, (height, width), tile, overlap)
    if getattr(enhancer, "tile_hw", None) is not None:
        whole = x.shape[0] < hw[0] or x.shape[1] < hw[1]  # it continues smaller pictures by itself
    else:
        whole = min(hw) >= max(height, width)
    with _memory(name, prefix):
        if not whole and hasattr(enhancer, "for_whole"):
            enhancer = enhancer.for_whole(x)
        y = enhancer(x) if whole else tiled(enhancer, x, hw, overlap, enhancer.scale, progress=progress)
    y = y[: height * enhancer.scale, : width * enhancer.scale] if down or right else y
    return check_output(y, image, enhancer)


def tiling(
    enhancer: Enhancer, size_hw: tuple[int, int], tile: int | None, overlap: int | None
) -> tuple[tuple[int, int], int]:
    """Height and width of the tiles of a picture, and pixels that they share.

    Args:
        enhancer: What will run; a graph of one size runs in tiles of that, whatever is asked for.
        size_hw: Height and width of the picture, pixels.
        tile: As in :func:`enhance`.
        overlap: As in :func:`enhance`.

    Returns:
        Tiles as large as the picture where it is to be run whole.
    """
    height, width = size_hw
    if tile is None:
        whole_px = getattr(enhancer, "whole_px", WHOLE_PX)
        side = min(AUTO_TILE_PX, int(whole_px**0.5) // 16 * 16)  # whole attention windows
        tile = side if height * width > whole_px else 0
    side = max(tile or max(size_hw), enhancer.min_px)
    hw = getattr(enhancer, "tile_hw", None) or (side, side)
    least = min(hw)
    return hw, min(AUTO_OVERLAP_PX, least // 8) if overlap is None else min(overlap, least - 1)


@contextlib.contextmanager
def _memory(name: str, prefix: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as e:
        if isinstance(e, MemoryError) or "memory" in str(e).lower():
            raise DataError(
                f"{name} needs more memory than there is; use tiles, such as {prefix}tile=512 {prefix}overlap=64."
            ) from e
        raise
