"""The modes: each is a module here that holds ``MODE``, or a task brings it. Adding one changes nothing else.

A module whose name would hide something of this one has a trailing underscore: ``get_`` is the mode ``get``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from rsdet import tasks
from rsdet.errors import ConfigError, nearest
from rsdet.modes.mode import Mode, function_mode

_HERE = Path(__file__).parent
# The order of work; the others follow.
FIRST = ("train", "val", "predict", "track", "export", "benchmark", "compare", "info")


def names() -> tuple[str, ...]:
    """Names of all modes, those of a work on a model first."""
    shared = [f.stem.rstrip("_") for f in _HERE.glob("*.py") if not f.stem.startswith("_") and f.stem != "mode"]
    found = {*shared, *(m for name in tasks.names() for m in tasks.get(name).modes)}
    return tuple(sorted(found, key=lambda m: (FIRST.index(m) if m in FIRST else len(FIRST), m)))


def get(name: str) -> Mode:
    """A mode by name.

    Raises:
        ConfigError: There is none of that name.
    """
    for module in (name, f"{name}_") if name.isidentifier() and name != "mode" else ():
        if (_HERE / f"{module}.py").is_file():
            mode: Mode = import_module(f"{__name__}.{module}").MODE
            return mode
    for task in tasks.names():
        if place := tasks.get(task).modes.get(name):
            return function_mode(name, place, suits=lambda task: name in task.modes)
    raise ConfigError(f"unknown mode {name!r}.{nearest(name, names())} Modes: {', '.join(names())}.")
