"""Peak memory of a network, measured in a process of its own.

In a process that has already run something, freed pages are used again and a later artifact seems to need nothing.
So each artifact is loaded and run in a fresh Python process, and the growth of resident memory from just before
loading is sampled. What PyTorch itself takes for being imported is not part of it.
"""

from __future__ import annotations

import gc
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNKNOWN = "not measurable here"
METHOD = {
    "host_method": "growth of resident memory while loading and running three times in a fresh process, sampled every "
    "2 ms",
    "device_method": "torch.cuda.max_memory_allocated; memory of other runtimes is not seen",
}
_EVERY_S = 0.002


@dataclass
class Memory:
    """Peak memory in MiB above what was in use before; None where it could not be measured."""

    host_mib: float | None = None
    device_mib: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return numbers, or words where there are none, and the methods they come from."""
        known = {"host_mib": self.host_mib, "device_mib": self.device_mib}
        return {**{k: UNKNOWN if v is None else round(v, 1) for k, v in known.items()}, **METHOD}


@contextmanager
def peak_memory(device: str = "cpu") -> Iterator[Memory]:
    """Measure the peak of what runs inside; the yielded object is filled in at the end.

    Args:
        device: A CUDA device to watch as well.
    """
    import psutil
    import torch

    process, result, stop = psutil.Process(), Memory(), threading.Event()
    gc.collect()
    start = process.memory_info().rss
    peak = [start]
    before = 0
    if device != "cpu":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)

    def watch() -> None:
        while not stop.wait(_EVERY_S):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield result
    finally:
        stop.set()
        watcher.join()
        result.host_mib = (max(peak[0], process.memory_info().rss) - start) / 2**20
        if device != "cpu":
            torch.cuda.synchronize(device)
            result.device_mib = (torch.cuda.max_memory_allocated(device) - before) / 2**20


def runner_memory(
    what: Any, shape: tuple[int, ...], device: str = "cpu", half: bool = False, threads: int | None = None
) -> Memory:
    """Measure loading a network and running it three times, in a fresh process.

    Args:
        what: A PyTorch module, or the path of an exported file.
        shape: ``(B, C, H, W)`` of the input.
        device: Where to run.
        half: FP16, for a module.
        threads: Threads of the backend.

    Returns:
        The peaks; without numbers when the process failed, for instance because the module cannot be pickled.
    """
    try:
        order = pickle.dumps((pickle.dumps(what), shape, device, half, threads))
        done = subprocess.run(
            [sys.executable, "-m", "rsdet.deploy.memory"], input=order, capture_output=True, timeout=600, check=True
        )
        return Memory(**json.loads(done.stdout.decode().strip().splitlines()[-1]))
    except (
        pickle.PicklingError,
        AttributeError,
        TypeError,
        OSError,
        subprocess.SubprocessError,
        ValueError,
        IndexError,
    ):
        return Memory()


def _child() -> None:
    """Measure what comes through the standard input, which only :func:`runner_memory` writes to."""
    import numpy as np
    import torch
    from ultralytics import YOLO  # noqa: F401 - imports belong to the start, not to the growth

    from rsdet.deploy.runners import TorchRunner, open_runner

    packed, shape, device, half, threads = pickle.loads(sys.stdin.buffer.read())
    if threads:
        torch.set_num_threads(threads)
    x = np.zeros(shape, dtype=np.float32)
    with peak_memory(device) as memory:
        what = pickle.loads(packed)
        if isinstance(what, (str, Path)):
            runner = open_runner(what, device, threads)
        else:
            runner = TorchRunner(what, device, half, threads=threads, copy=False)
        for _ in range(3):
            runner(x)
        runner.synchronize()
    print(json.dumps({"host_mib": memory.host_mib, "device_mib": memory.device_mib}))


if __name__ == "__main__":
    _child()
