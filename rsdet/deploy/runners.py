"""One small adaptor per backend: a float32 batch in, the network's output arrays out.

Comparison and timing see backends only through :class:`Runner`. Precision is never left to the backend: an FP32
artifact is run in FP32 even where the processor offers a faster, coarser arithmetic (OpenVINO would take BF16 on its
own).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsdet import digest, tasks
from rsdet.deploy.artifact import read_metadata
from rsdet.errors import ConfigError, ExportError, MissingDependencyError, install


class Runner(ABC):
    """A network that is ready to run.

    Attributes:
        format: Short name of the backend.
        errors: What the backend raises for a graph that it cannot load or run.
    """

    format: str
    errors: tuple[type[Exception], ...] = (RuntimeError,)

    @abstractmethod
    def outputs(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network.

        Args:
            x: ``(B, C, H, W)`` float32 in [0, 1].

        Returns:
            All outputs as float32 on the CPU, in order.
        """

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the network; its first output, which is the only one of most."""
        return self.outputs(x)[0]

    def synchronize(self) -> None:  # noqa: B027 - most backends block by themselves
        """Wait until the device is idle."""


class _OnTorch(Runner):
    """What runs in PyTorch."""

    module: torch.nn.Module
    device: torch.device
    dtype: torch.dtype
    threads: int | None

    def outputs(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network; see :class:`Runner`."""
        return tuple(t.float().cpu().numpy() for t in flat(self._run(x)))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the network; its first output, without fetching the others from the device."""
        return first_output(self._run(x)).float().cpu().numpy()

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _run(self, x: np.ndarray) -> Any:
        if self.threads and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            return self.module(torch.from_numpy(x).to(self.device, self.dtype))


class TorchRunner(_OnTorch):
    """The PyTorch module itself, on a copy in eval mode.

    Args:
        module: The network.
        device: Where to run it.
        half: Run in FP16.
        fuse: Fold normalisation into convolutions first, as Ultralytics does before predicting. Switch it off to
            get the network exactly as trained.
        threads: Threads for one operator; PyTorch keeps this per process.
        copy: Leave the given module alone.
    """

    format = "pytorch"

    def __init__(
        self,
        module: torch.nn.Module,
        device: str = "cpu",
        half: bool = False,
        fuse: bool = True,
        threads: int | None = None,
        copy: bool = True,
    ):
        module = (deepcopy(module) if copy else module).eval().float()
        if fuse and hasattr(module, "fuse"):
            module = module.fuse(verbose=False) if "verbose" in module.fuse.__code__.co_varnames else module.fuse()
        for p in module.parameters():
            p.requires_grad_(False)
        self.device = torch.device(device)
        self.dtype = torch.float16 if half else torch.float32
        self.module = module.to(self.device, self.dtype)
        self.threads = threads


class TorchScriptRunner(_OnTorch):
    """A ``.torchscript`` file."""

    format = "torchscript"

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None):
        self.device, self.threads = torch.device(device), threads
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that the format is on its way out; it still loads
            self.module = torch.jit.load(str(path), map_location=self.device).eval()
        weight = next((p for p in self.module.parameters() if p.is_floating_point()), None)
        self.dtype = torch.float32 if weight is None else weight.dtype


class OnnxRunner(Runner):
    """An ``.onnx`` file in ONNX Runtime."""

    format = "onnx"

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None):
        ort = _need("onnxruntime", "pip install onnxruntime")
        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors only
        if threads:
            options.intra_op_num_threads = threads
        # Its threads would go on spinning after a run and take the cores from whatever is timed next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        wanted = ["CUDAExecutionProvider"] if device != "cpu" else []
        missing = [p for p in wanted if p not in ort.get_available_providers()]
        if missing:
            raise MissingDependencyError(
                f"device={device!r} was asked for and this ONNX Runtime runs on the CPU only; expected a build with "
                "CUDA; pip install onnxruntime-gpu in place of onnxruntime"
            )
        self.errors = ort_errors()
        try:
            self.session = ort.InferenceSession(str(path), options, providers=[*wanted, "CPUExecutionProvider"])
        except self.errors as e:
            raise RuntimeError(first_line(e)) from e
        source = self.session.get_inputs()[0]
        self.input, self.dtype = source.name, np.float16 if "float16" in source.type else np.float32

    def outputs(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network; see :class:`Runner`."""
        found = self.session.run(None, {self.input: x.astype(self.dtype, copy=False)})
        return tuple(out.astype(np.float32, copy=False) for out in found)


