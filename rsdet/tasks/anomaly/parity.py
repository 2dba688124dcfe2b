"""Does an exported file take away from a cube what its network does?

A background is the cube and little besides, so two networks that differ make nearly the same one. What is compared is
therefore the residual, which scores are computed of.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsdet.deploy.parity import RawReport, compare_raw, worst
from rsdet.errors import DataError

if TYPE_CHECKING:
    from rsdet.deploy.verify import Run

_MATERIALS = 4


def compare_residuals(runs: Sequence[Run], max_diff: float) -> RawReport:
    """Compare residuals.

    Args:
        runs: Cubes and the backgrounds that both sides make of them.
        max_diff: Largest accepted difference, as a part of the largest residual.
    """
    largest = max(float(np.abs(r.x - r.expected[0]).max(initial=0.0)) for r in runs)
    tol = max_diff * (largest if np.isfinite(largest) else 1.0)
    reports = [compare_raw(r.x - r.expected[0], r.x - r.got[0], tol) for r in runs]
    return RawReport(**{**vars(worst(reports)), "vacuous": largest == 0.0})


def parity_cubes(
    size: tuple[int, int], bands: int, given: Sequence[Any] | None = None, places: Sequence[int] | None = None
) -> list[np.ndarray]:
    """Cubes (bands, H, W) float32 in [-0.1, 0.1] of exactly a size.

    Args:
        size: Height and width in pixels.
        bands: Bands of the network.
        given: Cubes of the user's, paths, (H, W, bands) arrays or open ones, cut or continued to the size; None renders
            some: smooth spectra in patches, with noise and a few pixels of another spectrum.
        places: Bands of files that the network was trained on, numbers from 1; None for all.

    Raises:
        DataError: One of them has other bands.
    """
    if given:
        from rsdet.tasks.anomaly.scene import CubeScene

        found = []
        for source in given:
            taken = places if isinstance(source, (str, Path)) and places else "all"
            with source if isinstance(source, CubeScene) else CubeScene.open(source, taken) as scene:
                if scene.bands != bands:
                    raise DataError(f"{scene.name} has {scene.bands} bands, the network {bands}; pass another cube.")
                found.append(scene.scaled(slice(0, size[0]))[:, : size[1]])
        padded = [np.pad(x, [(0, n - have) for n, have in zip(size, x.shape[:2], strict=True)] + [(0, 0)], "symmetric")
                  for x in found]  # fmt: skip
        return [np.ascontiguousarray(x.transpose(2, 0, 1)) for x in padded]
    return [_rendered(seed, size, bands) for seed in (1, 2, 3)]


def _rendered(seed: int, size: tuple[int, int], bands: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    waves = np.linspace(0, 1, bands)
    spectra = np.stack([
        np.sin(waves * rng.uniform(1, 6) + rng.uniform(0, 6)) * rng.uniform(0.2, 1) for _ in range(_MATERIALS)
    ])  # fmt: skip
    blocks = rng.integers(0, _MATERIALS, (-(-size[0] // 8), -(-size[1] // 8)))
    which = blocks.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]]
    cube = spectra[which] + 0.02 * rng.standard_normal((*size, bands))
    cube[rng.integers(0, size[0], 5), rng.integers(0, size[1], 5)] = rng.uniform(-1, 1, bands)
    return (0.1 * cube / np.abs(cube).max()).transpose(2, 0, 1).astype(np.float32)
