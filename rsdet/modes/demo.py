"""``rsdet demo``."""

from __future__ import annotations

from rsdet.modes.mode import function_mode

MODE = function_mode("demo", "rsdet.demo:run_demo", "show all of it in minutes, without data", examples=("demo",))