class OpenVinoRunner(Runner):
    """An ``_openvino_model`` folder in OpenVINO on the CPU."""

    format = "openvino"

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None):
        ov = _need("openvino", install("openvino"))
        if device != "cpu":
            raise ConfigError(f"device={device!r} with an OpenVINO model; expected device='cpu'; use ONNX on a GPU")
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            config["INFERENCE_NUM_THREADS"] = threads
        xml = path if path.suffix == ".xml" else next(iter(sorted(path.glob("*.xml"))), None)
        if xml is None:
            raise ConfigError(f"{path} holds no .xml file; expected an OpenVINO model folder; export it again")
        core = ov.Core()
        self.request = core.compile_model(core.read_model(str(xml)), "CPU", config).create_infer_request()

    def outputs(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network; see :class:`Runner`."""
        self.request.infer([x], share_inputs=True)
        # Copies: the buffers of the request are overwritten by the next run.
        return tuple(np.array(t.data, dtype=np.float32) for t in self.request.output_tensors)


_BY_SUFFIX: dict[str, type[Runner]] = {".onnx": OnnxRunner, ".torchscript": TorchScriptRunner, ".xml": OpenVinoRunner}


def open_runner(artifact: str | Path, device: str = "cpu", threads: int | None = None) -> Runner:
    """Load an exported file into the backend that it is made for.

    Args:
        artifact: ``.onnx``, ``.torchscript`` or ``.engine`` file, OpenVINO folder, or folder of parts.
        device: ``"cpu"`` or a CUDA device.
        threads: Threads for one operator; the backend's own choice when None.

    Raises:
        ConfigError: The file is missing or of a kind that is not run here.
        MissingDependencyError: The backend is not installed.
        ExportError: The backend refuses the file.
        CheckpointError: It was changed since it was exported.
    """
    path = Path(artifact)
    if not path.exists():
        raise ConfigError(f"{path} does not exist; expected an exported model; export it first")
    if (path / digest.PARTS).is_file():
        if device != "cpu":
            raise MissingDependencyError(f"{path.name}, which is several graphs, runs on the CPU; pass device=cpu")
        return tasks.get(read_metadata(path)["task"]).open_parts(path, threads)
    kind = OpenVinoRunner if path.is_dir() else _BY_SUFFIX.get(path.suffix)
    if path.suffix == ".engine":
        from rsdet.deploy.trt.runner import EngineRunner  # made of this file's parts

        return EngineRunner(path, device=device, threads=threads)
    if kind is None:
        raise ConfigError(
            f"{path.name} is of no kind that can be run; expected {', '.join(_BY_SUFFIX)}, .engine or an OpenVINO "
            "folder"
        )
    try:
        runner = kind(path, device=device, threads=threads)
    except RuntimeError as e:  # what the three backends raise for a graph they cannot load
        raise ExportError(
            f"{path.name} cannot be loaded ({first_line(e)}); expected a graph that {kind.format} accepts; "
            "export it again with other settings, such as half=False or another opset"
        ) from e
    read_metadata(path)  # which checks the digest
    return runner


def first_output(raw: Any) -> Any:
    """Return the inference tensor of what a network put out: the tensor itself or the first one of a nest."""
    return next(flat(raw), raw)


def flat(raw: Any) -> Iterator[Any]:
    """The tensors of what a network put out, in order. What it gives beyond an exported file comes last."""
    for one in raw.values() if isinstance(raw, Mapping) else raw if isinstance(raw, (tuple, list)) else ():
        yield from flat(one)
    if isinstance(raw, torch.Tensor):
        yield raw


def first_line(e: BaseException) -> str:
    """The first line of what an error says, or its type."""
    return (str(e).strip().splitlines() or [type(e).__name__])[0][:200]


def ort_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions, which have no common base class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)]
    return (*own, RuntimeError, ValueError)


def _need(package: str, remedy: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as e:
        raise MissingDependencyError(f"the package {package} is not installed; it is needed here; {remedy}") from e
