"""How much memory a build takes, estimated before it: on a Jetson Orin Nano 8 GB are all there is for everything.

An estimate from the graph, not a measurement: weights and the largest set of tensors that live at one time are counted
exactly, the builder's own copies and its tactics are bounded by a factor and by the workspace limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rsdet.deploy.trt.graph import FLOATS, Graph, load

_CONTEXT_MB = 500.0  # CUDA context, cuDNN/cuBLAS and TensorRT's libraries in a process
_BYTES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 16: 2}  # by number of onnx.TensorProto.DataType


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory of an engine, in MB (10^6 bytes).

    Attributes:
        weights_mb: Weights as the engine holds them.
        activations_mb: Largest sum of tensors that are alive at one time, at the largest shapes.
        workspace_mb: Limit of the scratch memory of the layers.
        build_mb: Peak of the build: the ONNX weights twice (file and builder), the engine's, tensors, workspace and
            the libraries.
        unknown: Tensors whose size could not be derived; they count as nothing.
    """

    weights_mb: float
    activations_mb: float
    workspace_mb: float
    build_mb: float
    unknown: int

    def summary(self, available_mb: float | None = None) -> str:
        """Return the estimate in one line, with a warning when it exceeds what is available.

        Args:
            available_mb: Memory that is free now.
        """
        text = (
            f"memory, estimated: {self.build_mb:.0f} MB to build (weights {self.weights_mb:.0f}, tensors "
            f"{self.activations_mb:.0f}, workspace up to {self.workspace_mb:.0f}"
            + (f"; {self.unknown} tensors of unknown size left out)" if self.unknown else ")")
        )
        if available_mb is None:
            return text
        if self.build_mb <= available_mb:
            return f"{text}; {available_mb:.0f} MB are free"
        return (
            f"WARNING {text} and only {available_mb:.0f} MB are free; the build may be killed; lower workspace=, the "
            "batch or imgsz, close the desktop, or add swap"
        )


def estimate_memory(
    model: Any, *, half: bool = False, int8: bool = False, workspace_mb: float = 1024.0, shapes: dict | None = None
) -> MemoryEstimate:
    """Estimate the memory of a build.

    Args:
        model: ONNX model or path of one.
        half: FP16: weights and tensors take half.
        int8: INT8: weights take a quarter; tensors are counted as FP16.
        workspace_mb: Limit for scratch memory, in MB.
        shapes: Name of a graph input to its largest shape, for dynamic graphs.

    Returns:
        The estimate.
    """
    graph = Graph(load(model), {k: tuple(v) for k, v in (shapes or {}).items()})
    stored = sum(_size(t.dims, t.data_type, 4) for t in graph.constants.values())
    width = 2 if half or int8 else 4
    weights = sum(_size(t.dims, t.data_type, 1 if int8 else width) for t in graph.constants.values())
    last = {t: i for i, n in enumerate(graph.nodes) for t in n.input}
    for o in graph.model.graph.output:
        last[o.name] = len(graph.nodes)
    alive: dict[str, int] = {}
    peak = unknown = 0
    for i, node in enumerate(graph.nodes):
        for name in node.output:
            if not name or name in graph.constants:
                continue
            shape = graph.shape(name)
            if shape is None or None in shape:
                unknown += 1
            else:
                alive[name] = _size(shape, graph.type(name), width)
        peak = max(peak, sum(alive.values()))
        alive = {t: b for t, b in alive.items() if last.get(t, -1) > i}
    build = _CONTEXT_MB + (2 * stored + weights + peak) / 1e6 + workspace_mb
    return MemoryEstimate(weights / 1e6, peak / 1e6, float(workspace_mb), build, unknown)


def _size(shape: Any, kind: int, float_bytes: int) -> int:
    """Bytes of a tensor, real numbers at the width of the engine."""
    wide = float_bytes if kind in FLOATS or kind == 0 else _BYTES.get(kind, 4)
    return int(np.prod([int(d) for d in shape], dtype=np.int64)) * wide
