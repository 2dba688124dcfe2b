"""Running an exported model with as little as possible: NumPy, OpenCV and the backend, no PyTorch, no Ultralytics.

``import rsdet.runtime`` imports nothing heavy; the names below are imported on first use.

Examples:
    >>> from rsdet.runtime import Detector
    >>> detector = Detector("best.onnx")  # doctest: +SKIP
    >>> detector.predict("scene.jpg").boxes_xyxy  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsdet.runtime.results import Detections, MaskDetections, OrientedDetections
    from rsdet.tasks.detect.runtime.detector import Detector
    from rsdet.tasks.obb.runtime.detector import OrientedDetector
    from rsdet.tasks.segment.runtime.detector import MaskDetector

_HOMES = {
    "Detections": "rsdet.runtime.results",
    "Detector": "rsdet.tasks.detect.runtime.detector",
    "MaskDetections": "rsdet.runtime.results",
    "MaskDetector": "rsdet.tasks.segment.runtime.detector",
    "OrientedDetections": "rsdet.runtime.results",
    "OrientedDetector": "rsdet.tasks.obb.runtime.detector",
}
__all__ = ["Detections", "Detector", "MaskDetections", "MaskDetector", "OrientedDetections", "OrientedDetector"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rsdet.runtime' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
