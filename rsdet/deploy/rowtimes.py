"""Where the time of a PyTorch model goes, row by row: a first look before any work on speed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rsdet.deploy.complexity import as_module, complexity


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


def row_times(model: nn.Module, imgsz: int = 640, runs: int = 10) -> list[RowTime]:
    """Time every row of an Ultralytics model, slowest first.

    The model is run as it is given; fuse it first to see what a prediction costs. On a GPU each row is waited for,
    so the sum is longer than an undisturbed run.

    Args:
        model: Network with a sequence of rows in ``.model``.
        imgsz: Side of the square input in pixels.
        runs: Timed runs; three more are made before.
    """
    module = as_module(model).eval()
    cost = {r.index: r for r in complexity(module, imgsz).layers}
    weight = next(module.parameters())
    x = torch.zeros(1, int(getattr(module, "yaml", {}).get("channels", 3)), imgsz, imgsz).to(weight)
    rows = list(module.model)
    samples: list[list[float]] = [[] for _ in rows]
    begun: dict[int, float] = {}

    def now() -> float:
        if weight.device.type == "cuda":
            torch.cuda.synchronize(weight.device)
        return time.perf_counter()

    def begin(i: int):
        return lambda *_: begun.update({i: now()})

    def end(i: int):
        return lambda *_: samples[i].append(1e3 * (now() - begun[i]))

    hooks = [
        h for i, r in enumerate(rows) for h in (r.register_forward_pre_hook(begin(i)), r.register_forward_hook(end(i)))
    ]
    try:
        with torch.inference_mode():
            for _ in range(runs + 3):
                module(x)
    finally:
        for hook in hooks:
            hook.remove()
    spans = [np.percentile(s[3:], (25, 50, 75)).tolist() if len(s) > 3 else [0.0] * 3 for s in samples]
    medians = [median for _, median, _ in spans]
    total = sum(medians) or 1.0
    found = [
        RowTime(i, type(r).__name__, ms, ms / total, cost[i].true, cost[i].true / ms * 1e3 if ms else 0.0, low, high)
        for i, (r, (low, ms, high)) in enumerate(zip(rows, spans, strict=True))
    ]
    return sorted(found, key=lambda r: -r.median_ms)
