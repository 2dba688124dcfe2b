"""An exported TorchScript file as an enhancer; ONNX and OpenVINO have theirs in :mod:`rsdet.enhance.artifact`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.errors import CheckpointError


class TorchScriptEnhancer(ArtifactEnhancer):
    """A traced graph of one size, run in tiles of that size.

    Args:
        path: ``.torchscript`` file.
        device: Where it runs.

    Raises:
        CheckpointError: It is none, or does not say what it is.
    """

    def __init__(self, path: str | Path, device: torch.device | str = "cpu"):
        from rsdet.deploy.artifact import read_metadata

        self.path, self.device = Path(path), torch.device(device)
        meta = read_metadata(self.path)
        if "kind" not in meta or "imgsz" not in meta:
            raise CheckpointError(f"{self.path.name} does not say what it is (no kind: in its metadata); export again.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # that the format is on its way out; it still loads
                self.module = torch.jit.load(str(self.path), map_location=self.device).eval()
        except RuntimeError as e:
            why = (str(e).strip().splitlines() or ["damaged"])[0]
            raise CheckpointError(f"{self.path.name} cannot be loaded ({why}); export it again.") from e
        self.meta: dict[str, Any] = meta
        self.name, self.kind, self.scale = self.path.name, str(meta["kind"]), int(meta.get("scale", 1))
        self.channels, self.local, self.multiple = int(meta.get("channels", 3)), bool(meta.get("local")), 1
        self.batch, self.min_px = int(meta.get("batch", 1)), 1
        self.height, self.width = (int(n) for n in meta["imgsz"])

    def graph(self, x: np.ndarray) -> np.ndarray:
        """(B, C, H, W) float32 to the same, ``scale`` times as high and wide."""
        with torch.inference_mode():
            return self.module(torch.from_numpy(x).to(self.device)).float().cpu().numpy()


def open_artifact(path: str | Path, device: torch.device | str = "cpu", threads: int | None = None) -> ArtifactEnhancer:
    """The enhancer of an exported file of any format that this task is exported to.

    Args:
        path: The file, or the folder of OpenVINO.
        device: Where TorchScript runs, or an engine (``"cpu"`` stands for the first GPU); the others run on the CPU.
        threads: Threads of ONNX Runtime and OpenVINO; their own choice when None.
    """
    if Path(path).suffix == ".engine":
        from rsdet.tasks.restore.engine import EngineEnhancer

        return EngineEnhancer(path, "cuda:0" if str(device) == "cpu" else device)
    if Path(path).suffix == ".torchscript":
        return TorchScriptEnhancer(path, device)
    return ArtifactEnhancer(path, threads)
