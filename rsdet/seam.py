"""Connects rsdet to Ultralytics' public classes; runs once, right after Ultralytics has been imported.

Two things happen: ``YOLO(...)`` hands models of ours over to :class:`rsdet.RSDet` (the way Ultralytics itself turns
``YOLO("rtdetr-l.pt")`` into an ``RTDETR``), and safe loading learns our classes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any


def _is_our_yaml(model: Any) -> bool:
    if not isinstance(model, (str, Path)) or Path(model).suffix.lower() not in {".yaml", ".yml"}:
        return False
    from rsdet.modelyaml import find_model_yaml
    from rsdet.textfiles import read_yaml

    path = find_model_yaml(model)
    return path is not None and "family" in read_yaml(path)


def connect() -> None:
    """Install the hand-over and the allow-list; safe to call twice."""
    from ultralytics.models.yolo.model import YOLO
    from ultralytics.nn import tasks

    if getattr(YOLO.__init__, "_rsdet", False):
        return

    stock_init = YOLO.__init__

    @wraps(stock_init)
    def init(self: Any, model: Any = "yolo26n.pt", task: str | None = None, verbose: bool = False) -> None:
        if _is_our_yaml(model):
            from rsdet.model import RSDet

            new = RSDet(model, task=task, verbose=verbose)
        else:
            stock_init(self, model=model, task=task, verbose=verbose)
            if not type(getattr(self, "model", None)).__module__.startswith("rsdet."):
                return
            from rsdet.model import RSDet

            new = RSDet(self)
        self.__class__ = type(new)
        self.__dict__ = new.__dict__

    init._rsdet = True
    YOLO.__init__ = init

    stock_build = tasks._SafeLoad._build

    def build(cls: type) -> dict[str, Any]:
        from rsdet.checkpoint import registered

        return {**stock_build(), **registered()}

    tasks._SafeLoad._build = classmethod(build)

    stock_loading = tasks._SafeLoad.loading.__func__

    @contextmanager
    def loading(cls: type, weight: Any) -> Iterator[None]:
        from rsdet.checkpoint import allow_needed, refuse_calls

        allow_needed(weight)
        with stock_loading(cls, weight):
            refuse_calls(weight)
            yield

    tasks._SafeLoad.loading = classmethod(loading)
    _clean_class_names()
    if tasks.SAFE_LOAD is False and not _user_wants_unsafe():
        tasks.SAFE_LOAD = True  # Ultralytics was imported before rsdet could set its switch


def _clean_class_names() -> None:
    """Let the function that all class names of weights, exported files and data YAMLs go through clean them."""
    from ultralytics.nn import autobackend

    from rsdet.names import class_names

    stock = autobackend.check_class_names

    @wraps(stock)
    def check_class_names(names: Any) -> dict[int, str]:
        return class_names(stock(names), twins=True)

    for name, module in list(sys.modules.items()):
        if name.startswith("ultralytics.") and vars(module).get("check_class_names") is stock:
            module.check_class_names = check_class_names


def _user_wants_unsafe() -> bool:
    import os

    return os.environ.get("ULTRALYTICS_SAFE_LOAD", "true").lower() in {"false", "0", "no", "off"}
