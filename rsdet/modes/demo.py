"""``rsdet demo``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsdet.arguments import fit
from rsdet.modes.mode import Mode


def _run(args: dict[str, Any]) -> None:
    from rsdet.demo import run_demo

    run_demo(**fit(run_demo, args, "demo"))


def _functions() -> tuple[Callable[..., Any], ...]:
    from rsdet.demo import run_demo

    return (run_demo,)


MODE = Mode("show all of it in minutes, without data", _run, examples=("demo",), functions=_functions)
