"""rsdet: detectors, enhancers and honest deployment for remote sensing, on top of Ultralytics.

``import rsdet`` is quick and connects rsdet to Ultralytics whenever that is imported, so that
``YOLO("vmc-detr.yaml")`` works from then on. The names below are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rsdet import integration, quiet
from rsdet._hooks import when_imported
from rsdet._version import __version__

if TYPE_CHECKING:
    from rsdet.model import RSDet
    from rsdet.modelyaml import list_models
    from rsdet.registry import Row, list_modules, register, scaled

__all__ = ["RSDet", "Row", "__version__", "list_models", "list_modules", "register", "scaled"]

_LAZY = {
    "RSDet": "rsdet.model",
    "list_models": "rsdet.modelyaml",
    "register": "rsdet.registry",
    "Row": "rsdet.registry",
    "scaled": "rsdet.registry",
    "list_modules": "rsdet.registry",
}


quiet.before_ultralytics()
when_imported("ultralytics.utils", quiet.online_again, before=quiet.import_offline)
integration.connect()


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'rsdet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
