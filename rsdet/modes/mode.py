"""What a mode is: the one object that the command line is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rsdet.names import printable
from rsdet.tasks.task import Task


@dataclass(frozen=True)
class Mode:
    """A mode of the command line.

    Attributes:
        about: What it does, in one line; empty where a task brings it, whose docstring help reads.
        run: Does it, from arguments by name.
        examples: Commands without the leading ``rsdet``.
        needs: Keys without which it cannot begin (``|`` between alternatives) to what to pass.
        positional: Keys that may be left out before their values, in order.
        functions: Functions and classes whose parameters are its keys; called by help alone.
        own: Classes of a task whose keyword-only parameters are more keys; called by help alone.
        stock: Whether keys of Ultralytics are taken, too, and said by the task.
        suits: Whether a task has it.
    """

    about: str
    run: Callable[[dict[str, Any]], None]
    examples: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    positional: tuple[str, ...] = ()
    functions: Callable[[], tuple[Callable[..., Any], ...]] = tuple
    own: Callable[[Task], tuple[type, ...]] | None = None
    stock: bool = False
    suits: Callable[[Task], bool] = lambda task: True


def say(text: str) -> None:
    """Print what a mode has done; names of files do nothing to the terminal."""
    print(printable(text, keep="\n"))
