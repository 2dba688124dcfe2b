"""HAC-MoE as the toolkit sees it: settings in, ``solve(picture)`` out. Minutes per picture, so never in a video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsdet.blind.progress import EARLY, FINISHED, INTERRUPTED, Callback, Clock
from rsdet.blind.result import BlindResult
from rsdet.blind.settings import Settings
from rsdet.blind.solver import Fit, Solver
from rsdet.blind.tiles import most_textured
from rsdet.errors import DataError


class HACMoE:
    """Blind super-resolution of one picture at a time; has no weights, and nothing to export.

    Args:
        device: Where it runs: ``cpu`` or PyTorch's name of a GPU.
        **settings: See :class:`rsdet.blind.settings.Settings` and ``hac-moe.yaml``.

    Attributes:
        name: ``hac-moe``.
        kind: ``superres``.
        scale: Output pixels per input pixel along each axis.
        channels: None: any number; all share one kernel.
        local: False: the whole picture (or tile) decides.
        min_px: Smallest height and width.
        offline: True: too slow for a loop over video frames.

    Raises:
        ConfigError: An unknown setting or a value that does not fit.
    """

    name = "hac-moe"
    kind = "superres"
    channels: int | None = None
    local = False
    min_px = 16
    offline = True

    def __init__(self, device: Any = None, **settings: Any):
        self.settings = Settings.of(settings)
        self.scale = self.settings.upscale
        self.device = device if device is not None else "cpu"

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(h, w, C) float32 in [0, 1] to (s * h, s * w, C); seed 0, no progress."""
        with torch.inference_mode(False), torch.enable_grad():  # before a detector, whose prediction needs no gradients
            return self.solve(image).image

    def solve(
        self,
        image: np.ndarray,
        progress: Callback | None = None,
        seed: int = 0,
        *,
        kernel: np.ndarray | None = None,
        checkpoint: str | Path | None = None,
    ) -> BlindResult:
        """Fit a picture.

        Ctrl-C, the time limit, or a callback that answers False end the fit early; what there is by then comes back and
        ``stopped`` says so.

        Args:
            image: (h, w, C) floating point in [0, 1].
            progress: Called with a :class:`rsdet.blind.progress.Progress` after each step.
            seed: Same seed, same result on the same CPU and number of threads.
            kernel: (K, K) that is known already, such as from another picture of the sensor; None estimates it.
            checkpoint: File to go on from if it exists, and to write to every ten outer steps; whole pictures only.

        Raises:
            DataError: The picture is too small, or holds values outside [0, 1]; the kernel is none.
            CheckpointError: The checkpoint is of another fit.
        """
        image = _checked_picture(image, self.min_px)
        kernel = None if kernel is None else self._checked(kernel)
        tile = self.settings.tile_px
        if max(image.shape[:2]) > tile:
            if checkpoint is not None:
                raise DataError(
                    f"checkpoint= is for pictures of one tile, up to {tile} px; raise tile_px or leave it out"
                )
            return self._solve_tiles(image, progress, seed, kernel)
        solver = Solver(image, self.settings, seed=seed, device=self.device, kernel=kernel)
        path = None if checkpoint is None else Path(checkpoint)
        fit = solver.run(progress, limit_s=self.settings.time_limit or None, checkpoint=path)
        rows = [(0, *row) for row in fit.rows]
        return BlindResult(_hwc(fit), fit.kernel, rows, fit.stopped, self.scale, seed)

    def _checked(self, kernel: np.ndarray) -> np.ndarray:
        kernel, side = np.asarray(kernel, np.float32), self.settings.kernel_side
        if kernel.shape != (side, side) or not np.isfinite(kernel).all() or kernel.min() < 0 or not kernel.sum() > 0:
            raise DataError(
                f"a kernel for scale={self.scale} is ({side}, {side}), non-negative and not zero; received "
                f"{kernel.shape}; pass one that was estimated at this scale"
            )
        return kernel / kernel.sum()

    def _solve_tiles(
        self, image: np.ndarray, progress: Callback | None, seed: int, kernel: np.ndarray | None
    ) -> BlindResult:
        """One kernel from the tile with most texture, then all tiles with it, blended where they overlap."""
        from rsdet.data.degrade.resize import imresize
        from rsdet.data.tiling import tile_count, tiled

        s, rows, stopped = self.settings, [], FINISHED
        count = tile_count(image.shape[:2], s.tile_px, s.overlap_px)
        first = 0 if kernel is None else 1  # number of the first fit; 0 finds the kernel
        fits = count + 1 - first
        clock, done, missing = Clock(s.time_limit or None), 0, 0

        def fit(part: np.ndarray, held: np.ndarray | None) -> Fit:
            nonlocal done, stopped
            share = None if clock.limit_s is None else max(clock.limit_s - clock.seconds, 0.0) / (fits - done)
            solver = Solver(part, s, seed=seed, device=self.device, kernel=held, where=(done + 1, fits))
            out = solver.run(progress, limit_s=share)
            rows.extend((done + first, *row) for row in out.rows)
            done += 1
            stopped = out.stopped if out.stopped in EARLY or stopped == FINISHED else stopped
            return out

        if kernel is None:
            kernel = fit(image[most_textured(image, s.tile_px)], None).kernel

        def one(part: np.ndarray) -> np.ndarray:
            nonlocal missing, stopped
            # A time limit is shared out; only a person who says stop leaves tiles undone.
            if stopped not in EARLY[1:]:
                try:
                    return _hwc(fit(part, kernel))
                except KeyboardInterrupt:  # before the first step of this tile
                    stopped = INTERRUPTED
            missing += 1
            return np.clip(imresize(part, self.scale), 0, 1)

        picture = tiled(one, image, s.tile_px, s.overlap_px, self.scale)
        return BlindResult(picture, kernel, rows, stopped, self.scale, seed, missing, count)


def _checked_picture(image: np.ndarray, min_px: int) -> np.ndarray:
    """A picture as the solver takes it: (h, w, C) float32.

    Raises:
        DataError: It is none, is too small, or holds values outside [0, 1].
    """
    image = np.asarray(image)
    image = image[..., None] if image.ndim == 2 else image
    if image.ndim != 3 or image.dtype.kind != "f":
        raise DataError(f"HAC-MoE takes (h, w, C) floating point in [0, 1], received {image.dtype} {image.shape}")
    if min(image.shape[:2]) < min_px:
        raise DataError(
            f"a picture of {image.shape[1]}x{image.shape[0]} px is too small for HAC-MoE; it needs {min_px}"
        )
    if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
        raise DataError(
            "HAC-MoE takes values from 0 to 1 and received others; scale the picture, such as range=[0,10000]"
        )
    return np.ascontiguousarray(image, np.float32)


def _hwc(fit: Fit) -> np.ndarray:
    return np.ascontiguousarray(fit.image.transpose(1, 2, 0))
