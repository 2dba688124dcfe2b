"""An exported file as one function of arrays, for tasks that do all else by themselves, whatever runs it.

ONNX and OpenVINO on the CPU need no PyTorch; TorchScript, engines and other devices are the deployment's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import CheckpointError
from rsdet.runtime.backends import Shape, in_batches, is_deployable, open_network
from rsdet.runtime.metadata import merged


@dataclass(frozen=True)
class Graph:
    """See the module.

    Attributes:
        outputs: (B, C, H, W) float32 to its first output as float32.
        said: What the file says of itself.
        shape: ``(B, C, H, W)`` that it takes; None for what is free.
        backend: What runs it, and where, in words.
    """

    outputs: Callable[[np.ndarray], np.ndarray]
    said: dict[str, Any]
    shape: Shape
    backend: str

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """Height and width that it takes; None for any."""
        height, width = self.shape[2:]
        return None if height is None or width is None else (height, width)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run it on (N, C, H, W), as many at a time as it takes."""
        return in_batches(lambda part: [self.outputs(np.ascontiguousarray(part, np.float32))], x, self.shape[0])[0]


def open_graph(path: str | Path, device: Any = None, threads: int | None = None) -> Graph:
    """Open an exported file.

    Args:
        path: ``.onnx``, ``.torchscript`` or ``.engine`` file, OpenVINO folder or the ``.xml`` in it.
        device: Where it runs; where None, engines and TorchScript on a GPU where there is one, all else on the CPU.
        threads: Threads for one operator; the backend's own choice when None.

    Raises:
        ConfigError: No such file, or of a kind that is not run here.
        CheckpointError: It does not say what it is, was changed, or the backend refuses it.
        MissingDependencyError: The backend is not installed, or does not run on this device.
    """
    path = Path(path)
    if str(device or "cpu") == "cpu" and (is_deployable(path) or path.suffix not in (".torchscript", ".engine")):
        network = open_network(path, threads)
        said = merged(network.metadata, path.name)
        return Graph(lambda x: network(x)[0], said, network.shape, f"{network.backend} on the CPU")
    import torch

    from rsdet.deploy.artifact import read_metadata
    from rsdet.deploy.runners import open_runner

    said = read_metadata(path)
    if "imgsz" not in said:
        raise CheckpointError(f"{path.name} does not say what it is (no imgsz: in its metadata); export it again.")
    size = said["imgsz"] if isinstance(said["imgsz"], (list, tuple)) else [said["imgsz"]] * 2
    free = (said.get("args") or {}).get("dynamic")
    gpu = path.suffix == ".engine" or torch.cuda.is_available()
    place = str(device) if device is not None else "cuda:0" if gpu else "cpu"
    shape = (None if free else int(said.get("batch", 1)), int(said.get("channels", 3)), int(size[0]), int(size[1]))
    runner = open_runner(path, place, threads)
    return Graph(runner, said, shape, f"{path.suffix[1:]} on {place}")
