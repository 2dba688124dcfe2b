"""A tiny semantic network and rendered maps, so that tests of the task take seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lively import spread_out
from torch import nn

from rsdet import RSDet
from rsdet.data.demo import make_demo
from rsdet.data.scenes import render_scene
from rsdet.nn.networks import network
from rsdet.nn.segmentation import SegmentationNetwork

TRAIN = dict(epochs=1, batch=2, imgsz=64, workers=0, plots=False, lr0=0.01, optimizer="AdamW", amp=False, seed=1)


@network("TinySemantic")
class TinySemantic(SegmentationNetwork):
    """Two strided convolutions and their enlargement."""

    multiple = 8

    def __init__(self, width: int = 8, channels: int = 3, nc: int = 7):
        super().__init__(channels, nc)
        self.a = nn.Sequential(nn.Conv2d(channels, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Conv2d(width, nc, 1)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.b(self.a(x)),)

    def decode(self, features: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(self.head(features[0]), size=x.shape[2:], mode="bilinear")


def model_yaml(folder: Path, nc: int = 7) -> Path:
    """A model YAML for :class:`TinySemantic`."""
    path = folder / "tiny-semantic.yaml"
    path.write_text(
        f"task: semantic\nnetwork: TinySemantic\nnc: {nc}\n"
        "vars: {width: 8, channels: 3}\nargs: {width: width, channels: channels}\n"
    )
    return path


def data_yaml(folder: Path) -> Path:
    """Six rendered scenes with maps of what covers the ground."""
    return make_demo(folder / "cover", n_train=4, n_val=2, size=96, seed=3, progress=False, task="semantic")


def enlivened(model: RSDet) -> RSDet:
    """Change weights so that the classes of pixels differ."""
    net = model.model.network
    torch.manual_seed(2)
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            m.reset_parameters()  # whatever was drawn before
    scenes = np.stack([render_scene(i, (64, 64)).image for i in range(4)]).transpose(0, 3, 1, 2)
    x = torch.from_numpy(scenes).float() / 255
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.momentum = 1.0
        net.train()(x)
        spread_out(net.head, net.eval()(x).movedim(1, -1).flatten(0, 2), 2.0)
    return model
