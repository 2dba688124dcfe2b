"""``rsdet benchmark``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsdet.arguments import fit
from rsdet.errors import ConfigError
from rsdet.modes._model import NEEDS, functions_of_model, open_model
from rsdet.modes.mode import Mode


def _run(args: dict[str, Any]) -> None:
    if "suite" not in args:
        open_model(args).benchmark(**args)
        return
    if "model" in args:
        raise ConfigError("suite= brings its own models; leave model= out.")
    from rsdet.deploy.suites import run_suite

    run_suite(**fit(run_suite, args, "benchmark"))


def _functions() -> tuple[Callable[..., Any], ...]:
    from rsdet.deploy.benchmark import benchmark
    from rsdet.deploy.suites import run_suite

    return (*functions_of_model(), benchmark, run_suite)


MODE = Mode(
    "measure speed, cost and accuracy of the same files",
    _run,
    examples=("benchmark model=vmc-detr-demo formats=pytorch,onnx data=demo out=speed", "benchmark suite=speed"),
    needs={f"{key}|suite": remedy for key, remedy in NEEDS.items()},
    functions=_functions,
)
