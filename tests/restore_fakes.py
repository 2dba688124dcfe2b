"""A tiny restoration network and tiny pairs, so that tests of the task take seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from rsdet import RSDet
from rsdet.nn.networks import network
from rsdet.nn.restoration import RestorationNetwork

TRAIN = dict(epochs=2, patch=16, batch=4, workers=0, plots=False, lr0=5e-3, warmup_epochs=0.0, seed=1)


@network("TinyRestore")
class TinyRestore(RestorationNetwork):
    """Two convolutions on top of the identity; ``upscale`` repeats pixels."""

    local = True
    min_px = 8

    def __init__(self, width: int = 8, upscale: int = 1, channels: int = 3):
        super().__init__()
        self.scale, self.channels, self.multiple = upscale, channels, 4
        self.a = nn.Conv2d(channels, width, 3, padding=1)
        self.b = nn.Conv2d(width, channels, 3, padding=1)
        nn.init.zeros_(self.b.weight)
        nn.init.zeros_(self.b.bias)

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        y = x + self.b(torch.relu(self.a(x)))
        return y if self.scale == 1 else nn.functional.interpolate(y, scale_factor=float(self.scale), mode="nearest")


def model_yaml(folder: Path, kind: str = "dehaze", **more: object) -> Path:
    """A model YAML for :class:`TinyRestore`, with the variables width, upscale and channels."""
    lines = [
        "task: restore", "family: restore", f"kind: {kind}", "network: TinyRestore",
        "vars: {width: 8, upscale: 1, channels: 3}", "args: {width: width, upscale: upscale, channels: channels}",
        "loss: {l1: 1.0}", *(f"{k}: {v}" for k, v in more.items()),
    ]  # fmt: skip
    path = folder / f"tiny-{kind}.yaml"
    path.write_text("\n".join(lines))
    return path


def filled(yaml: Path, **values: object) -> RSDet:
    """A model whose weights somebody has set, to those of the identity."""
    model = RSDet(yaml, **values)
    nn.init.zeros_(model.model.network.b.bias)
    return model


def clear_picture(rng: np.random.Generator, size: int, bits: int = 8, channels: int = 3) -> np.ndarray:
    """(size, size, channels) with structure at several scales."""
    coarse = rng.random((size // 8, size // 8, channels)).astype(np.float32)
    x = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).reshape(size, size, channels)
    x = np.clip(0.1 + 0.7 * x + 0.05 * rng.standard_normal((size, size, channels)), 0, 1)
    return np.rint(x * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def write_pairs(
    root: Path, n_train: int = 6, n_val: int = 2, size: int = 40, bits: int = 8, suffix: str = ".png"
) -> Path:
    """Clear pictures and the same under an even haze of t = 0.5, A = 0.9; returns the data YAML."""
    rng = np.random.default_rng(0)
    for split, n in (("train", n_train), ("val", n_val)):
        for i in range(n):
            clear = clear_picture(rng, size, bits)
            top = 2**bits - 1
            hazy = np.rint(0.5 * clear + 0.45 * top).astype(clear.dtype)
            for name, x in (("clear", clear), ("hazy", hazy)):
                path = root / split / name / f"{i}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), x)
    data = root / "pairs.yaml"
    data.write_text(
        f"task: restore\nkind: dehaze\npath: {root}\ntrain: {{input: train/hazy, target: train/clear}}\n"
        "val: {input: val/hazy, target: val/clear}\n"
    )
    return data
