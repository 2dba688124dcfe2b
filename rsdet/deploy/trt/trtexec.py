"""The ``trtexec`` command that builds the same engine, for machines where Python has no TensorRT.

Flags as ``trtexec --help`` of 8.6 and 10.x prints them. From 11 on, precision flags are gone and an FP16 engine is
built from a graph with FP16 in it (:func:`rsdet.deploy.trt.typed.mixed_precision`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rsdet.deploy.trt import optable as table
from rsdet.deploy.trt.graph import Graph, load
from rsdet.deploy.trt.precision import fp32_layers
from rsdet.deploy.trt.shapes import Shapes, resolve_shapes
from rsdet.errors import ConfigError
from rsdet.writing import write_bytes


def trtexec_command(
    onnx: str | Path,
    *,
    engine: str | Path | None = None,
    half: bool = False,
    int8: bool = False,
    workspace_mb: float = 1024.0,
    opt_shapes: Mapping[str, Sequence[Sequence[int]]] | Sequence[Sequence[int]] | None = None,
    timing_cache: str | Path | None = None,
    calibration_cache: str | Path | None = None,
    fp32: Iterable[str] | None = None,
    version: str = "10.3",
) -> str:
    """Return the command line.

    Args:
        onnx: ONNX file.
        engine: File to write; beside the ONNX file when None.
        half: FP16, with the layers of :func:`fp32_layers` kept in FP32.
        int8: INT8 from a calibration cache.
        workspace_mb: Limit for scratch memory, in MB (trtexec counts MiB).
        opt_shapes: Smallest, usual and largest shape of a dynamic input; see :func:`build_engine`.
        timing_cache: File that keeps timings between builds.
        calibration_cache: Cache written by :func:`build_engine` with ``int8``.
        fp32: Layers to keep in FP32; those found in the graph when None.
        version: TensorRT that will run it.

    Raises:
        ConfigError: FP16 or INT8 for a version that has no flags for it, or INT8 without a cache.
    """
    model = load(onnx)
    if (half or int8) and table.parse(version) >= table.TYPED_ONLY_SINCE:
        raise ConfigError(
            f"TensorRT {version} has no precision flags; expected a graph that holds its precision; write it with "
            "rsdet.deploy.trt.typed.mixed_precision and leave half out"
        )
    if int8 and calibration_cache is None:
        raise ConfigError("int8=True without calibration_cache; expected the file that a build wrote; use half=True")
    target = Path(engine) if engine is not None else Path(onnx).with_suffix(".engine")
    words = ["trtexec", f"--onnx={onnx}", f"--saveEngine={target}", f"--memPoolSize=workspace:{workspace_mb:.0f}"]
    words += ["--fp16"] if half else []
    words += ["--int8", f"--calib={calibration_cache}"] if int8 else []
    if half or int8:
        layers = _spellable(fp32_layers(model) if fp32 is None else fp32)
        if layers:
            graph = Graph(model)
            by_name = {graph.name(n): n for n in graph.nodes}
            types = [f"{name}:{_types(graph, by_name.get(name))}" for name in layers]
            words += [
                "--precisionConstraints=obey",
                f"--layerPrecisions={','.join(f'{name}:fp32' for name in layers)}",
                f"--layerOutputTypes={','.join(types)}",
            ]
    words += _shape_flags(resolve_shapes(model, opt_shapes))
    words += [f"--timingCacheFile={timing_cache}"] if timing_cache is not None else []
    words += ["--skipInference"]
    return " ".join(shlex.quote(w) for w in words)


def write_trtexec(onnx: str | Path, command: str) -> Path:
    """Write a command beside the ONNX file, as ``<name>.trtexec.txt``.

    Args:
        onnx: ONNX file.
        command: Its command line.

    Returns:
        The text file.
    """
    path = Path(onnx)
    adopt = f"from rsdet.deploy.trt.engine_file import adopt; adopt({path.stem + '.engine'!r}, {path.name!r})"
    note = f"# Run this on the device, then give the engine its header: python -c {shlex.quote(adopt)}\n"
    return write_bytes(path.with_suffix(".trtexec.txt"), f"{note}{command}\n".encode())


def _shape_flags(shapes: dict[str, Shapes]) -> list[str]:
    flags = []
    for kind in ("min", "opt", "max") if shapes else ():
        text = ",".join(f"{name}:{'x'.join(map(str, getattr(s, kind)))}" for name, s in shapes.items())
        flags.append(f"--{kind}Shapes={text}")
    return flags


def _types(graph: Graph, node: Any) -> str:
    """Types of a layer's outputs: TopK also puts out indices, which cannot be FP32."""
    return "fp32+int32" if node is not None and node.op_type == "TopK" else "fp32"


def _spellable(layers: Iterable[str]) -> list[str]:
    """Names that can be written into a list of ``name:type``; exporters make no others."""
    return [name for name in layers if not set(name) & {",", ":", " "}]
