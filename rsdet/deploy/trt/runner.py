"""Run a ``.engine`` file with the interface of the other backends. Written against the API, not run here: no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsdet.deploy.runners import Runner
from rsdet.deploy.trt.engine_file import check_device, read_engine
from rsdet.deploy.trt.environment import built_on, cuda_name, require_tensorrt
from rsdet.errors import ConfigError, ExportError


class EngineRunner(Runner):
    """A ``.engine`` file in TensorRT, through named tensors (8.5 and later).

    Args:
        path: The engine.
        device: CUDA device; ``"cpu"`` is refused.
        threads: Taken for the interface's sake; TensorRT has no use for it.

    Raises:
        ConfigError: The device is the processor, or the file does not exist.
        MissingDependencyError: There is no TensorRT or no GPU.
        ExportError: The file is foreign, torn, or was built for another GPU or version.
    """

    format = "engine"

    def __init__(self, path: str | Path, device: str = "cuda:0", threads: int | None = None):
        path = Path(path)
        self.metadata, plan = read_engine(path)  # first: a wrong file is told without TensorRT too
        if device == "cpu":
            raise ConfigError(f"device='cpu' with {path.name}; expected a GPU, on which engines run; pass device=0")
        trt = require_tensorrt()
        self.name, self.device = path.name, torch.device(cuda_name(device))
        check_device(self.metadata, path.name, built_on(device))
        self.logger = trt.Logger(trt.Logger.WARNING)  # must outlive the engine
        with torch.cuda.device(self.device):
            self.runtime = trt.Runtime(self.logger)
            self.engine = self.runtime.deserialize_cuda_engine(plan)
            self.context = None if self.engine is None else self.engine.create_execution_context()
            if self.context is None:
                raise ExportError(
                    f"{path.name} cannot be loaded by TensorRT {trt.__version__} (its log above says why); expected an "
                    "engine built here; build it again with rsdet export format=engine"
                )
            self.stream = torch.cuda.Stream(self.device)
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        inputs = [n for n in names if self.engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        if len(inputs) != 1:
            raise ExportError(f"{path.name} has {len(inputs)} inputs; expected one, the images; export it with rsdet")
        self.input, self.made = inputs[0], [n for n in names if n != inputs[0]]
        self.types = {n: _torch_type(trt, self.engine.get_tensor_dtype(n)) for n in names}
        self.shape = tuple(self.engine.get_tensor_shape(self.input))
        self.buffers: dict[str, torch.Tensor] = {}

    def outputs(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network; see :class:`~rsdet.deploy.runners.Runner`."""
        self._shape(x.shape)
        with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
            self.buffers[self.input].copy_(torch.from_numpy(np.ascontiguousarray(x)))
            for name, tensor in self.buffers.items():
                if not self.context.set_tensor_address(name, tensor.data_ptr()):
                    raise RuntimeError(f"TensorRT refuses the memory of {name}")
            if not self.context.execute_async_v3(self.stream.cuda_stream):
                raise RuntimeError(f"TensorRT could not run {self.name}")
            found = [self.buffers[name].float().cpu() for name in self.made]
        self.stream.synchronize()
        return tuple(t.numpy() for t in found)

    def synchronize(self) -> None:
        """Wait for the GPU."""
        self.stream.synchronize()

    def _shape(self, shape: tuple[int, ...]) -> None:
        """Tell the engine the input's shape and make buffers of the right sizes; nothing while it stays the same."""
        if self.input in self.buffers and tuple(self.buffers[self.input].shape) == tuple(shape):
            return
        fits = len(shape) == len(self.shape) and all(s in (-1, n) for s, n in zip(self.shape, shape, strict=True))
        if not fits or not self.context.set_input_shape(self.input, tuple(shape)):
            raise RuntimeError(
                f"{self.name} takes inputs of the shape {self.shape} within its profile, not {tuple(shape)}"
            )
        sizes = {self.input: tuple(shape), **{n: tuple(self.context.get_tensor_shape(n)) for n in self.made}}
        self.buffers = {n: torch.empty(s, dtype=self.types[n], device=self.device) for n, s in sizes.items()}


def _torch_type(trt: Any, kind: Any) -> torch.dtype:
    """Element type of a tensor of the engine; NumPy has none for bfloat16, so that it is not asked."""
    names = {"float32": torch.float32, "float16": torch.float16, "int32": torch.int32, "int8": torch.int8,
             "bool": torch.bool, "int64": torch.int64, "bfloat16": torch.bfloat16, "uint8": torch.uint8}  # fmt: skip
    return next(t for n, t in names.items() if hasattr(trt, n) and getattr(trt, n) == kind)
