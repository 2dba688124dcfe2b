"""What a mode is: the one object that the command line is handed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from rsdet.arguments import fit
from rsdet.names import printable
from rsdet.quiet import log_filter
from rsdet.tasks.task import Task


@dataclass(frozen=True)
class Mode:
    """A mode of the command line.

    Attributes:
        about: What it does, in one line; empty where a task brings it, whose docstring help reads.
        run: Does it, from arguments by name.
        examples: Commands without the leading ``rsdet``.
        needs: Keys without which it cannot begin (``|`` between alternatives) to what to pass.
        check: Looks at the arguments that are given, before what is missing is asked for.
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
    check: Callable[[dict[str, Any]], None] | None = None
    positional: tuple[str, ...] = ()
    functions: Callable[[], tuple[Callable[..., Any], ...]] = tuple
    own: Callable[[Task], tuple[type, ...]] | None = None
    stock: bool = False
    suits: Callable[[Task], bool] = lambda task: True


def function_mode(
    name: str, place: str, about: str = "", *, told: Callable[[Any], str] | None = None, **more: Any
) -> Mode:
    """A mode that is one function, whose parameters are its keys.

    Args:
        name: Of the mode.
        place: The function, ``"module:function"``; imported on use.
        about: See :class:`Mode`, as for the arguments that follow.
        told: Makes a line for the terminal of what the function returns; None where it says all by itself.
        **more: Further attributes of the mode.
    """

    def function() -> Callable[..., Any]:
        module, _, attribute = place.partition(":")
        found: Callable[..., Any] = getattr(import_module(module), attribute)
        return found

    def run(args: dict[str, Any]) -> None:
        result = function()(**fit(function(), args, name))
        if told is not None:
            say(told(result))

    return Mode(about, run, functions=lambda: (function(),), **more)


def say(text: str) -> None:
    """Print what a mode has done; names of files do nothing to the terminal."""
    print(printable(text, keep="\n"))


def saved_to(folder: str | Path) -> str:
    """Where the results are, the end of what a mode says; ``save=False`` makes no folder."""
    return f"Results saved to {folder}" if Path(folder).exists() else "Nothing was saved"


def said_once() -> AbstractContextManager[None]:
    """Keep Ultralytics' loops from saying where the results are: the mode does at its end."""
    return log_filter(_without_place)


def _without_place(record: logging.LogRecord) -> bool:
    """Take ``Results saved to`` from a message of the log; whether any of it is left."""
    place, _, rest = str(record.msg).partition("\n")
    if place.startswith("Results saved to "):
        record.msg = rest
    return bool(rest) or not place.startswith("Results saved to ")
