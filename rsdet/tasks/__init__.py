"""The tasks: each is a folder here with a ``task.py`` that holds ``TASK``. Adding one changes nothing else."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from rsdet.errors import ConfigError, nearest
from rsdet.tasks.task import Task

_HERE = Path(__file__).parent
_SEARCHED = [(_HERE, __name__)]  # folder of tasks -> package; tests add their own


def names() -> tuple[str, ...]:
    """Names of all tasks, sorted."""
    return tuple(sorted(file.parent.name for folder, _ in _SEARCHED for file in folder.glob("*/task.py")))


def packages() -> tuple[str, ...]:
    """Packages that hold tasks."""
    return tuple(package for _, package in _SEARCHED)


def get(name: str) -> Task:
    """A task by name.

    Raises:
        ConfigError: There is none of that name.
    """
    for folder, package in _SEARCHED:
        if isinstance(name, str) and name.isidentifier() and (folder / name / "task.py").is_file():
            task: Task = import_module(f"{package}.{name}.task").TASK
            return task
    raise ConfigError(f"task must be one of {list(names())}, received {name!r}.{nearest(str(name), names())}")
