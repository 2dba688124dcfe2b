"""``YOLO(...)`` hands models of ours over to :class:`rsdet.RSDet`, as ``YOLO("rtdetr-l.pt")`` becomes an ``RTDETR``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any


def handed_over(stock: Callable[..., None]) -> Callable[..., None]:
    """``YOLO.__init__`` that looks at what it is given, or has loaded."""

    @wraps(stock)
    def init(self: Any, model: Any = "yolo26n.pt", task: str | None = None, verbose: bool = False) -> None:
        if _is_our_yaml(model):
            from rsdet.model import RSDet

            new = RSDet(model, task=task, verbose=verbose)
        else:
            stock(self, model=model, task=task, verbose=verbose)
            if not type(getattr(self, "model", None)).__module__.startswith("rsdet."):
                return
            from rsdet.model import RSDet

            new = RSDet(self)
        self.__class__ = type(new)
        self.__dict__ = new.__dict__

    return init


def _is_our_yaml(model: Any) -> bool:
    if not isinstance(model, (str, Path)) or Path(model).suffix.lower() not in {".yaml", ".yml"}:
        return False
    from rsdet.modelyaml import find_model_yaml
    from rsdet.textfiles import read_yaml

    path = find_model_yaml(model)
    return path is not None and "family" in read_yaml(path)
