"""Run a function right after a module has been imported, without importing it ourselves.

``import rsdet`` has to be quick (no torch), and yet ``YOLO("vmc-detr.yaml")`` must work after it. So rsdet waits: the
finder below notices when a module is imported, by whomever, and then the rows of ``integration.py`` are put in place.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_Calls = tuple[Callable[[], None], "Callable[[], None] | None"]  # after the import, and before it


class _Loader(Loader):
    def __init__(self, inner: Loader, calls: list[_Calls]):
        self._inner, self._calls = inner, calls

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = self._inner  # leave no trace: inspect, pickle and reload see the real loader
        module.__loader__ = self._inner
        for _, before in self._calls:
            if before is not None:
                before()
        self._inner.exec_module(module)
        for then, _ in self._calls:
            then()


class _Finder(MetaPathFinder):
    def __init__(self) -> None:
        self.waiting: dict[str, list[_Calls]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        calls = self.waiting.pop(fullname, None)
        if calls is None:
            return None
        spec = importlib.util.find_spec(fullname)  # our entry is gone, so the ordinary finders answer
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, calls)
        return spec


_finder = _Finder()


def when_imported(name: str, then: Callable[[], None], before: Callable[[], None] | None = None) -> None:
    """Call ``then`` once ``name`` has been imported, at once if it already is; ``before`` just before its import."""
    if name in sys.modules:
        then()
        return
    _finder.waiting.setdefault(name, []).append((then, before))
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
