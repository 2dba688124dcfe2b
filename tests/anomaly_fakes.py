"""Small cubes whose anomalies are known, and a small SDENet, so that tests of the task take seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

BANDS, SIZE = 6, (40, 48)
TRAIN = dict(epochs=1, repeats=2, batch=1, patch=32, workers=0, plots=False, seed=1)


def cube(seed: int = 0, size: tuple[int, int] = SIZE, bands: int = BANDS) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, bands) uint16 of mixed materials and noise, and (H, W) uint8, 1 where a pixel is something else."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.dirichlet(np.ones(3), (height // 8 + 1, width // 8 + 1)).repeat(8, 0).repeat(8, 1)[:height, :width]
    x = coarse @ rng.random((3, bands)) + 0.02 * rng.standard_normal((height, width, bands))
    truth = np.zeros(size, np.uint8)
    for _ in range(4):
        y, z = (int(rng.integers(4, n - 6)) for n in size)
        truth[y : y + 2, z : z + 2] = 1
    x[truth > 0] += 0.6 * rng.choice([-1, 1], bands)
    return np.clip(1000 * x + 2000, 0, 60000).astype(np.uint16), truth


def scene_yaml(folder: Path, seed: int = 0, name: str = "scene", **more: object) -> Path:
    """A scene with its map; returns the data YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    values, truth = cube(seed)
    np.save(folder / f"{name}.npy", values)
    np.save(folder / f"{name}_map.npy", truth)
    lines = ["task: anomaly", f"cube: {name}.npy", f"labels: {name}_map.npy", *(f"{k}: {v}" for k, v in more.items())]
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines))
    return path


def model_yaml(folder: Path) -> Path:
    """A model YAML of the smallest SDENet, for the bands of :func:`cube`."""
    path = folder / "tiny-sdenet.yaml"
    path.write_text(
        "task: anomaly\nfamily: network\nnetwork: SDENet\n"
        f"vars: {{channels: {BANDS}}}\nargs: {{channels: channels, width: 4, latent: 4}}\n"
    )
    return path
