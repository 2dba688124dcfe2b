"""Enhancers that several test files share: tiny, exact, and one that is too slow for loops."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from rsdet.nn.networks import network
from rsdet.nn.restoration import RestorationNetwork


class Repeat:
    """Each pixel ``scale`` times, so that every detail of what a chain does can be said beforehand."""

    local, min_px = True, 1

    def __init__(self, scale: int = 2, channels: int | None = None, kind: str = "superres", name: str = "repeat"):
        self.scale, self.channels, self.kind, self.name = scale, channels, kind, name

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return image.repeat(self.scale, 0).repeat(self.scale, 1)


class Invert(Repeat):
    """1 - x."""

    def __init__(self, channels: int | None = None):
        super().__init__(1, channels, "dehaze", "invert")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return 1 - image


class Slow(Invert):
    """One that says that it takes minutes."""

    offline = True
    name = "hac-moe"

    def __init__(self) -> None:
        super().__init__()
        self.name = "hac-moe"


@network("TinyGain")
class TinyGain(RestorationNetwork):
    """x + residual of a 3x3 convolution; one channel or three."""

    local = True

    def __init__(self, channels: int = 3, scale: int = 1):
        super().__init__()
        self.channels, self.scale = channels, scale
        self.body = torch.nn.Conv2d(channels, channels * scale**2, 3, padding=1)
        self.up = torch.nn.PixelShuffle(scale)
        torch.nn.init.normal_(self.body.weight, std=0.05, generator=torch.Generator().manual_seed(0))
        torch.nn.init.zeros_(self.body.bias)

    def restore(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.scale == 1 else torch.nn.functional.interpolate(x, scale_factor=self.scale)
        return y + self.up(self.body(x))


def lively(model, seed: int = 0):
    """Give an untrained detector weights that keep the signal up, so that its boxes depend on the picture."""
    torch.manual_seed(seed)
    net = model if isinstance(model, torch.nn.Sequential) else model.model
    for m in net.modules():
        if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear)) and m.weight.requires_grad:
            torch.nn.init.kaiming_normal_(m.weight)
    return model


def tiny_yaml(folder: Path, scale: int = 1, channels: int = 3) -> Path:
    """A model YAML of :class:`TinyGain`."""
    path = folder / f"tiny-gain-x{scale}-c{channels}.yaml"
    kind = "superres" if scale > 1 else "dehaze"
    path.write_text(f"task: restore\nkind: {kind}\nnetwork: TinyGain\nargs: {{channels: {channels}, scale: {scale}}}\n")
    return path


def tiny_weights_of(folder: Path, scale: int = 1, channels: int = 3) -> Path:
    """A checkpoint of :class:`TinyGain`."""
    from rsdet import RSDet

    target = folder / f"tiny-gain-x{scale}-c{channels}.pt"
    RSDet(tiny_yaml(folder, scale, channels)).save(target)
    return target


def noise_picture(path: Path, size_hw: tuple[int, int] = (60, 92), seed: int = 0) -> Path:
    """A PNG of smooth noise with structure at several sizes, 8 bits RGB."""
    rng = np.random.default_rng(seed)
    image = sum(cv2.resize(rng.random((n, n, 3)), size_hw[::-1], interpolation=cv2.INTER_CUBIC) for n in (3, 7, 15))
    image = (image - image.min()) / np.ptp(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.rint(image * 255).astype(np.uint8))
    return path
