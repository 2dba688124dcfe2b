"""One small adaptor per backend: a float32 batch in, the network's output arrays out.

Comparison and timing see backends only through :class:`Runner`. Precision is never left to the backend: an FP32
artifact is run in FP32 even where the processor offers a faster, coarser arithmetic (OpenVINO would take BF16 on its
own).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsdet.deploy.decode import first_output
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
    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the network.

        Args:
            x: ``(B, C, H, W)`` float32 in [0, 1].

        Returns:
            The inference output as float32 on the CPU.
        """

    def synchronize(self) -> None:  # noqa: B027 - most backends block by themselves
        """Wait until the device is idle."""


class TorchRunner(Runner):
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

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the network; see :class:`Runner`."""
        if self.threads and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            out = first_output(self.module(torch.from_numpy(x).to(self.device, self.dtype)))
        return out.float().cpu().numpy()

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class TorchScriptRunner(Runner):
    """A ``.torchscript`` file."""

    format = "torchscript"

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None):
        self.device, self.threads = torch.device(device), threads
        self.module = torch.jit.load(str(path), map_location=self.device).eval()
        weight = next((p for p in self.module.parameters() if p.is_floating_point()), None)
        self.dtype = torch.float32 if weight is None else weight.dtype

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the network; see :class:`Runner`."""
        if self.threads and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            out = first_output(self.module(torch.from_numpy(x).to(self.device, self.dtype)))
        return out.float().cpu().numpy()

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


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
            raise RuntimeError(_first_line(e)) from e
        source = self.session.get_inputs()[0]
        self.input, self.dtype = source.name, np.float16 if "float16" in source.type else np.float32
        self.output = self.session.get_outputs()[0].name

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the network; see :class:`Runner`."""
        out = self.session.run([self.output], {self.input: x.astype(self.dtype, copy=False)})[0]
        return out.astype(np.float32, copy=False)


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

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the network; see :class:`Runner`."""
        self.request.infer([x], share_inputs=True)
        # A copy: the request's buffer is overwritten by the next run.
        return np.array(self.request.get_output_tensor(0).data, dtype=np.float32)


_BY_SUFFIX: dict[str, type[Runner]] = {".onnx": OnnxRunner, ".torchscript": TorchScriptRunner, ".xml": OpenVinoRunner}


def open_runner(artifact: str | Path, device: str = "cpu", threads: int | None = None) -> Runner:
    """Load an exported file into the backend that it is made for.

    Args:
        artifact: ``.onnx``, ``.torchscript`` or ``.engine`` file, or OpenVINO folder.
        device: ``"cpu"`` or a CUDA device.
        threads: Threads for one operator; the backend's own choice when None.

    Raises:
        ConfigError: The file is missing or of a kind that is not run here.
        MissingDependencyError: The backend is not installed.
        ExportError: The backend refuses the file.
    """
    path = Path(artifact)
    if not path.exists():
        raise ConfigError(f"{path} does not exist; expected an exported model; export it first")
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
        return kind(path, device=device, threads=threads)
    except RuntimeError as e:  # what the three backends raise for a graph they cannot load
        raise ExportError(
            f"{path.name} cannot be loaded ({_first_line(e)}); expected a graph that {kind.format} accepts; "
            "export it again with other settings, such as half=False or another opset"
        ) from e


def _first_line(e: BaseException) -> str:
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
