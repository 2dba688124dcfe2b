"""Enhancers that several test files share: tiny, exact, and one that is too slow for loops."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from lively import spread_out

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


def lively(model):
    """Give an untrained network weights that keep the signal up, so that what comes out depends on the picture.

    A detector is put right beside them: whatever was drawn, its features have unit variance, and the scores of each
    class are spread around 0.3, far from 0 and 1, where many would be equal: it finds as much as thresholds let it.
    """
    net = model if isinstance(model, torch.nn.Sequential) else model.model
    for m in net.modules():
        if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear)) and m.weight.requires_grad:
            torch.nn.init.kaiming_normal_(m.weight)
    if getattr(model, "task", None) == "detect":
        _set_right(net)
    return model


@torch.no_grad()
def _set_right(net: torch.nn.Module) -> None:
    head = net.model[-1]
    scores = [c[-1] for c in head.cv3] if hasattr(head, "cv3") else [head.enc_score_head, *head.dec_score_head]
    # Boxes stay near the places that their queries are for: were all of one place, one of them would be left.
    boxes = [] if hasattr(head, "cv3") else [m.layers[-1] for m in (head.enc_bbox_head, *head.dec_bbox_head)]

    def spread(layer: torch.nn.Module, x: tuple[torch.Tensor], y: torch.Tensor) -> torch.Tensor:
        y = y.movedim(1, -1) if isinstance(layer, torch.nn.Conv2d) else y
        spread_out(layer, y.flatten(0, -2), 0.5 if layer in scores else 0.2)
        layer.bias -= int(layer in scores)
        return layer.forward(*x)

    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    x = torch.nn.functional.interpolate(torch.rand(4, 3, 12, 12), size=96, mode="bicubic").clamp(0, 1)
    net.train().predict(x)
    hooks = [layer.register_forward_hook(spread) for layer in [*scores, *boxes]]
    net.eval().predict(x)
    for hook in hooks:
        hook.remove()


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
