"""Where the time of a PyTorch model goes, row by row: a first look before any work on speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rsdet.deploy.complexity import as_module, complexity, rows


@dataclass(frozen=True)
class RowTime:
    """Median time of one row of the model.

    Attributes:
        index: Row number.
        type: Class name.
        median_ms: Median time in milliseconds.
        share: Part of the sum over all rows, in [0, 1].
        gflops: True GFLOPs of the row.
        gflops_per_s: Rate; a row far below the others is bound by memory or by many small operations.
        low_ms: First quartile of the times in milliseconds.
        high_ms: Third quartile.
    """

    index: int
    type: str
    median_ms: float
    share: float
    gflops: float
    gflops_per_s: float
    low_ms: float | None = None
    high_ms: float | None = None


def row_times(model: nn.Module, imgsz: int | Sequence[int] = 640, runs: int = 10) -> list[RowTime]:
    """Time every row of a model, slowest first: those of :func:`rsdet.deploy.complexity.rows`.

    The model is run as it is given; fuse it first to see what a prediction costs. On a GPU each row is waited for,
    so the sum is longer than an undisturbed run.

    Args:
        model: The network.
        imgsz: Height and width of the input in pixels; one number for a square.
        runs: Timed runs; three more are made before.
    """
    module = as_module(model).eval()
    cost = complexity(module, imgsz)
    weight = next(module.parameters())
    x = torch.zeros(cost.input_shape).to(weight)
    listed = list(rows(module))
    spent: list[np.ndarray] = []
    begun: dict[int, float] = {}

    def now() -> float:
        if weight.device.type == "cuda":
            torch.cuda.synchronize(weight.device)
        return time.perf_counter()

    def begin(i: int):
        return lambda *_: begun.update({i: now()})

    def end(i: int):
        def add(*_: object) -> None:
            spent[-1][i] += 1e3 * (now() - begun[i])

        return add

    hooks = [
        hook
        for i, (_, _, row) in enumerate(listed)
        for part in _called(row)
        for hook in (part.register_forward_pre_hook(begin(i)), part.register_forward_hook(end(i)))
    ]
    try:
        with torch.inference_mode():
            for _ in range(runs + 3):
                spent.append(np.zeros(len(listed)))
                module(x)
    finally:
        for hook in hooks:
            hook.remove()
    low, medians, high = np.percentile(spent[3:], (25, 50, 75), axis=0).tolist()
    total = sum(medians) or 1.0
    found = [
        RowTime(index, name, ms, ms / total, cost.layers[i].true, cost.layers[i].true / ms * 1e3 if ms else 0.0, a, b)
        for i, ((index, name, _), a, ms, b) in enumerate(zip(listed, low, medians, high, strict=True))
    ]
    return sorted(found, key=lambda r: -r.median_ms)


def _called(row: nn.Module) -> list[nn.Module]:
    """The modules of a row that are called by themselves: a list of modules is not, its members are."""
    if isinstance(row, (nn.ModuleList, nn.ModuleDict)):
        return [part for member in row.children() for part in _called(member)]
    return [row]
