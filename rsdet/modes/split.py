"""``rsdet split``."""

from __future__ import annotations

from rsdet.modes.mode import function_mode

MODE = function_mode(
    "split",
    "rsdet.data.folds:split",
    "write the data YAMLs of a cross-validation, no scene on both sides",
    told=lambda made: f"{len(made)} folds saved to {made[0].parent}",
    examples=("split data=demo k=5 by=scene out=folds",),
    needs={"data": "pass a data YAML or a shipped dataset such as data=demo"},
)
