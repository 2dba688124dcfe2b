"""OpenVINO at the precision of the file, also where Ultralytics runs it.

On processors with BF16 instructions OpenVINO computes an FP32 model in BF16 unless it is told otherwise, and
Ultralytics' backend tells it so on Windows and ARM only. Detections would then differ from those that the export was
checked on and that the benchmark times.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

from rsdet.integration import swapped


def in_fp32(stock: Callable[..., None]) -> Callable[..., None]:
    """Ultralytics' loader of OpenVINO models, with cores that compute in FP32 on the CPU."""

    @wraps(stock)
    def load_model(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            cores = cores_in_fp32()
        except ModuleNotFoundError:
            return stock(self, *args, **kwargs)  # says what is missing
        with cores:
            return stock(self, *args, **kwargs)

    return load_model


def cores_in_fp32() -> AbstractContextManager[None]:
    """Let ``openvino.Core()`` make such cores."""
    import openvino as ov

    stock = ov.Core

    def core(*args: Any, **kwargs: Any) -> Any:
        made = stock(*args, **kwargs)
        made.set_property("CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})
        return made

    return swapped("openvino:Core", core)
