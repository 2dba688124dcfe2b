"""``rsdet split``."""

from __future__ import annotations

from typing import Any

from rsdet.arguments import fit
from rsdet.modes.mode import function_mode


def _check(args: dict[str, Any]) -> None:
    from rsdet.data.folds import check_given, split

    check_given(**fit(split, {"data": "", **args}, "split"))


MODE = function_mode(
    "split",
    "rsdet.data.folds:split",
    "write the data YAMLs of a cross-validation, no scene on both sides",
    told=lambda made: f"{len(made)} folds saved to {made[0].parent}",
    examples=("split data=demo k=5 by=scene out=folds",),
    check=_check,
    needs={"data": "pass a data YAML or a shipped dataset such as data=demo"},
)
