"""A small SSA-Net, and places where squares appear and go, so that tests of the task take seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from rsdet import RSDet
from rsdet.data.raster_io import write_image

TRAIN = dict(epochs=1, batch=2, imgsz=64, workers=0, plots=False, seed=1, lr0=0.001)


def place(seed: int, size: int = 96) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A place on two dates, (H, W, 3) in [0, 1], and what has changed, (H, W) bool."""
    rng = np.random.default_rng(seed)
    ground = rng.uniform(0.3, 0.5, (size, size, 3)).astype(np.float32)
    before, after = ground.copy(), np.clip(1.1 * ground, 0, 1)
    changed = np.zeros((size, size), bool)
    for date in (before, after, None):  # None: it stands on both dates
        y, x = rng.integers(4, size - 28, 2)
        h, w = rng.integers(12, 24, 2)
        at = slice(y, y + h), slice(x, x + w)
        for picture in (before, after) if date is None else (date,):
            picture[at] = (0.9, 0.8, 0.7)
    changed = np.abs(before - after).max(2) > 0.15
    return before, after, changed


def write_place(folder: Path, name: str, seed: int, size: int = 96) -> None:
    """Write a place in the layout of LEVIR-CD."""
    before, after, changed = place(seed, size)
    pictures = {"A": before, "B": after, "label": changed[..., None].astype(np.float32)}
    for side, picture in pictures.items():
        (folder / side).mkdir(parents=True, exist_ok=True)
        write_image(folder / side / f"{name}.png", picture)


def data_yaml(folder: Path, n_train: int = 4, n_val: int = 2, size: int = 96) -> Path:
    """A data set of rendered places."""
    for split, n, first in (("train", n_train, 0), ("val", n_val, 100)):
        for i in range(n):
            write_place(folder / "places" / split, f"{i}", first + i, size)
    file = folder / "places" / "places.yaml"
    file.write_text(f"task: change\npath: {folder / 'places'}\ntrain: train\nval: val\nnames: {{0: changed}}\n")
    return file


def model_yaml(folder: Path) -> Path:
    """A model YAML for a small SSA-Net."""
    file = folder / "ssa-net-small.yaml"
    file.write_text(
        "task: change\nnetwork: SSANet\nvars: {width: 4, tied: false, bands: 3}\n"
        "args: {width: width, tied: tied, bands: bands}\n"
    )
    return file


def enlivened(model: RSDet) -> RSDet:
    """Change weights so that some pixels count as changed and some do not."""
    net = model.model.network
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.momentum = 1.0
    places = [place(seed, 64) for seed in range(4)]
    stacks = [np.concatenate(dates, 2).transpose(2, 0, 1) for *dates, _ in places]
    x, changed = torch.from_numpy(np.stack(stacks)), torch.from_numpy(np.stack([p[2] for p in places]))[:, None]
    with torch.no_grad():
        net.train()(x)
        net.eval()
        logits = net(x)
        sign = torch.sign(logits[changed].mean() - logits[~changed].mean())
        net.head.weight *= sign * 4 / logits.std()
        # What is highest counts as changed, about a fifth: from a gap between values on, which rounding does not cross.
        # Most of the ground may have one value, where all activations are off.
        values = net(x).flatten().sort().values
        gaps = (values.diff() > 2e-3).nonzero()
        net.head.bias -= values[gaps[(gaps - 0.8 * len(values)).abs().argmin()] + torch.arange(2)].mean()
    return model
