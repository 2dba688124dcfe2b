"""``rsdet compare``."""

from __future__ import annotations

from rsdet.modes.mode import function_mode

MODE = function_mode(
    "compare",
    "rsdet.deploy.compare:compare",
    "compare two benchmark runs, with the spread",
    examples=("compare a.json b.json",),
    positional=("a", "b"),
)
