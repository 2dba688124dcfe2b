"""rsdet: detectors, enhancers and honest deployment for remote sensing, on top of Ultralytics.

``import rsdet`` is quick and connects rsdet to Ultralytics whenever that is imported, so that
``YOLO("vmc-detr.yaml")`` works from then on. The names below are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rsdet import quiet
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


def _connect() -> None:
    from rsdet.seam import connect

    connect()


def _check_data() -> None:
    from rsdet.data.checked import install

    install()


def _connect_openvino() -> None:
    from rsdet.deploy.fullprecision import connect

    connect()


quiet.before_ultralytics()
when_imported("ultralytics.utils", quiet.after_ultralytics, before=quiet.import_offline)
when_imported("ultralytics.utils.downloads", quiet.exact_names)
when_imported("ultralytics.models.yolo.model", _connect)
when_imported("ultralytics.data.utils", _check_data)
when_imported("ultralytics.nn.backends.openvino", _connect_openvino)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'rsdet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
