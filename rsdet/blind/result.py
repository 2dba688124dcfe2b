"""What a fit leaves behind: the picture, the kernel as numbers and as a picture, the course of the loss."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsdet.blind.progress import EARLY
from rsdet.data.raster_io import ImageMeta, write_image
from rsdet.figures import new_figure, png_of
from rsdet.writing import write_bytes

COLUMNS = ("tile", "outer", "inner", "total", "mse", "history", "alpha", "kernel", "seconds")
_UINT16 = ImageMeta(dtype="uint16", value_range=(0.0, 65535.0))


@dataclass(frozen=True)
class BlindResult:
    """Outcome of :meth:`rsdet.blind.enhancer.HACMoE.solve`.

    Attributes:
        image: (s * h, s * w, C) float32 in [0, 1].
        kernel: (K, K) float32 blur kernel in HR pixels, non-negative, sums to one; ``Blind.with_kernel`` of
            :mod:`rsdet.data.degrade.blind` takes it.
        losses: One row per step, by :data:`COLUMNS`: tile from 0 (0 is the fit that found the kernel), outer and inner
            step, loss of Eq. 8, mean squared error of the degraded result against the input, history term, momentum,
            loss of Eq. 7, seconds since the fit of this tile began.
        stopped: ``finished``, ``noise level``, or why it ended early: ``time limit``, ``told to``, ``interrupted``.
        scale: Scale s.
        seed: Seed that the fit began with.
        tiles_missing: Tiles that were enlarged bicubically because the fit ended before their turn.
        tiles: Tiles in all.
    """

    image: np.ndarray
    kernel: np.ndarray
    losses: Sequence[tuple[float, ...]]
    stopped: str
    scale: int
    seed: int
    tiles_missing: int = 0
    tiles: int = 1

    @property
    def is_partial(self) -> bool:
        """Whether the fit ended before its time, so that the picture is the best so far and no more."""
        return self.stopped in EARLY

    @property
    def residual(self) -> float:
        """Last mean squared error of the degraded result against the input; NaN where no step was made."""
        return float(self.losses[-1][COLUMNS.index("mse")]) if self.losses else float("nan")

    def summary(self) -> str:
        """The outcome in one line."""
        steps = len(self.losses)
        missing = f", {self.tiles_missing} of {self.tiles} tiles only bicubic" if self.tiles_missing else ""
        state = f"stopped early ({self.stopped}), best so far{missing}" if self.is_partial else self.stopped
        return f"{state}: {steps} steps, residual {-10 * np.log10(max(self.residual, 1e-12)):.1f} dB, seed {self.seed}"

    def save(self, folder: str | Path, stem: str, meta: ImageMeta | None = None, suffix: str = ".png") -> list[Path]:
        """Write ``stem.png``, ``stem-kernel.npy``, ``stem-kernel.png``, ``stem-losses.csv`` and ``stem-losses.png``.

        Args:
            folder: Made where it is missing.
            stem: File name without suffix, often that of the source.
            meta: Of the source picture, so that depth and place are kept; None writes 16 bits if the format can.
            suffix: Format of the picture.

        Returns:
            The files, the picture first.

        Raises:
            DataError: The format cannot hold the picture, or the disk refuses.
        """
        folder = Path(folder)
        if meta is None:
            meta = _UINT16 if suffix in (".png", ".tif", ".tiff") else ImageMeta()
        files = [write_image(folder / f"{stem}{suffix}", self.image, meta, self.scale)]
        for name, data in (
            (f"{stem}-kernel.npy", _npy(self.kernel)),
            (f"{stem}-kernel.png", kernel_picture(self.kernel, self.scale)),
            (f"{stem}-losses.csv", self._csv()),
            (f"{stem}-losses.png", self._curve()),
        ):
            files.append(write_bytes(folder / name, data))
        return files

    def _csv(self) -> bytes:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([[f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in self.losses])
        return text.getvalue().encode()

    def _curve(self) -> bytes:
        figure, axes = new_figure(6.4, 3.6)
        at = {name: i for i, name in enumerate(COLUMNS)}
        for tile in sorted({row[0] for row in self.losses}):
            mse = [row[at["mse"]] for row in self.losses if row[0] == tile]
            label = None if self.tiles == 1 else "kernel" if tile == 0 else f"tile {tile}" if tile < 8 else None
            axes.semilogy(range(1, len(mse) + 1), np.maximum(mse, 1e-12), linewidth=1, label=label)
        axes.set_xlabel("image step")
        axes.set_ylabel("mean squared error of the input")
        axes.set_title(self.summary(), fontsize=8)
        axes.grid(alpha=0.3, which="both")
        if self.tiles > 1:
            axes.legend(fontsize=7)
        return png_of(figure)


def kernel_picture(kernel: np.ndarray, scale: int) -> bytes:
    """PNG of a kernel: its weights as brightness, its centre of mass as a cross, in HR pixels."""
    from rsdet.data.degrade.kernels import centre_of_mass

    figure, axes = new_figure(3.6, 3.2)
    shown = axes.imshow(kernel, cmap="magma", interpolation="nearest", vmin=0)
    x, y = centre_of_mass(kernel / kernel.sum())
    axes.plot([x], [y], "+", color="white", markersize=10)
    middle = (kernel.shape[0] + scale) / 2 - 1
    axes.set_title(f"centre of mass {x - middle:+.2f}, {y - middle:+.2f} px", fontsize=8)
    axes.set_xlabel("HR pixels", fontsize=8)
    figure.colorbar(shown, ax=axes).ax.tick_params(labelsize=7)
    return png_of(figure)


def _npy(kernel: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, kernel, allow_pickle=False)
    return data.getvalue()
