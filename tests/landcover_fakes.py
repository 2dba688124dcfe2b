"""Fields of three spectra with a height each, and tiny networks, so that tests of the task take seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lively import spread_out
from torch import nn

BANDS, SIZE = 10, (30, 24)
NAMES = {1: "grass", 2: "roof", 3: "water"}
TRAIN = dict(batch=64, lr0=5e-3, workers=0, plots=False, seed=1)


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A cube (H, W, B) of raw numbers, heights (H, W) and labels (H, W) with classes from 1; a third has no label."""
    rng = np.random.default_rng(seed)
    spectra = np.stack([np.linspace(a, b, BANDS) for a, b in ((400, 3000), (1500, 1600), (900, 100))])
    truth = np.zeros(SIZE, int)
    for top in range(0, SIZE[0], 6):
        for left in range(0, SIZE[1], 6):
            truth[top : top + 6, left : left + 6] = rng.integers(0, 3)
    cube = spectra[truth] * rng.normal(1, 0.1, (*SIZE, 1)) + rng.normal(0, 60, (*SIZE, BANDS))
    height = np.array([0.3, 6.0, 0.0])[truth] + rng.normal(0, 0.3, SIZE) + 240
    labels = np.where(rng.random(SIZE) < 0.67, truth + 1, 0)
    return cube.astype(np.float32), height.astype(np.float32), labels


def write_scene(folder: Path, lidar: bool = True, name: str = "fields", **more: Any) -> Path:
    """A scene in files, its left part for training; returns the data YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    cube, height, labels = scene()
    left = np.arange(SIZE[1]) < 14
    arrays = {
        "cube": cube,
        "height": height,
        "train": np.where(left, labels, 0),
        "test": np.where(left, 0, labels),
        "labels": labels,
    }
    for key, values in arrays.items():
        np.save(folder / f"{key}.npy", values)
    lines = [
        "task: landcover", f"path: {folder}", f"name: {name}", "cube: cube.npy", "train: train.npy", "test: test.npy",
        "labels: labels.npy", f"names: {NAMES}", 'palette: {water: "#0040ff"}', "gsd: 2.0",
        *(["lidar: height.npy"] if lidar else []), *(f"{k}: {v}" for k, v in more.items()),
    ]  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def model_yaml(folder: Path, base: str = "cab-hl.yaml", **values: object) -> Path:
    """A model YAML of some thousands of parameters, for the bands and classes of the scene."""
    usual = {"base": 2, "dim": 8, "heads": 2, "stages": 1} if base.startswith("cab") else {"width": 8, "depth": 2}
    given = {"components": 3, "patch": 3, **usual, **values}
    path = folder / "tiny-landcover.yaml"
    path.write_text(
        f"base: {base}\ntask: landcover\nvars: {{{', '.join(f'{k}: {v}' for k, v in given.items())}}}\n"
        f"args: {{{', '.join(f'{k}: {k}' for k in given)}, rasters: rasters, bands: {BANDS}, nc: 3}}\n"
        f"names: {[*NAMES.values()]}\n"
    )
    return path


def enlivened(model: Any) -> Any:
    """Fit scaling and components to the scene, and give the network weights whose outputs differ from pixel to pixel.

    What a training would note of its scene is noted.
    """
    torch.manual_seed(2)
    cube, height, _ = scene()
    network = model.model.network
    network.fit(np.concatenate([cube, height[..., None]], 2).reshape(-1, BANDS + 1)[:, : network.channels])
    with torch.no_grad():
        for m in network.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.momentum = 1.0
        stacked = np.concatenate([cube, height[..., None]], 2).transpose(2, 0, 1)[: network.channels]
        side = network.patch
        some = [stacked[:, i : i + side, j : j + side] for i in range(0, 20, 3) for j in range(0, 18, 3)]
        network.train()(torch.from_numpy(np.stack(some)))
        spread_out(network.out, network.eval()(torch.from_numpy(np.stack(some))), 3.0)
    model.model.eval()
    noted = {"name": "fields", "bands": [*range(BANDS)], "of": BANDS, "split": {"by": "disjoint"}}
    palette = [[0, 0, 0], [230, 159, 0], [86, 180, 233], [0, 64, 255]]
    model.model.yaml = {**model.model.yaml, "scene": {**noted, "palette": palette}}
    return model
