"""One small adaptor per backend: what the file says, what its graph takes, and a batch in, arrays out.

Unlike :mod:`rsdet.deploy.runners`, which compares backends with PyTorch, nothing here knows of it.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet import digest
from rsdet.errors import CheckpointError, ConfigError, MissingDependencyError, install
from rsdet.runtime.finite import check_weights
from rsdet.runtime.metadata import merged, stored_metadata

Shape = tuple["int | None", ...]


class Network(ABC):
    """A graph that is ready to run.

    Attributes:
        file: Name of the file, for messages.
        backend: Name and version of what runs it.
        shape: ``(B, C, H, W)`` that the graph takes, ``None`` for what is free; empty for a part of a network.
        inputs: Names of its inputs, in their order.
        metadata: Entries as they stand in the file.
    """

    file: str
    backend: str
    shape: Shape
    inputs: list[str]
    metadata: dict[str, Any]

    @abstractmethod
    def __call__(self, x: np.ndarray, *more: np.ndarray) -> list[np.ndarray]:
        """Run the network.

        Args:
            x: ``(B, C, H, W)`` float32 in [0, 1]; of a part of a network, its first input.
            *more: Further inputs of a part.

        Returns:
            Its outputs as float32, in their order.

        Raises:
            CheckpointError: The backend cannot run it.
        """


class OnnxNetwork(Network):
    """An ``.onnx`` file in ONNX Runtime, on the CPU."""

    def __init__(self, path: Path, metadata: dict[str, Any], threads: int | None = None, part: bool = False):
        ort = _need("onnxruntime", path.name, "pip install onnxruntime")
        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors only
        if threads:
            options.intra_op_num_threads = threads
        # Its threads would go on spinning after a run, at full load, until the next image has been read.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.errors = _ort_errors()
        try:
            self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except self.errors as e:
            raise _not_loadable(path.name, e) from e
        self.file, self.backend = path.name, f"ONNX Runtime {ort.__version__}"
        self.metadata = metadata
        inputs = self.session.get_inputs()
        dims = [[d if isinstance(d, int) else None for d in i.shape] for i in inputs]
        self.shape = () if part else _image_shape(path.name, dims)
        self.inputs = [i.name for i in inputs]
        self.dtype = np.float16 if "float16" in inputs[0].type else np.float32

    def __call__(self, x: np.ndarray, *more: np.ndarray) -> list[np.ndarray]:
        """Run the network; see :class:`Network`."""
        given = dict(zip(self.inputs, (x.astype(self.dtype, copy=False), *more), strict=True))
        try:
            outs = self.session.run(None, given)
        except self.errors as e:
            raise _not_runnable(self.file, x, e) from e
        return [np.asarray(out, dtype=np.float32) for out in outs]


class OpenVinoNetwork(Network):
    """A folder ``*_openvino_model``, or the ``.xml`` in it, in OpenVINO, on the CPU."""

    def __init__(self, path: Path, metadata: dict[str, Any], threads: int | None = None, part: bool = False):
        ov = _need("openvino", path.name, install("openvino"))
        xml = path if path.suffix == ".xml" else next(iter(sorted(path.glob("*.xml"))), None)
        if xml is None:
            raise CheckpointError(f"{path} holds no .xml file; expected an OpenVINO model; export it again.")
        # Left alone, OpenVINO calculates in BF16 where the processor can, and boxes move.
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        core = ov.Core()
        try:
            graph = core.read_model(str(xml))
            self.model = core.compile_model(graph, "CPU", config)
        except RuntimeError as e:
            raise _not_loadable(path.name, e) from e
        self.file, self.backend = path.name, f"OpenVINO {ov.__version__.split('-')[0]}"
        self.metadata = metadata
        dims = [[d.get_length() if d.is_static else None for d in i.get_partial_shape()] for i in graph.inputs]
        self.shape = () if part else _image_shape(path.name, dims)
        self.inputs = [i.get_any_name() if i.get_names() else "" for i in graph.inputs]

    def __call__(self, x: np.ndarray, *more: np.ndarray) -> list[np.ndarray]:
        """Run the network; see :class:`Network`."""
        try:
            outs = self.model([x, *more]).to_tuple()
        except RuntimeError as e:
            raise _not_runnable(self.file, x, e) from e
        return [np.array(out, dtype=np.float32) for out in outs]  # copies: the next run overwrites the buffers


def is_deployable(model: Any) -> bool:
    """Whether ``model=`` names a file or folder that a backend of this module loads."""
    if not isinstance(model, (str, Path)):
        return False
    path = Path(model)
    if path.is_dir():
        return path.name.endswith("_openvino_model") or (path / digest.PARTS).is_file()
    # *_qnn.onnx are graphs for Qualcomm's processors.
    return path.is_file() and path.suffix in (".onnx", ".xml") and not path.name.endswith("_qnn.onnx")


def open_network(path: str | Path, threads: int | None = None) -> Network:
    """Load an exported file into its backend.

    Args:
        path: ``.onnx`` file, OpenVINO folder or ``.xml`` file.
        threads: Threads for one operator; the backend's own choice when None.

    Raises:
        ConfigError: No such file, or of a kind that is not run here.
        CheckpointError: The backend refuses the file, it takes no pictures, or it was changed since its export.
        MissingDependencyError: The backend is not installed.
    """
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"threads={threads!r} must be a whole number of 1 or more; leave it out if in doubt.")
    path, metadata = Path(path), stored_metadata(path)
    check_weights(path)
    digest.check(path, merged(metadata, path.name))
    return (OnnxNetwork if path.suffix == ".onnx" else OpenVinoNetwork)(path, metadata, threads)


def open_part(path: Path, threads: int | None = None) -> Network:
    """Load one of the graphs that are a network together; :func:`rsdet.runtime.parts.open_parts` checks its digest."""
    check_weights(path)
    return (OnnxNetwork if path.suffix == ".onnx" else OpenVinoNetwork)(path, {}, threads, part=True)


def in_batches(run: Callable[[np.ndarray], Sequence[np.ndarray]], x: np.ndarray, size: int | None) -> list[np.ndarray]:
    """Outputs of any number of inputs, of a graph that may take a fixed number at a time.

    Args:
        run: The graph, (B, ...) to its outputs, each of B.
        x: (N, ...) inputs.
        size: How many it takes; any number where None. What lacks of the last batch is filled up with its last input.

    Returns:
        Each output, of N.
    """
    size, parts = size or len(x), []
    for i in range(0, len(x), size):
        part = x[i : i + size]
        lacking = size - len(part)
        full = np.concatenate([part, np.repeat(part[-1:], lacking, axis=0)]) if lacking else part
        parts.append([out[: len(part)] for out in run(full)])
    return list(parts[0]) if len(parts) == 1 else [np.concatenate(same) for same in zip(*parts, strict=True)]


def _image_shape(file: str, inputs: list[list[int | None]]) -> Shape:
    if len(inputs) != 1 or len(inputs[0]) != 4:
        what = "no input" if not inputs else f"{len(inputs)} inputs" if len(inputs) > 1 else f"an input {inputs[0]}"
        raise CheckpointError(f"{file} has {what}; expected one of pictures, (B, C, H, W); pass an exported detector.")
    return tuple(inputs[0])


def _need(package: str, file: str, remedy: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as e:
        raise MissingDependencyError(f"{file} needs the package {package}, which is not installed; {remedy}.") from e


def _ort_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions, which have no common base class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)]
    return (*own, RuntimeError, ValueError)


def _first_line(e: Exception) -> str:
    return (str(e).strip().splitlines() or [type(e).__name__])[0][:200].rstrip(".")


def _not_loadable(file: str, e: Exception) -> CheckpointError:
    return CheckpointError(f"{file} cannot be loaded ({_first_line(e)}); damaged or foreign, copy or export it again.")


def _not_runnable(file: str, x: np.ndarray, e: Exception) -> CheckpointError:
    return CheckpointError(f"{file} does not run on an input of {x.shape} ({_first_line(e)}); export it again.")
