"""``rsdet demo``."""

from __future__ import annotations

from typing import Any

from rsdet.arguments import fit
from rsdet.demo import run_demo
from rsdet.modes.mode import Mode


def _run(args: dict[str, Any]) -> None:
    run_demo(**fit(run_demo, args, "demo"))


MODE = Mode("show all of it in minutes, without data", _run, examples=("demo",), functions=lambda: (run_demo,))
