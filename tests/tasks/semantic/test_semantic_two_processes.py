"""Two processes learn by a method what one learns from their pictures together.

Ultralytics trains in several processes on GPUs alone, so what its trainer does in each of them is done here by hand.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from rsdet.losses.ema_teacher import EMATeacher
from rsdet.losses.semi import SemiMethod
from rsdet.losses.semi_settings import method_settings
from rsdet.nn.networks import network
from rsdet.nn.segmentation import SegmentationNetwork
from rsdet.tasks.semantic.model import NetworkModel


@network("WithoutNorms")
class WithoutNorms(SegmentationNetwork):
    """Two convolutions; a batch norm would see one half of the batch."""

    multiple = 2

    def __init__(self, channels: int = 3, nc: int = 4):
        super().__init__(channels, nc)
        self.a, self.b = nn.Conv2d(channels, 6, 3, padding=1), nn.Conv2d(6, nc, 1)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.tanh(self.a(x)),)

    def decode(self, features: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        return self.b(features[0])


def learnt(rank: int, world: int, steps: int = 3) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Student and teacher after some steps on their part of four pictures."""
    torch.manual_seed(0)
    model = NetworkModel({"network": "WithoutNorms", "args": {}, "nc": 4})
    whole = torch.nn.parallel.DistributedDataParallel(model) if world > 1 else model
    method = SemiMethod(method_settings("self-distillation", lambda_u=3.0))
    teacher = EMATeacher(model, 0.9, ramp=False)
    with torch.no_grad():  # else the two say the same at first
        teacher.ema.network.b.bias += torch.arange(4.0)
    draw, part = torch.Generator().manual_seed(1), slice(rank * 4 // world, (rank + 1) * 4 // world)
    picture, label = torch.rand(4, 3, 8, 8, generator=draw), torch.randint(0, 4, (4, 8, 8), generator=draw)
    label[:, :2] = 255
    batch = {"img": picture[part], "label": label[part]}

    def loss(network: nn.Module, given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        asked = {"image": given["img"], "label": given["label"]}
        return method.losses(network, teacher.ema, asked, np.random.default_rng(rank))

    model.method = loss
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    for _ in range(steps):
        total, _ = whole(batch)
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        teacher.update(whole)
    return deepcopy(model.state_dict()), teacher.ema.state_dict()


def worker(rank: int, out: str) -> None:
    torch.set_num_threads(1)
    # They meet at a file: of a port that was free somebody else may have made use since.
    dist.init_process_group("gloo", f"file://{out}-meeting", rank=rank, world_size=2)
    torch.save(learnt(rank, 2), f"{out}{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_learn_what_one_does(tmp_path: Path):
    mp.spawn(worker, args=(str(tmp_path / "of"),), nprocs=2, join=True)
    one = learnt(0, 1)
    for rank in (0, 1):
        two = torch.load(tmp_path / f"of{rank}.pt", weights_only=True)
        for ours, theirs in zip(two, one, strict=True):
            for name, value in theirs.items():
                torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6, msg=name)
    torch.manual_seed(0)
    start = NetworkModel({"network": "WithoutNorms", "args": {}, "nc": 4}).state_dict()
    assert any(not torch.equal(v, start[k]) for k, v in one[0].items())
