"""OpenVINO at the precision of the file, also where Ultralytics runs it.

On processors with BF16 instructions OpenVINO computes an FP32 model in BF16 unless it is told otherwise, and
Ultralytics' backend tells it so on Windows and ARM only. Detections would then differ from those that the export was
checked on and that the benchmark times. Runs once, right after that backend has been imported.
"""

from __future__ import annotations

import threading
from functools import wraps
from typing import Any

_swap = threading.RLock()


def connect() -> None:
    """Let Ultralytics' OpenVINO backend make cores that compute in FP32 on the CPU; safe to call twice."""
    from ultralytics.nn.backends.openvino import OpenVINOBackend

    stock = OpenVINOBackend.load_model
    if getattr(stock, "_rsdet", False):
        return

    @wraps(stock)
    def load_model(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            import openvino as ov
        except ModuleNotFoundError:
            return stock(self, *args, **kwargs)  # says what is missing

        def core(*a: Any, **k: Any) -> Any:
            made = stock_core(*a, **k)
            made.set_property("CPU", {"INFERENCE_PRECISION_HINT": ov.Type.f32})
            return made

        with _swap:  # the name is process-wide
            stock_core, ov.Core = ov.Core, core
            try:
                return stock(self, *args, **kwargs)
            finally:
                ov.Core = stock_core

    load_model._rsdet = True
    OpenVINOBackend.load_model = load_model
