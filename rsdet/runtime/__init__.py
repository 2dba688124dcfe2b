"""Running an exported detector with as little as possible: NumPy, OpenCV and the backend, no PyTorch, no Ultralytics.

``import rsdet.runtime`` imports nothing heavy; the names below are imported on first use.

Examples:
    >>> from rsdet.runtime import Detector
    >>> detector = Detector("best.onnx")  # doctest: +SKIP
    >>> detector.predict("scene.jpg").boxes_xyxy  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsdet.runtime.detector import Detections, Detector

__all__ = ["Detections", "Detector"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        return getattr(importlib.import_module("rsdet.runtime.detector"), name)
    raise AttributeError(f"module 'rsdet.runtime' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
