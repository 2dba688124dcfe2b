"""``rsdet compare``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsdet.arguments import fit
from rsdet.modes.mode import Mode


def _run(args: dict[str, Any]) -> None:
    from rsdet.deploy.compare import compare

    compare(**fit(compare, args, "compare"))


def _functions() -> tuple[Callable[..., Any], ...]:
    from rsdet.deploy.compare import compare

    return (compare,)


MODE = Mode(
    "compare two benchmark runs, with the spread",
    _run,
    examples=("compare a.json b.json",),
    positional=("a", "b"),
    functions=_functions,
)
