"""Does an exported file make the same pictures as the network? In decibels and in steps of 8 bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsdet.data.scenes import render_scene
from rsdet.errors import DataError
from rsdet.tasks.restore.options import MAX_DIFF, MIN_PSNR_DB
from rsdet.tasks.restore.source import find


@dataclass(frozen=True)
class PictureParity:
    """Outcome of :func:`compare_pictures`.

    Attributes:
        images: Pictures compared.
        psnr_db: PSNR between the two backends on the worst picture; infinite where they are equal.
        max_diff: Largest difference of any pixel, full scale 1.
        worst: Index of the picture with the lowest PSNR.
        has_nan: A value is not finite.
        min_psnr_db: What the PSNR was judged by.
        max_diff_allowed: What the difference was judged by.
    """

    images: int
    psnr_db: float
    max_diff: float
    worst: int
    has_nan: bool
    min_psnr_db: float = MIN_PSNR_DB
    max_diff_allowed: float = MAX_DIFF

    @property
    def ok(self) -> bool:
        """True when every picture is near enough."""
        return not self.has_nan and self.psnr_db >= self.min_psnr_db and self.max_diff <= self.max_diff_allowed

    @property
    def vacuous(self) -> bool:
        """Pictures always show something."""
        return False

    def summary(self) -> str:
        """Return the outcome in one line."""
        if self.has_nan:
            return f"parity FAILED: values that are not finite on picture {self.worst} of {self.images}"
        worst = "" if self.ok else f"; worst is picture {self.worst}"
        return (
            f"parity {'ok' if self.ok else 'FAILED'}: {self.images} pictures, PSNR between both {self.psnr_db:.1f} dB "
            f"or more (allowed {self.min_psnr_db:g}), largest difference {self.max_diff:.2g} of 1 (allowed "
            f"{self.max_diff_allowed:.2g}){worst}"
        )


def compare_pictures(
    expected: Sequence[np.ndarray],
    got: Sequence[np.ndarray],
    min_psnr_db: float = MIN_PSNR_DB,
    max_diff: float = MAX_DIFF,
) -> PictureParity:
    """Compare the pictures that two backends make of the same inputs.

    Args:
        expected: Pictures of the network, full scale 1; what lies beyond black and white is cut off.
        got: Those of the artifact.
        min_psnr_db: Smallest accepted PSNR between both.
        max_diff: Largest accepted difference of a pixel.

    Raises:
        DataError: Two of them are not of one size.
    """
    worst, lowest, largest, nan = 0, math.inf, 0.0, False
    for i, pair in enumerate(zip(expected, got, strict=True)):
        a, b = (np.asarray(x, np.float64).clip(0, 1) for x in pair)
        if a.shape != b.shape:
            raise DataError(f"one backend makes {a.shape} of a picture and the other {b.shape}; export again.")
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return PictureParity(len(expected), -math.inf, math.inf, i, True, min_psnr_db, max_diff)
        mse = float(np.mean((a - b) ** 2))
        psnr = -10 * math.log10(mse) if mse > 0 else math.inf
        largest = max(largest, float(np.abs(a - b).max()))
        if psnr < lowest:
            worst, lowest = i, psnr
    return PictureParity(len(expected), lowest, largest, worst, nan, min_psnr_db, max_diff)


def parity_pictures(model: Any, size: tuple[int, int], channels: int, images: Sequence[Any] | None = None) -> list[Any]:
    """Pictures (H, W, C) of exactly a size: the user's, else rendered scenes under haze, and an all-black one.

    Args:
        model: Loaded wrapper.
        size: Height and width.
        channels: Channels of the network.
        images: Paths or arrays; cut or continued to the size.
    """
    if images:
        source = find(list(images))
        found = [image for _, image, _ in source.pictures(channels=channels)]
        if source.skipped:
            raise DataError(f"{source.skipped[0]}.")
    else:
        found = [_scene(seed, size, channels) for seed in (1, 2, 3)]
    return [*(_fit(x, size) for x in found), np.zeros((*size, channels), np.float32)]


def _scene(seed: int, size: tuple[int, int], channels: int) -> np.ndarray:
    scene = render_scene(seed, max(*size, 96)).image.astype(np.float32)[: size[0], : size[1]] / 255
    grey = scene.mean(2, keepdims=True)
    planes = scene if channels == 3 else np.repeat(grey, channels, 2)
    return (0.6 * planes + 0.35).astype(np.float32)


def _fit(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    x = x[: size[0], : size[1]]
    down, right = (n - have for n, have in zip(size, x.shape[:2], strict=True))
    return np.ascontiguousarray(np.pad(x, ((0, down), (0, right), (0, 0)), "symmetric"))
