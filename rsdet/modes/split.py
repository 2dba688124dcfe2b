"""``rsdet split``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsdet.arguments import fit
from rsdet.modes.mode import Mode, say


def _run(args: dict[str, Any]) -> None:
    from rsdet.data.folds import split

    made = split(**fit(split, args, "split"))
    say(f"{len(made)} folds saved to {made[0].parent}")


def _functions() -> tuple[Callable[..., Any], ...]:
    from rsdet.data.folds import split

    return (split,)


MODE = Mode(
    "write the data YAMLs of a cross-validation, no scene on both sides",
    _run,
    examples=("split data=tiles.yaml k=5 by=scene out=folds",),
    needs={"data": "pass a data YAML or a shipped dataset such as data=demo"},
    functions=_functions,
)
