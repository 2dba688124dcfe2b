"""``format=engine`` of restoration networks: checked graph, ``trtexec`` command, and the engine where it can be built.

Written against TensorRT's documented API, as :mod:`rsdet.deploy.trt`; no engine has been built where this was written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from rsdet.deploy.runners import open_runner
from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.errors import CheckpointError, ExportError, MissingDependencyError
from rsdet.writing import put


class EngineEnhancer(ArtifactEnhancer):
    """A TensorRT engine of one size, run in tiles of that size.

    Args:
        path: ``.engine`` file.
        device: GPU that it runs on.

    Raises:
        MissingDependencyError: There is no TensorRT or no GPU.
        CheckpointError: It does not say what it is.
        ExportError: It was built for another GPU or another version.
    """

    def __init__(self, path: str | Path, device: torch.device | str = "cuda:0"):
        from rsdet.deploy.artifact import read_metadata

        self.path = Path(path)
        meta = read_metadata(self.path)
        if "kind" not in meta or "imgsz" not in meta:
            raise CheckpointError(f"{self.path.name} does not say what it is (no kind: in its metadata); export again.")
        self.meta = meta
        self.graph: Callable[[np.ndarray], np.ndarray] = open_runner(self.path, str(device))
        self.name, self.kind, self.scale = self.path.name, str(meta["kind"]), int(meta.get("scale", 1))
        self.channels, self.local, self.multiple = int(meta.get("channels", 3)), bool(meta.get("local")), 1
        self.batch, self.min_px = int(meta.get("batch", 1)), 1
        self.height, self.width = (int(n) for n in meta["imgsz"])


def build(
    onnx: Path, target: Path, place: Path, *, half: bool, workspace_mb: float, device: str, verbose: bool
) -> Path:
    """Build an engine from a graph that lies where it shall stay.

    Args:
        onnx: The graph, with its metadata; ``<name>.trtexec.txt`` is written beside it.
        target: Where the engine shall lie in the end.
        place: Where to work.
        half: FP16 where it is safe.
        workspace_mb: Limit for scratch memory in MB.
        device: CUDA device.
        verbose: Print the memory estimate and the outcome.

    Returns:
        The engine, in its workplace.

    Raises:
        MissingDependencyError: There is no TensorRT or no GPU; graph and command lie there.
        ExportError: No version of TensorRT takes the graph, or the build fails.
    """
    from rsdet.deploy.engine import check_versions
    from rsdet.deploy.trt.build import build_engine
    from rsdet.deploy.trt.check import check_graph
    from rsdet.deploy.trt.environment import require_tensorrt
    from rsdet.deploy.trt.trtexec import trtexec_command, write_trtexec

    hopeless = next((p for p in check_graph(onnx) if len(p.versions) == len(check_versions())), None)
    if hopeless is not None:
        raise ExportError(f"{hopeless} (the graph is {onnx})")
    settings = {"half": half, "workspace_mb": workspace_mb}
    text = write_trtexec(onnx, trtexec_command(onnx, engine=target, **settings))
    try:
        require_tensorrt()
    except MissingDependencyError as e:
        raise MissingDependencyError(f"{e}; or take {onnx} to the device and run the command in {text}") from e
    return build_engine(onnx, place / target.name, device=device, verbose=verbose, **settings).path


def reject(made: Path, target: Path, e: Exception) -> ExportError:
    """Put what failed beside its place, renamed, and say so."""
    rejected = put(made, target.with_name(f"{target.name}.rejected"))
    return ExportError(f"{e} (the artifact was kept as {rejected}); use other settings, or min_psnr_db=")
