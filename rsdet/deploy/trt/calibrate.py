"""INT8 calibration for TensorRT up to 10: the interface that the builder asks for batches and for a cache.

``IInt8EntropyCalibrator2`` is deprecated since 10.1 and gone in 11, where ranges stand in the graph as QuantizeLinear
pairs. Calibrate on a few hundred images of the deployment: with a handful, accuracy halves (Ultralytics' Jetson guide
shows 0.61 falling to 0.32).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import ConfigError, ExportError
from rsdet.writing import write_bytes


def make_calibrator(trt: Any, batches: Iterable[np.ndarray], cache: str | Path | None, device: str) -> Any:
    """Return a calibrator.

    Args:
        trt: The module ``tensorrt``.
        batches: Network inputs, ``(B, C, H, W)`` float32 in [0, 1], all of one shape, made by the same pre-processor
            as in use.
        cache: File of ranges: read when it is there, written after calibration.
        device: CUDA device of the batches.

    Raises:
        ExportError: This TensorRT has no calibration.
        ConfigError: There is neither a batch nor a cache.
    """
    if not hasattr(trt, "IInt8EntropyCalibrator2"):
        raise ExportError(
            f"TensorRT {trt.__version__} has no INT8 calibration; expected 10 or earlier, or a graph with "
            "QuantizeLinear nodes; export with half=True"
        )
    import torch

    path = Path(cache) if cache is not None else None
    stream = iter(batches)
    first = next(stream, None)
    if first is None and not (path is not None and path.is_file()):
        raise ConfigError(
            "int8=True without calibration images and without a cache; expected at least one batch; pass data="
        )

    class Calibrator(trt.IInt8EntropyCalibrator2):
        """Hands batches to the builder, one at a time."""

        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)  # pybind11 demands the explicit call
            self.next, self.images, self.held = first, 0, None

        def get_batch_size(self) -> int:
            return 1 if first is None else int(first.shape[0])

        def get_batch(self, names: list[str]) -> list[int] | None:
            if self.next is None:
                return None  # the end, for the builder
            # Held until the next call: the builder reads the memory after this returns.
            self.held = torch.from_numpy(np.ascontiguousarray(self.next, dtype=np.float32)).to(device)
            self.images += int(self.held.shape[0])
            self.next = next(stream, None)
            return [int(self.held.data_ptr())]

        def read_calibration_cache(self) -> bytes | None:
            return path.read_bytes() if path is not None and path.is_file() else None

        def write_calibration_cache(self, data: Any) -> None:
            if path is not None:
                write_bytes(path, bytes(data))

    return Calibrator()
