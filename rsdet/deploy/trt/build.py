"""Build a TensorRT engine from an ONNX file, on the device that will run it.

Written against the documented Python API of 8.6 and 10.x; where they differ, the module is asked what it has. In FP16
the layers of :func:`~rsdet.deploy.trt.precision.fp32_layers` are held in FP32 by constraints that the builder must
obey. From TensorRT 11 on there are no such flags: the graph itself gets FP16 there, and the network is strongly typed;
``typed=True`` does the same on 10.x, where constraints have been reported to be ignored (TensorRT issue 3941).

No engine has been built where this was written: there is no GPU. The tests run it against a stand-in for the module.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy.artifact import KEY
from rsdet.deploy.trt import optable as table
from rsdet.deploy.trt.calibrate import make_calibrator
from rsdet.deploy.trt.check import require_supported
from rsdet.deploy.trt.engine_file import onnx_metadata, write_engine
from rsdet.deploy.trt.environment import available_mb, built_on, cuda_name, require_tensorrt
from rsdet.deploy.trt.graph import load
from rsdet.deploy.trt.memory import MemoryEstimate, estimate_memory
from rsdet.deploy.trt.precision import fp32_layers, int8_layers
from rsdet.deploy.trt.shapes import Shapes, resolve_shapes
from rsdet.deploy.trt.trtexec import trtexec_command, write_trtexec
from rsdet.deploy.trt.typed import mixed_precision
from rsdet.errors import ConfigError, ExportError, MissingDependencyError, nearest
from rsdet.writing import write_bytes


@dataclass(frozen=True)
class EngineReport:
    """What :func:`build_engine` made.

    Attributes:
        path: The engine.
        seconds: Time of the build.
        size_mb: Size on disk in MB.
        built_on: GPU, compute capability, TensorRT, CUDA and driver.
        fp32: Layers held in FP32, name to reason.
        not_found: Layers of the graph that were to be held and that the parsed network has under no such name.
        int8: Number of layers that may run in INT8.
        memory: The estimate made before.
        command: The ``trtexec`` line that builds the same.
    """

    path: Path
    seconds: float
    size_mb: float
    built_on: dict[str, Any]
    fp32: dict[str, str] = field(default_factory=dict)
    not_found: tuple[str, ...] = ()
    int8: int = 0
    memory: MemoryEstimate | None = None
    command: str = ""

    def summary(self) -> str:
        """Return the outcome in one line."""
        kept = f"; {len(self.fp32)} layers in FP32" if self.fp32 else ""
        lost = f", {len(self.not_found)} more not found by name" if self.not_found else ""
        where = f"{self.built_on.get('gpu')}, TensorRT {self.built_on.get('tensorrt')}"
        return f"engine -> {self.path} ({self.size_mb:.1f} MB, {self.seconds:.0f} s, {where}){kept}{lost}"


def build_engine(
    onnx: str | Path,
    out: str | Path | None = None,
    *,
    half: bool = False,
    int8: bool = False,
    workspace_mb: float = 1024.0,
    opt_shapes: Mapping[str, Sequence[Sequence[int]]] | Sequence[Sequence[int]] | None = None,
    timing_cache: str | Path | None = None,
    fp32: Iterable[str] = (),
    calibration: Iterable[np.ndarray] = (),
    calibration_cache: str | Path | None = None,
    typed: bool | None = None,
    device: str | int | None = 0,
    verbose: bool = True,
) -> EngineReport:
    """Build an engine.

    Args:
        onnx: ONNX file in FP32, as ``rsdet export format=onnx`` writes it.
        out: The engine; beside the ONNX file when None.
        half: FP16 where it is safe.
        int8: INT8 for the convolutional part only, calibrated; FP16 elsewhere.
        workspace_mb: Limit for scratch memory, in MB (10^6 bytes).
        opt_shapes: Smallest, usual and largest shape of each dynamic input, by name, or just the three.
        timing_cache: File that keeps the timings of layers between builds; made when absent.
        fp32: Further layers to hold in FP32, by name.
        calibration: Batches for INT8, ``(B, C, H, W)`` float32 in [0, 1].
        calibration_cache: File of INT8 ranges, read when it is there and written otherwise.
        typed: Put the precision into the graph and build strongly typed; by itself from TensorRT 11 on.
        device: CUDA device.
        verbose: Print the memory estimate and the outcome.

    Returns:
        Path, layers held in FP32, memory and times.

    Raises:
        MissingDependencyError: There is no TensorRT or no GPU; the ``trtexec`` command lies beside the ONNX file then.
        ConfigError: Shapes or layer names that do not fit the graph.
        ExportError: The graph is not supported, does not parse, or the build or its writing fails.
    """
    begin = time.perf_counter()
    source = Path(onnx)
    target = Path(out) if out is not None else source.with_suffix(".engine")
    model = load(source)
    shapes = resolve_shapes(model, opt_shapes)
    extra = _named(model, fp32)
    command = trtexec_command(
        source, engine=target, half=half or int8, workspace_mb=workspace_mb, opt_shapes=opt_shapes,
        timing_cache=timing_cache, fp32=[*fp32_layers(model), *extra], **_calibrated(int8, calibration_cache),
    )  # fmt: skip
    try:
        trt = require_tensorrt()
    except MissingDependencyError as e:
        text = write_trtexec(source, command)
        raise MissingDependencyError(f"{e}; or run the command in {text} on the device") from e
    require_supported(model, trt.__version__)
    largest = {name: s.max for name, s in shapes.items()}
    memory = estimate_memory(model, half=half, int8=int8, workspace_mb=workspace_mb, shapes=largest)
    if verbose:
        print(memory.summary(available_mb()))
    keep = {**(fp32_layers(model) if half or int8 else {}), **dict.fromkeys(extra, "asked for")}
    typed = table.parse(trt.__version__) >= table.TYPED_ONLY_SINCE if typed is None else typed
    build = _Build(trt, source, model, shapes, half, int8, workspace_mb, typed, cuda_name(device))
    engine, not_found, quantised = build.run(keep, timing_cache, calibration, calibration_cache)
    where = built_on(device)
    metadata = onnx_metadata(model)
    held = {k: v for k, v in keep.items() if k not in not_found}
    metadata[KEY] = {
        **(metadata.get(KEY) or {}),
        "format": "engine",
        "half": half or int8,
        "int8": int8,
        "engine": {**where, "fp32_layers": held, "workspace_mb": workspace_mb,
                   "shapes": {k: [list(s.min), list(s.opt), list(s.max)] for k, s in shapes.items()}},
    }  # fmt: skip
    write_engine(target, engine, metadata)
    report = EngineReport(
        target, time.perf_counter() - begin, target.stat().st_size / 1e6, where, held, tuple(not_found), quantised,
        memory, command,
    )  # fmt: skip
    if verbose:
        print(report.summary())
    return report


@dataclass
class _Build:
    """One build: the objects of TensorRT in the order they are needed."""

    trt: Any
    source: Path
    model: Any
    shapes: dict[str, Shapes]
    half: bool
    int8: bool
    workspace_mb: float
    typed: bool
    device: str

    def run(
        self,
        keep: dict[str, str],
        timing_cache: str | Path | None,
        calibration: Iterable[np.ndarray],
        calibration_cache: str | Path | None,
    ) -> tuple[bytes, list[str], int]:
        """Build; return the engine, the layers that were not found, and how many may run in INT8."""
        trt = self.trt
        quantised = any(n.op_type == "QuantizeLinear" for n in self.model.graph.node)
        if self.typed and self.int8 and not quantised:
            raise ExportError(
                f"INT8 by calibration is not possible with TensorRT {trt.__version__} or typed=True; expected 10 or "
                "earlier, or a graph with QuantizeLinear nodes; use half=True"
            )
        logger = trt.Logger(trt.Logger.WARNING)
        builder = trt.Builder(logger)
        network = builder.create_network(self._network_flags())
        parser = trt.OnnxParser(network, logger)
        self._parse(parser, keep)
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(self.workspace_mb * 1e6))
        not_found, count = ([], 0) if self.typed else self._precision(network, config, keep)
        self._profiles(builder, config)
        if self.int8 and not quantised:
            # Kept in a name: the binding holds no reference, and a collected calibrator crashes the builder.
            calibrator = make_calibrator(trt, calibration, calibration_cache, self.device)
            config.int8_calibrator = calibrator
        cache = self._timing_cache(config, timing_cache)
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            raise ExportError(
                f"TensorRT {trt.__version__} built no engine from {self.source.name} (its log above says why); "
                "expected one; raise or lower workspace=, or leave half and int8 out"
            )
        if cache is not None and timing_cache is not None:
            write_bytes(timing_cache, bytes(cache.serialize()))
        return bytes(engine), not_found, count

    def _network_flags(self) -> int:
        flag = self.trt.NetworkDefinitionCreationFlag
        bits = 0
        if table.parse(self.trt.__version__) < (10, 0):
            bits |= 1 << int(flag.EXPLICIT_BATCH)  # the only kind from 10 on, where the flag means nothing
        if self.typed and hasattr(flag, "STRONGLY_TYPED"):
            bits |= 1 << int(flag.STRONGLY_TYPED)
        elif self.typed and table.parse(self.trt.__version__) < table.TYPED_ONLY_SINCE:
            raise ConfigError(f"typed=True with TensorRT {self.trt.__version__}; expected 10 or later; leave typed out")
        return bits

    def _parse(self, parser: Any, keep: dict[str, str]) -> None:
        model = mixed_precision(self.model, keep) if self.typed and self.half else self.model
        if parser.parse(model.SerializeToString()):
            return
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        first = self._error(errors[0]) if errors else "no reason given"
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise ExportError(
            f"TensorRT {self.trt.__version__} does not take {self.source.name}: {first}{more}; expected a graph of "
            "supported operators; export it again with opset=17, or use a later TensorRT"
        )

    def _error(self, error: Any) -> str:
        """One parser error with the node it is about: by name from 9 on, by number before."""
        reason = " ".join(str(error.desc()).split())[:200]
        name, index, nodes = "", int(error.node()), self.model.graph.node
        if hasattr(error, "node_name"):
            name = f"{error.node_name()} ({error.node_operator()})"
        elif 0 <= index < len(nodes):
            name = f"{nodes[index].name} ({nodes[index].op_type})"
        return f"{reason} in layer {name}" if name else reason

    def _profiles(self, builder: Any, config: Any) -> None:
        if not self.shapes:
            return
        profile = builder.create_optimization_profile()
        for name, s in self.shapes.items():
            profile.set_shape(name, s.min, s.opt, s.max)
        if config.add_optimization_profile(profile) < 0:
            raise ExportError(
                f"TensorRT refuses the shapes {self.shapes}; expected such as the graph allows; correct opt_shapes"
            )

    def _timing_cache(self, config: Any, path: str | Path | None) -> Any:
        if path is None:
            return None
        known = Path(path).read_bytes() if Path(path).is_file() else b""
        cache = config.create_timing_cache(known)
        if not config.set_timing_cache(cache, False):
            # Of another GPU or version: an empty one takes its place, and the file is written anew.
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)
        return cache

    def _precision(self, network: Any, config: Any, keep: dict[str, str]) -> tuple[list[str], int]:
        """Set the flags, hold layers in FP32 and everything outside the convolutional part out of INT8."""
        trt = self.trt
        if not (self.half or self.int8):
            return [], 0
        config.set_flag(trt.BuilderFlag.FP16)
        if self.int8:
            config.set_flag(trt.BuilderFlag.INT8)
        config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
        may = set(int8_layers(self.model)) if self.int8 else set()
        names = {n.name for n in self.model.graph.node if n.name}
        found, count = set(), 0
        for i in range(network.num_layers):
            layer = network.get_layer(i)
            source = _onnx_name(layer, names)
            if source in keep:
                found.add(source)
                _hold(trt, layer, trt.float32)
            elif self.int8 and source not in may:
                _hold(trt, layer, trt.float16)
            elif self.int8:
                count += 1
        return [k for k in keep if k not in found], count


def _onnx_name(layer: Any, names: set[str]) -> str:
    """Name of the ONNX node that a layer was made for; one node can become several layers."""
    said = re.search(r"\[ONNX Layer: ([^\]]+)\]", getattr(layer, "metadata", "") or "")  # since 8.6
    if said and said.group(1) in names:
        return said.group(1)
    if layer.name in names:
        return layer.name
    base = re.sub(r"_\d+$", "", layer.name)  # how the parser tells further layers of one node apart
    return base if base in names else layer.name


def _hold(trt: Any, layer: Any, kind: Any) -> None:
    """Hold a layer at a precision. Layers of integers and shapes have none; a constraint would fail the build."""
    outputs = [layer.get_output(j) for j in range(layer.num_outputs)]
    real = [j for j, t in enumerate(outputs) if t.dtype in (trt.float32, trt.float16) and not t.is_shape_tensor]
    if not real or layer.type in (trt.LayerType.CONSTANT, trt.LayerType.SHAPE):
        return
    layer.precision = kind
    for j in real:
        layer.set_output_type(j, kind)


def _calibrated(int8: bool, cache: str | Path | None) -> dict[str, Any]:
    """INT8 arguments of the command line, which can only use ranges that a build has written; FP16 without."""
    return {"int8": True, "calibration_cache": cache} if int8 and cache is not None and Path(cache).is_file() else {}


def _named(model: Any, layers: Iterable[str]) -> list[str]:
    """Check layers that a user names."""
    known = [n.name for n in model.graph.node]
    for name in (asked := list(layers)):
        if name not in known:
            raise ConfigError(f"fp32 names the layer {name!r}, which the graph has none of.{nearest(name, known)}")
    return asked
